package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxima/wire"
)

// prefixLen is the size of a message's length on a stream, RFC 1035 section
// 4.2.2.
const prefixLen = 2

// flushAt is the number of octets of known answers from which on they are
// sent, although the client has sent more questions. 16 KiB, not configurable.
const flushAt = 16 << 10

// A conn is the TCP connection of one client.
type conn struct {
	server *Server
	tcp    *net.TCPConn
	from   netip.Addr
	table  *table       // in which it is counted
	client netip.Prefix // and by which
	tally  *tally       // of its listener

	// Set when serve begins. ctx ends when the client is known to have gone: it
	// has reset the connection, or does not take its replies. One that has said
	// all, and closed its side, may still wait for them.
	ctx    context.Context
	cancel context.CancelFunc

	// Owned by serve.
	in      *bufio.Reader
	out     []byte // answers that were known, not yet handed to send
	queries int

	mu       sync.Mutex // guards what follows
	changed  *sync.Cond // inflight or pending became less, or failed true
	until    time.Time  // when reading ends, whatever the client does
	draining bool       // the server ends
	woken    bool       // and serve has noticed
	inflight int        // queries that wait for Handler.Answer
	writing  bool       // somebody is in write, and takes pending along
	pending  []byte     // replies that wait for it; at most MaxUnsent
	failed   bool       // the client does not take its replies
}

// newConn returns the connection tcp, accepted at.
func newConn(s *Server, tcp *net.TCPConn, t *tally, at time.Time) *conn {
	c := &conn{server: s, tcp: tcp, tally: t, until: at.Add(s.o.MaxAge)}
	c.changed = sync.NewCond(&c.mu)
	c.from = tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().WithZone("")
	c.table, c.client = s.tableFor(c.from), clientOf(c.from)
	c.in = bufio.NewReaderSize(tcp, prefixLen+maxQuery)
	return c
}

// Reasons to end a connection, beside the errors of reading it.
var (
	errRetired  = errors.New("server: connection has had its share, or the server ends")
	errNotQuery = errors.New("server: client does not send queries")
	errStalled  = errors.New("server: client does not take its replies")
)

// serve answers the queries of c until one side has enough, and closes it when
// all replies have left.
func (c *conn) serve() {
	defer c.table.remove(c)
	defer c.tcp.Close()
	c.ctx, c.cancel = context.WithCancel(c.server.ctx)
	defer c.cancel()
	err := c.converse()
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ETIMEDOUT) {
		c.cancel()
	}
	c.flush()
	c.settle()
	if errors.Is(err, errRetired) {
		c.linger()
	}
}

// converse reads queries and answers what is known, until an error says why it
// ends.
func (c *conn) converse() error {
	s := c.server
	c.readBy(time.Now().Add(s.o.FirstOctet))
	if _, err := c.peek(1); err != nil {
		return c.judge(err, &s.streams.mute)
	}
	p := s.packets.Get().(*packet)
	defer func() { s.packets.Put(p) }()
	for c.queries < s.o.MaxQueries {
		whole := c.wholeQuery()
		if !whole || len(c.out) >= flushAt {
			c.flush()
		}
		if !c.awaitRoom() {
			return errStalled
		}
		if !whole {
			c.rest()
		}
		if err := c.next(p); err != nil {
			return c.judge(err, &s.streams.idle)
		}
		c.queries++
		c.tally.queries.Add(1)
		kept, err := c.answer(p)
		if err != nil {
			return err
		}
		if kept {
			p = s.packets.Get().(*packet)
		}
	}
	s.streams.retired.Add(1)
	return errRetired
}

// judge counts why reading ended, as late if the client took too long, and
// returns the reason.
func (c *conn) judge(err error, late *atomic.Uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	streams := &c.server.streams
	switch {
	case errors.Is(err, unix.ETIMEDOUT): // TCP_USER_TIMEOUT
		streams.stalled.Add(1)
	case !errors.Is(err, os.ErrDeadlineExceeded):
	case c.draining:
		return errRetired
	case time.Now().Before(c.until):
		late.Add(1)
	default:
		streams.retired.Add(1)
		return errRetired
	}
	return err
}

// answer sees to p. It returns true if a goroutine keeps p to wait for its
// answer.
func (c *conn) answer(p *packet) (kept bool, err error) {
	s, q, at := c.server, &p.query, time.Now()
	p.from = c.from
	start := len(c.out)
	c.out = append(c.out, 0, 0)
	reply, done := s.answerNow(c.out, p, c.tally, at)
	if done {
		c.out = c.finish(reply, start, q)
		if len(c.out) == start && wire.CheckHeader(p.message()) == wire.Drop {
			return false, errNotQuery
		}
		return false, nil
	}
	place := s.takePlace(p, true, c.tally)
	if place == granted {
		c.out = c.out[:start]
		c.wait(p, at)
		return true, nil
	}
	reply = wire.AppendError(c.out, q, wire.RcodeServFail, edeDenied[place])
	c.out = c.finish(reply, start, q)
	return false, nil
}

// wait starts a goroutine that waits for the answer to p and sends it. The
// caller has taken a place for it.
func (c *conn) wait(p *packet, at time.Time) {
	s := c.server
	c.mu.Lock()
	c.inflight++
	c.mu.Unlock()
	c.table.noteWork(c)
	s.tasks.Go(func() {
		reply := make([]byte, prefixLen, prefixLen+wire.PayloadSize)
		ctx, cancel := context.WithDeadline(c.ctx, at.Add(s.o.Timeout))
		reply = s.answer(ctx, reply, &p.query, c.tally, at)
		cancel()
		s.givePlace(p, true)
		c.send(c.finish(reply, 0, &p.query))
		s.packets.Put(p)
		c.mu.Lock()
		c.inflight--
		c.changed.Broadcast()
		c.mu.Unlock()
		c.rest()
	})
}

// finish completes the reply that stands behind its prefix in dst[start:]. If
// it is empty, the prefix goes too.
func (c *conn) finish(dst []byte, start int, q *wire.Query) []byte {
	s, message := c.server, start+prefixLen
	if len(dst) == message {
		return dst[:start]
	}
	if q.Keepalive {
		// In units of 100 ms, RFC 7828 section 3.1.
		var timeout [2]byte
		binary.BigEndian.PutUint16(timeout[:], uint16(min(c.table.keepalive()/(100*time.Millisecond), 0xFFFF)))
		dst = wire.AddOption(dst, message, wire.OptionKeepalive, timeout[:])
	}
	dst = s.finish(dst, message, q, c.tally, wire.MaxMessage)
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-message))
	c.tally.replies.Add(1)
	return dst
}

// next waits for a whole query and copies it to p. Until it is whole, nothing
// of it is taken from the stream.
func (c *conn) next(p *packet) error {
	prefix, err := c.peek(prefixLen)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(prefix))
	query, err := c.peek(prefixLen + min(size, maxQuery))
	if err != nil {
		return err
	}
	p.n = copy(p.buffer[:], query[prefixLen:])
	p.cut = size > maxQuery
	p.portZero = false
	_, err = c.in.Discard(prefixLen + size)
	return err
}

// wholeQuery reports whether the next query has been read already.
func (c *conn) wholeQuery() bool {
	n := c.in.Buffered()
	if n < prefixLen {
		return false
	}
	prefix, _ := c.in.Peek(prefixLen)
	return n >= prefixLen+int(binary.BigEndian.Uint16(prefix))
}

// peek waits for n octets. If drain interrupts it, it goes on.
func (c *conn) peek(n int) ([]byte, error) {
	octets, err := c.in.Peek(n)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.noticeDrain() {
		return c.in.Peek(n)
	}
	return octets, err
}

// noticeDrain reports whether it was drain that ended reading just now.
func (c *conn) noticeDrain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining || c.woken {
		return false
	}
	c.woken = true
	c.readByLocked(c.until)
	return true
}

// readBy sets the time by which the client has to send what is awaited.
func (c *conn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readByLocked(t)
}

// readByLocked is readBy for who holds mu.
func (c *conn) readByLocked(t time.Time) {
	if c.draining {
		t = time.Now().Add(drainWindow)
	}
	if t.After(c.until) {
		t = c.until
	}
	c.tcp.SetReadDeadline(t) // fails only on a closed connection, which reading notices
}

// rest begins the time in which the client has to send another query, unless
// it waits for us.
func (c *conn) rest() {
	at := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inflight > 0 {
		c.readByLocked(c.until)
		return
	}
	c.readByLocked(at.Add(c.server.o.Idle))
	c.table.noteRest(c, at)
}

// drain makes c end when it has answered what has arrived: when nothing comes
// for drainWindow, or, for a client that goes on asking, after Timeout.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if end := time.Now().Add(c.server.o.Timeout); end.Before(c.until) {
		c.until = end
	}
	c.tcp.SetReadDeadline(longAgo)
}
