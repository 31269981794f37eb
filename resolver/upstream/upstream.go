// Package upstream asks one authoritative server one question.
//
// Over UDP each question gets a socket to itself, bound to this node's unicast
// address, with a port drawn anew by the kernel and an ID drawn here, so that who
// wants to forge the reply must guess both, and the case of the question's letters.
// The socket serves another question afterwards, the port does not.
// Exchange sends once and waits for the reply to exactly this question. What is
// no reply at all is counted and ignored until time is up; what would be the
// reply, had it been guessed better, ends the exchange, for where one guess came
// from there are more. Then, and if the reply is truncated, the caller decides
// whether to ask again over TCP, because that spends from its budget.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"proxima/crew"

	"github.com/miekg/dns"
)

const (
	// defaultSockets is how many questions may be under way at once, over UDP
	// each with a socket and so a file descriptor: twice as many as the clients' questions
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

	// NoCookies leaves out DNS cookies, RFC 7873.
	NoCookies bool
}

// A Client asks authoritative servers. It may be used by many goroutines.
type Client struct {
	// Immutable after New.
	anySource bool
	source4   netip.Addr
	source6   netip.Addr
	cookies   bool
	slots     chan struct{}   // holds one token for each question under way
	closing   context.Context // ends with Close
	end       context.CancelFunc

	watcher *watcher
	idle    idle
	outbox  crew.Burst[*socket]
	jar     jar
	pool    pool
	running sync.WaitGroup // the streams
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
		cookies:   !o.NoCookies,
		jar:       newJar(),
		pool:      newPool(),
		slots:     make(chan struct{}, o.Sockets),
		buffers:   sync.Pool{New: func() any { return new([maxDatagram]byte) }},
	}
	c.outbox.Send = sendAll
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
	var err error
	if c.watcher, err = newWatcher(); err != nil {
		return nil, err
	}
	c.closing, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Exchange asks the server to the one question of q, over TCP if stream, and
// returns its reply: a message with q's question, whatever its rcode. q keeps
// its letter case and is not changed; its ID is replaced by a fresh one, and if
// it has an OPT record, a cookie of our own goes along (RFC 7873). If the reply is truncated, only header and question are returned: RFC 2181 section 9
// has the rest ignored. A reply that is no more than a header with FORMERR or
// NOTIMP has no question.
//
// If the reply does not come in time, the error wraps context.DeadlineExceeded.
// If ctx is cancelled, it wraps context.Canceled, after Close net.ErrClosed.
// ErrSuspicious says that somebody may be forging replies, and that the caller
// does well to ask again over TCP at once. ErrBusy says that the question was
// never asked. Any other error is the network's.
func (c *Client) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	var k *cookie
	if c.cookies {
		k = c.jar.take(to)
	}
	packed, err := pack(q, k)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	packed.stream = stream
	packed.began = time.Now()
	latest := packed.began.Add(maxWait)
	if end, ok := ctx.Deadline(); !ok || end.After(latest) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, latest)
		defer cancel()
	}
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
	default:
		select {
		case c.slots <- struct{}{}:
			q.began = time.Now() // what is left of ctx is less than it was
		case <-ctx.Done():
			return nil, ErrBusy
		case <-c.closing.Done():
			return nil, net.ErrClosed
		}
	}
	defer func() { <-c.slots }()
	if stream {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.closing, cancel)()
		return c.askStream(ctx, to, q)
	}
	return c.askDatagram(ctx, to, q)
}

// ErrBusy is returned if the context ends while all sockets are in use, or at
// once if all TCP connections are, or all that one server may have. Nobody is to
// blame the server for it, as for EMFILE, which it wraps.
var ErrBusy = fmt.Errorf("all sockets are in use: %w", syscall.EMFILE)

// ErrSuspicious is what an exchange over UDP ends with at the first near miss:
// a packet from the server's address and port that misses the ID, or only the
// case of the question's letters, or the cookie that this server used to return.
// A forger may be at work, or the server may keep neither case nor cookie; TCP,
// where nobody off the path forges, tells the truth in both cases. To go on
// listening would let the forger go on guessing. It also ends a row of BADCOOKIE:
// the first is returned as a reply, and the question may be asked once more.
var ErrSuspicious error = suspicion{}

// A suspicion has the method by which the caller knows it.
type suspicion struct{}

func (suspicion) Error() string { return "suspicious reply" }

// Suspicious is true.
func (suspicion) Suspicious() bool { return true }

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
	case errors.Is(err, ErrSuspicious):
		c.count.suspicious.Add(1)
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
		c.watcher.wakeAll()
		for range cap(c.slots) {
			c.slots <- struct{}{}
		}
		c.running.Wait()
		for family := range c.idle.sockets {
			for s := c.idle.take(family); s != nil; s = c.idle.take(family) {
				c.watcher.closeSocket(s)
			}
		}
		c.watcher.close()
	})
	return nil
}
