// Package dialogue puts one question to one authoritative server in the manner
// that this server understands.
//
// A walk that has chosen a server calls Ask. The question goes out by UDP, with
// EDNS and with the name in a letter case that a forger must guess. If that
// does not fit the server, what comes back says so: the question is put again
// without EDNS, or over TCP, but only so often, and each exchange is paid for
// from the purse of the walk. How the server wants to be asked is remembered for
// a while, selection is told how it went, and the walk gets what reply.Classify
// makes of what was said, or learns that nothing was.
//
// A manner that weakens a question (no EDNS, no letter case) is taken only with
// proof that the server needs it.
package dialogue

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"proxima/clock"
	"proxima/crew"
	"proxima/resolver/reply"
	"proxima/resolver/selection"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
)

// An Exchanger asks one authoritative server one question.
type Exchanger interface {
	// Exchange sends q by UDP, or by TCP if stream is set, and returns the reply
	// to it: same question, QR set. It returns an error that is
	// context.DeadlineExceeded when no reply came in time, and any other error
	// when the network refused. It does not change q.
	//
	// If ctx has a method Cancelled() <-chan struct{}, then who keeps to its
	// Deadline need not ask for its Done, which costs a timer: what is not its
	// time that ends it closes that channel.
	//
	// An error with a method Suspicious() bool that says true means that over UDP
	// something came that looks forged: the wrong ID, the wrong letter case.
	Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error)
}

// Options say how an Asker works.
type Options struct {
	Exchanger Exchanger        // required
	Selection *selection.Table // required; is told how servers behave
	Rand      *rand.Rand       // owned by the Asker from then on; default ChaCha8 with a random seed
}

// An Asker knows how servers want to be asked. It may be used by many
// goroutines.
type Asker struct {
	exchanger Exchanger // immutable after New, as is selection
	selection *selection.Table

	chance sync.Mutex // guards rand
	rand   *rand.Rand

	learning sync.Mutex // held to change an entry of servers
	servers  *lru.TwoQueueCache[netip.AddrPort, standing]

	counts counts
}

// New returns an Asker that knows nothing yet.
func New(o Options) (*Asker, error) {
	switch {
	case o.Exchanger == nil:
		return nil, errors.New("dialogue: Exchanger: none given")
	case o.Selection == nil:
		return nil, errors.New("dialogue: Selection: none given")
	}
	if o.Rand == nil {
		var seed [32]byte
		crand.Read(seed[:])
		o.Rand = rand.New(rand.NewChaCha8(seed))
	}
	servers, err := lru.New2Q[netip.AddrPort, standing](serverTableSize)
	if err != nil {
		return nil, fmt.Errorf("dialogue: %w", err)
	}
	return &Asker{exchanger: o.Exchanger, selection: o.Selection, rand: o.Rand, servers: servers}, nil
}

// An End is how asking a server ended.
type End uint8

// How asking ended.
const (
	Replied End = iota
	Silent      // no reply came in time
	Failed      // the network, what came, or a limit made a reply impossible
	Barred      // this host let no question out to it: as it lacks an address, or by a filter
	Unpaid      // only a stream could bring the reply, and neither Budget nor host has one for it
)

// ErrNoSocket says that this host had no means to ask, which is no server's fault.
var ErrNoSocket = errors.New("dialogue: no socket")

// Ask puts q to the server, which has so long for each reply over UDP. It returns
// what the reply is worth, if the end is Replied. An error means that nobody
// else is to be asked either: it is that of Pay, of ctx, or ErrNoSocket.
func (a *Asker) Ask(ctx context.Context, q *Question, to netip.AddrPort, timeout time.Duration) (reply.Verdict, End, error) {
	c, s := q.course(to), a.recall(to)
	w, end := c.begin(q, s, clock.Now()), Failed
	var m *dns.Msg
	var rtt time.Duration
	again := c.affords(q, w)
	if !again {
		a.limit(q, c, w)
	}
	for first := true; again; first = false {
		if w.stream && c.silences < 2 { // else it has its time: it is not to cost more than UDP would
			timeout = streamTimeout
		}
		came, err := a.exchange(ctx, q, c, to, timeout, w)
		if err != nil {
			return reply.Verdict{}, Failed, err
		}
		if first && !w.stream && came.reply != nil {
			rtt = came.rtt
		}
		m, end = came.reply, came.end
		next, change := c.after(q, w, came)
		if again = change && c.affords(q, next); again {
			w = next
		} else if change {
			a.limit(q, c, next)
		}
	}
	switch {
	case (m == nil || m.Truncated) && !q.Budget.MayBreak() && !c.broken:
		return reply.Verdict{}, Unpaid, nil // which says nothing of the server
	case m == nil:
		return reply.Verdict{}, end, nil
	}
	v := reply.Classify(q.Question, m, q.From)
	a.learn(to, q, c, w, m, v.Kind != reply.Lame)
	a.selection.Note(to, outcome(v), rtt, clock.Now())
	return v, Replied, nil
}

// What came of one exchange.
type came struct {
	reply      *dns.Msg // nil if none
	rtt        time.Duration
	end        End
	suspicious bool // what came by UDP looks forged: only a stream can tell
}

// exchange pays for one exchange, makes it, and notes a failure. An error ends
// the question.
func (a *Asker) exchange(ctx context.Context, q *Question, c *course, to netip.AddrPort, timeout time.Duration, w way) (came, error) {
	if err := q.Pay(); err != nil {
		return came{}, err
	}
	c.count(w)
	a.counts.count(w)
	within := crew.Within(ctx, timeout)
	defer within.Stop()
	asked, began := q.message(w, a.dress(q.Name, w)), clock.Now()
	m, err := a.exchanger.Exchange(within, to, asked, w.stream)
	rtt := clock.Since(began)
	q.note(to, w, rtt, m, err)
	if err == nil {
		q.Budget.Receive(price(m))
		if w.stream && !w.lower && caseChanged(asked, m) {
			a.learnCase(to)
		}
		undress(asked, m)
		return came{reply: m, rtt: rtt}, nil
	}
	if ctx.Err() != nil {
		return came{}, ctx.Err()
	}
	if !w.stream && isSuspicious(err) {
		a.counts.suspicious.Add(1)
		return came{end: Failed, suspicious: true}, nil
	}
	if w.stream {
		c.broken = true
		q.Budget.Broke()
		a.unlearnDeaf(to)
	}
	return a.failure(c, to, w, err)
}

// failure notes an exchange without a reply.
func (a *Asker) failure(c *course, to netip.AddrPort, w way, err error) (came, error) {
	o, end := selection.TimedOut, Silent
	if errors.Is(err, context.DeadlineExceeded) {
		a.counts.timeouts.Add(1)
		if !w.stream {
			c.silences++
		}
	} else {
		a.counts.faults.Add(1)
		var theirs bool
		switch o, theirs = blame(err); {
		case w.stream && (!theirs || barred(err)):
			return came{end: Unpaid}, nil // another server may do without
		case !theirs:
			return came{}, ErrNoSocket
		}
		if end = Failed; barred(err) {
			end = Barred
		}
		if w.stream && c.silences > 0 { // it is as silent as it was over UDP
			o, end = selection.TimedOut, Silent
		}
	}
	a.selection.Note(to, o, 0, clock.Now())
	return came{end: end}, nil
}
