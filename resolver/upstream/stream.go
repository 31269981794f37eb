package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxPipeline is how many questions wait on one connection, so that its end
	// fails no more of them; the next one opens another. 64, as many as we let our
	// own clients send ahead.
	maxPipeline = 64

	// maxStrays is how many messages that are no reply to anything asked are read
	// from one connection before it is closed. Nobody can forge them; they are a
	// server's mistakes, of which 3 are forgiven.
	maxStrays = 4

	// idleStream is how long a connection is kept that nobody uses: a few seconds,
	// RFC 7766 section 6.2.3. It is enough for the questions of one walk and those
	// that come with it, and below what servers allow, often 10 s.
	idleStream = 3 * time.Second

	// sendWait bounds one write. All that may wait on a connection fits the
	// kernel's buffer, so a write that waits found a server that does not read.
	sendWait = time.Second
)

// A stream is a TCP connection to a server. Questions are sent on it without
// waiting for the replies to others, which come in any order: RFC 7766 section
// 6.2.1.1. A goroutine of its own connects, reads, and hands each reply to the
// one who waits for it.
type stream struct {
	to      netip.AddrPort
	end     context.CancelFunc // of its goroutine
	sending sync.Mutex         // held while a question is written

	// guarded by pool.mu
	conn    net.Conn           // nil until connected
	waiting map[uint16]*waiter // by ID; nil for those who gave up
	asked   int                // questions so far
	live    int                // those who have not given up
	closed  bool               // takes no more questions
	cause   error              // why it ended
	idle    *time.Timer        // ends it; runs while live is 0
	heard   bool               // it has brought a reply
	since   time.Time          // when live became 0 or 1, or the last reply came
}

// A waiter is a question on a stream.
type waiter struct {
	q    *query // its ID is the stream's to choose
	s    *stream
	done chan outcome
}

// An outcome is the message that seems to be the reply, or why there is none.
type outcome struct {
	packet []byte
	err    error
	again  bool // err may be no more than the end of what was shared with others
}

var (
	// errMalformed is what a reply over TCP is that cannot be read.
	errMalformed = errors.New("malformed reply")

	// errHungUp is why a connection ended if the server ended it between two
	// messages. Who shared it may ask again, RFC 7766 section 6.2.4.
	errHungUp = errors.New("server hung up")

	// errEvicted is why a connection ended whose place another one needed. It
	// wraps what a server is not blamed for: it may be an honest one that is slow.
	errEvicted = fmt.Errorf("no reply before the connection was needed for another server: %w", syscall.EMFILE)

	errStrays = fmt.Errorf("%d messages were no reply to anything", maxStrays)
)

// askStream asks over TCP. A question that shares a connection with others may
// meet its end, of which nobody is to blame; then it is asked again, once, on a
// connection of its own. So a question costs two connections at most (CVE-2023-46317).
func (c *Client) askStream(ctx context.Context, to netip.AddrPort, q *query) (*dns.Msg, error) {
	o := c.askOnce(ctx, to, q, false)
	if o.again {
		c.count.resent.Add(1)
		o = c.askOnce(ctx, to, q, true)
	}
	if o.err != nil {
		return nil, o.err
	}
	reply, v := c.accept(to, q, o.packet)
	if v == malformed { // nobody forged it: there is no better one to come
		return nil, errMalformed
	}
	return reply, nil
}

// askOnce asks over one connection, which is fresh and its own if alone.
func (c *Client) askOnce(ctx context.Context, to netip.AddrPort, q *query, alone bool) outcome {
	w, conn, err := c.join(to, q, alone)
	if err != nil {
		return outcome{err: err}
	}
	if conn != nil {
		c.send(w.s, conn, frame(q.packet))
	}
	select {
	case o := <-w.done:
		return o
	case <-ctx.Done():
		c.pool.leave(w)
		return outcome{err: ctx.Err()}
	}
}

// run is a stream's goroutine.
func (c *Client) run(ctx context.Context, s *stream) {
	defer c.running.Done()
	c.pool.bury(s, c.converse(ctx, s))
	s.end()
}

// converse connects and reads until ctx is done or the connection is of no more
// use, and says why.
func (c *Client) converse(ctx context.Context, s *stream) error {
	c.count.connects.Add(1)
	dialing, cancel := context.WithTimeout(ctx, maxWait)
	conn, err := c.dialTCP(dialing, s.to)
	cancel()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c.send(s, conn, c.pool.connected(s, conn)...)
	return c.hear(s, conn)
}

// send writes questions. If that fails the stream ends: nobody knows how much of
// them the server got.
func (c *Client) send(s *stream, conn net.Conn, frames ...[]byte) {
	s.sending.Lock()
	defer s.sending.Unlock()
	c.count.streams.Add(uint64(len(frames)))
	_ = conn.SetWriteDeadline(time.Now().Add(sendWait)) // fails only on a closed socket, as does Write
	if _, err := conn.Write(bytes.Join(frames, nil)); err != nil {
		c.pool.fail(s, fmt.Errorf("%w: %w", errHungUp, err))
	}
}

// hear hands on what r has to say, until that ends or makes no sense.
func (c *Client) hear(s *stream, r io.Reader) error {
	b := bufio.NewReader(r)
	for strays := 0; strays < maxStrays; {
		if _, err := b.Peek(1); err != nil {
			return fmt.Errorf("%w: %w", errHungUp, closedEarly(err))
		}
		packet, err := readFrame(b)
		if err != nil {
			return err
		}
		v, stray := c.pool.deliver(s, packet)
		if v != genuine {
			c.count.verdicts[v].Add(1)
		}
		if stray {
			strays++
		}
	}
	return errStrays
}

// frame returns a message as TCP carries it: length and message leave in one
// segment, RFC 7766 section 8.
func frame(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packet)), uint16(len(packet))), packet...)
}

// readFrame reads one message of at most 65,535 octets. Memory is taken as the
// octets come, not as the length announces them.
func readFrame(conn io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, closedEarly(err)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, conn, int64(binary.BigEndian.Uint16(length[:]))); err != nil {
		return nil, closedEarly(err)
	}
	return b.Bytes(), nil
}

// closedEarly puts the end of a stream into words.
func closedEarly(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("connection closed before the reply: %w", io.ErrUnexpectedEOF)
	}
	return err
}
