// Package upstream asks one authoritative server one question.
//
// Each question gets a socket of its own, bound to this node's unicast address,
// with a port drawn by the kernel and an ID drawn here, so that who wants to
// forge the reply must guess both. Exchange sends once and waits for the reply
// to exactly this question; whatever else arrives is counted and ignored until
// time is up. A truncated reply is returned as such: the walk decides whether
// to ask again over TCP, because that spends from its budget.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// defaultSockets is how many questions may be under way at once, each with
	// a socket and so a file descriptor: twice as many as the clients' questions
	// that are worked on at once, since work goes on after a stale answer has
	// left. From 1 to maxSockets, so that each of them has a port of its own.
	defaultSockets = 8_192
	maxSockets     = 16_384

	// maxWait ends every exchange, also one whose context has no deadline. No
	// work for a client goes on longer than this.
	maxWait = 7 * time.Second
)

// Options say how a Client asks.
type Options struct {
	// Sources are the unicast addresses to ask from; the first of each family
	// is used. A family without one is not asked at all. If there are none of
	// either family, the kernel chooses.
	Sources []netip.Addr

	// Sockets bounds the questions under way at once: 8,192 if 0, at most 16,384.
	Sockets int
}

// A Client asks authoritative servers. It may be used by many goroutines.
type Client struct {
	// Immutable after New.
	anySource bool
	source4   netip.Addr
	source6   netip.Addr
	slots     chan struct{}   // holds one token for each question under way
	closing   context.Context // ends with Close
	end       context.CancelFunc

	closed  sync.Once
	buffers sync.Pool // of *[maxDatagram]byte
	count   counters
}

// New returns a client. It opens nothing yet.
func New(o Options) (*Client, error) {
	if o.Sockets == 0 {
		o.Sockets = defaultSockets
	}
	if o.Sockets < 1 || o.Sockets > maxSockets {
		return nil, fmt.Errorf("upstream: Sockets is %d, want 1 to %d", o.Sockets, maxSockets)
	}
	c := &Client{
		anySource: len(o.Sources) == 0,
		slots:     make(chan struct{}, o.Sockets),
		buffers:   sync.Pool{New: func() any { return new([maxDatagram]byte) }},
	}
	for _, a := range o.Sources {
		a = a.Unmap()
		switch {
		case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
			return nil, fmt.Errorf("upstream: Sources has %s, want unicast addresses", a)
		case a.Is4() && !c.source4.IsValid():
			c.source4 = a
		case a.Is6() && !c.source6.IsValid():
			c.source6 = a
		}
	}
	c.closing, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Exchange asks the server to the one question of q, over TCP if stream, and
// returns its reply: a message with q's question, whatever its rcode. q keeps
// its letter case and is not changed; its ID is replaced by a fresh one. If the
// reply is truncated, only header and question are returned: RFC 2181 section 9
// has the rest ignored. A reply that is no more than a header with FORMERR or
// NOTIMP has no question.
//
// If the reply does not come in time, the error wraps context.DeadlineExceeded.
// If ctx is cancelled, it wraps context.Canceled, after Close net.ErrClosed.
// ErrBusy says that the question was never asked. Any other error is the
// network's.
func (c *Client) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	packed, err := pack(q)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()

	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	reply, err := c.exchange(ctx, to, packed, stream)
	if err != nil {
		return nil, fmt.Errorf("upstream: %s: %w", to, c.reason(ctx, err))
	}
	c.count.replies.Add(1)
	if reply.Truncated {
		c.count.truncated.Add(1)
	}
	return reply, nil
}

// exchange takes a slot and asks.
func (c *Client) exchange(ctx context.Context, to netip.AddrPort, q *query, stream bool) (*dns.Msg, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ErrBusy
	}
	if stream {
		return c.askStream(ctx, to, q)
	}
	return c.askDatagram(ctx, to, q)
}

// ErrBusy is returned if the context ends while all sockets are in use. It is
// no fault of the server's, as EMFILE, which it wraps, is none.
var ErrBusy = fmt.Errorf("all sockets are in use: %w", syscall.EMFILE)

// errSilent is what the wait for a reply ends with when time is up.
var errSilent = errors.New("no reply")

// reason says why an exchange failed, and counts it. The end of the context
// goes before what it caused.
func (c *Client) reason(ctx context.Context, err error) error {
	switch {
	case c.closing.Err() != nil:
		return net.ErrClosed
	case errors.Is(err, ErrBusy):
		c.count.busy.Add(1)
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		c.count.cancelled.Add(1)
		return fmt.Errorf("%w: %w", errSilent, context.Canceled)
	case ctx.Err() != nil || isTimeout(err) || errors.Is(err, errSilent):
		// The socket's deadline may be noticed before the context's.
		c.count.timeouts.Add(1)
		if !errors.Is(err, errSilent) {
			err = errSilent
		}
		return fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
	default:
		c.count.failed.Add(1)
		return err
	}
}

// isTimeout reports whether err is the deadline of a socket.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// Close ends all exchanges and waits for them. Exchange fails from then on.
func (c *Client) Close() error {
	c.closed.Do(func() {
		c.end()
		for range cap(c.slots) {
			c.slots <- struct{}{}
		}
	})
	return nil
}

// counters are what Stats reads.
type counters struct {
	datagrams, streams, replies, truncated atomic.Uint64
	timeouts, cancelled, failed, busy      atomic.Uint64
	wrongAddress, wrongID, wrongQuestion   atomic.Uint64
	malformed, icmp                        atomic.Uint64
}

// Stats are a client's counters since it was made.
type Stats struct {
	InFlight  int    // sockets in use now
	Datagrams uint64 // questions sent over UDP
	Streams   uint64 // questions sent over TCP
	Replies   uint64 // exchanges that ended with a reply
	Truncated uint64 // of these, replies that were truncated

	Timeouts  uint64 // exchanges that ended without a reply in time
	Cancelled uint64 // exchanges that the caller gave up
	Failed    uint64 // exchanges that the network refused
	Busy      uint64 // exchanges that found no free socket in time

	WrongAddress  uint64 // packets ignored for where they came from
	WrongID       uint64 // packets ignored for their ID: forged, or too late
	WrongQuestion uint64 // packets ignored for their question
	Malformed     uint64 // packets that are no replies or cannot be read: ignored over UDP, the end over TCP
	ICMP          uint64 // errors that the network reported while waiting, all ignored
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	return Stats{
		InFlight:      len(c.slots),
		Datagrams:     c.count.datagrams.Load(),
		Streams:       c.count.streams.Load(),
		Replies:       c.count.replies.Load(),
		Truncated:     c.count.truncated.Load(),
		Timeouts:      c.count.timeouts.Load(),
		Cancelled:     c.count.cancelled.Load(),
		Failed:        c.count.failed.Load(),
		Busy:          c.count.busy.Load(),
		WrongAddress:  c.count.wrongAddress.Load(),
		WrongID:       c.count.wrongID.Load(),
		WrongQuestion: c.count.wrongQuestion.Load(),
		Malformed:     c.count.malformed.Load(),
		ICMP:          c.count.icmp.Load(),
	}
}
