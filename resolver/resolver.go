// Package resolver decides how a question is answered.
//
// AnswerNow looks at a query on the goroutine that read it. Policy speaks
// first: what is refused, and which names are answered here and never asked of
// anybody. Then the cache; then the memory of failures. What is left is a miss:
// Answer joins the one flight for that question, in which iterate walks, and
// waits for it to land. A client waits 4.5 s at most, and if an old answer is
// there only 1.8 s (RFC 8767); the flight goes on for the cache's sake. What is
// asked for near the end of its life goes to the refresher, which has flights of
// its own. Hit or miss, every reply is composed by cache.Answer.AppendReply.
package resolver

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/crew"
	"proxima/resolver/iterate"
	"proxima/wire"

	"github.com/miekg/dns"
)

const (
	// replyWithin is when a client has its reply at the latest, counted from
	// when its query was read: 4.4 s, not configurable. Common clients give up
	// after 5 s; a tenth of the 4.5 s promised is left for the way out.
	replyWithin = 4400 * time.Millisecond

	// staleAfter is when a client gets an old answer instead of waiting longer
	// for a new one: 1.8 s, the client response timer of RFC 8767 section 5.
	staleAfter = 1800 * time.Millisecond

	// flightTime bounds the work for one question: 7 s, PowerDNS's number. It is
	// longer than any client waits, so that the next one finds the answer.
	flightTime = 7 * time.Second

	// maxFlights bounds the questions of clients being worked on: 4,096, each some
	// 10 KiB. Half of them may take their full time, which 300 hopeless questions
	// a second fill; the other half is kept for new ones, see jostleAfter.
	maxFlights = 4_096

	// jostleAfter is how long a question in that other half is safe: 200 ms,
	// Unbound's number. When all places are taken, the oldest beyond that age ends
	// for a new one, so that 10,000 questions a second have a chance each; most
	// names need less. Its clients get what is stale, or SERVFAIL with EDE 22.
	jostleAfter = 200 * time.Millisecond

	// maxWaiters bounds the clients that wait, on all flights together: 10,000.
	// Sharing a flight is cheap, but each waiter holds a goroutine and a buffer.
	// Who asks is not known here: server lets one client wait 200 times, 100 of them
	// for one question. Who is in is never failed because others come.
	maxWaiters = 10_000

	// maxIdentity bounds Options.ID, in octets: one string of a TXT record.
	maxIdentity = 255
)

// Options say what a Resolver works with.
type Options struct {
	Walker   *iterate.Walker // required; of this Resolver alone, which sets its Local
	Cache    *cache.Cache    // required: the answers
	Failures *cache.Cache    // required: a small one of its own, so that failures flush no answers
	Unproven *cache.Cache    // required: a small one of its own, for what only clients that set CD may have
	Warm     []dns.Question  // see KeepWarm
	ID       string          // what id.server. and hostname.bind. say, RFC 4892; empty: they are refused
}

// A Resolver answers questions. It has the shape of server.Handler and may be
// used by many goroutines.
type Resolver struct {
	walker   *iterate.Walker // immutable after New, as are all of this group
	cache    *cache.Cache
	failures *cache.Cache
	unproven *cache.Cache
	identity string // the record that says who we are; "" if nobody may know
	special  *specialNames
	seed     maphash.Seed    // of the moments when answers are refreshed
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc

	warm   []warmth           // owned by KeepWarm
	due    chan *cache.Answer // to be refreshed
	places chan struct{}      // one for each flight that refreshes

	mu      sync.Mutex // guards all of this group
	flights map[question]*flight
	settled int       // flights of clients that may take their full time
	young   list.List // of *flight, the others of clients, oldest first
	waiters int
	closed  bool

	timers     sync.Pool      // of *time.Timer, stopped
	flying     crew.Crew      // the flights
	refreshing sync.WaitGroup // the refresher
	counts     counts
}

// New returns a Resolver. An error names the field.
func New(o Options) (*Resolver, error) {
	switch {
	case o.Walker == nil:
		return nil, errors.New("resolver: Walker: none given")
	case o.Cache == nil:
		return nil, errors.New("resolver: Cache: none given")
	case o.Failures == nil || o.Failures == o.Cache:
		return nil, errors.New("resolver: Failures: wants a cache of its own")
	case o.Unproven == nil || o.Unproven == o.Cache || o.Unproven == o.Failures:
		return nil, errors.New("resolver: Unproven: wants a cache of its own")
	case len(o.ID) > maxIdentity:
		return nil, fmt.Errorf("resolver: ID: %d octets, want at most %d", len(o.ID), maxIdentity)
	}
	special := newSpecialNames(o.Walker.Zones())
	warm, err := warmths(o.Warm, special)
	if err != nil {
		return nil, err
	}
	r := &Resolver{
		walker: o.Walker, cache: o.Cache, failures: o.Failures, unproven: o.Unproven,
		identity: identityRecord(o.ID), special: special,
		flights: make(map[question]*flight),
		seed:    maphash.MakeSeed(), warm: warm,
		due: make(chan *cache.Answer, maxDue), places: make(chan struct{}, maxRefreshes),
	}
	r.timers.New = func() any { return time.NewTimer(time.Hour) }
	r.walker.Local = r.special.reply
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.refreshing.Go(r.refresh)
	return r, nil
}

// AnswerNow appends the reply to q if it is known: by policy, from the cache,
// or because the question has just failed. It neither blocks nor allocates.
func (r *Resolver) AnswerNow(dst []byte, q *wire.Query, at time.Time) (reply []byte, ok bool) {
	if reply, ok = r.decide(dst, q); ok {
		return reply, true
	}
	at = clock.At(at)
	a := r.cache.Get(q.Name, q.Type, q.Class)
	if a != nil && a.State(at) == cache.Fresh {
		if r.ends(a, at) {
			r.handOver(a)
		}
		return a.AppendReply(dst, q, at), true
	}
	return r.recall(dst, q, at, a, r.failures.Get(q.Name, q.Type, q.Class))
}

// recall appends the reply to q if it is known although a, what the cache has, is
// not fresh; failure is what the memory of failures has. Both may be nil.
func (r *Resolver) recall(dst []byte, q *wire.Query, at time.Time, a, failure *cache.Answer) (reply []byte, ok bool) {
	switch {
	case failure == nil:
		return dst, false
	case failure.State(at) == cache.Stale && failure.Security() != cache.Bogus && a != nil && a.State(at) == cache.Stale:
		r.retry(failure, a) // who was told to wait once need not wait for each further try
		r.counts.stale.Add(1)
		return a.AppendReply(dst, q, at), true
	case failure.State(at) != cache.Fresh:
		return dst, false
	case failure.Security() >= cache.Bogus && q.CD:
		a = r.unproven.Get(q.Name, q.Type, q.Class)
		if a == nil || a.State(at) != cache.Fresh {
			return dst, false
		}
		return a.AppendReply(dst, q, at), true
	case failure.Security() != cache.Bogus && a != nil && a.State(at) == cache.Stale:
		r.counts.stale.Add(1)
		return a.AppendReply(dst, q, at), true
	}
	r.counts.recalled.Add(1)
	return failure.AppendReply(dst, q, at), true
}

// Answer appends the reply to q, and waits for it 4.4 s from at. It appends
// nothing if ctx was cancelled, because then the client has gone.
func (r *Resolver) Answer(ctx context.Context, dst []byte, q *wire.Query, at time.Time) (reply []byte) {
	old, failure := r.cache.Get(q.Name, q.Type, q.Class), r.failures.Get(q.Name, q.Type, q.Class)
	if old != nil && old.State(clock.At(at)) == cache.Fresh {
		if reply, ok := r.AnswerNow(dst, q, at); ok {
			return reply
		}
	}
	if reply, ok := r.decide(dst, q); ok {
		return reply
	}
	at = clock.At(at)
	if reply, ok := r.recall(dst, q, at, old, failure); ok {
		return reply
	}
	if old != nil {
		if old.State(at) == cache.Stale {
			old = old.Copy() // as it may have left the cache when it is wanted
		} else {
			old = nil
		}
	}
	a, why := r.find(ctx, q, at, old != nil, failure)
	switch {
	case a != nil:
		return a.AppendReply(dst, q, at)
	case errors.Is(ctx.Err(), context.Canceled):
		return dst
	case old != nil:
		r.counts.stale.Add(1)
		return old.AppendReply(dst, q, at)
	}
	return wire.AppendError(dst, q, wire.RcodeServFail, why)
}

// find waits for the flight for q. If that finds that the answer is bogus, or
// another one just has, a client that set CD gets what can be had without proof
// (RFC 4035 section 3.2.2), for what the first flight has left to spend. failure
// is what the memory of failures has of q, or nil.
func (r *Resolver) find(ctx context.Context, q *wire.Query, at time.Time, stale bool, failure *cache.Answer) (*cache.Answer, *wire.EDE) {
	key := question{name: string(wire.AppendLower(nil, q.Name)), typ: q.Type}
	purse := iterate.NewBudget()
	if !q.CD || failure == nil || failure.State(at) != cache.Fresh || failure.Security() < cache.Bogus {
		f, why := r.wait(ctx, key, purse, at, stale)
		switch {
		case f == nil:
			return nil, why
		case !q.CD || f.answer.Security() < cache.Bogus:
			return f.answer, nil
		}
		purse = f.purse
	}
	key.unproven = true
	f, why := r.wait(ctx, key, purse, at, false)
	if f == nil {
		return nil, why
	}
	return f.answer, nil
}

// wait joins the flight for a question and returns it when it has landed, or why
// it brought nothing. If there is a stale answer, it waits less and brings no
// failure but a bogus answer: who has been answered has nothing stale to say.
func (r *Resolver) wait(ctx context.Context, key question, purse *iterate.Budget, at time.Time, stale bool) (*flight, *wire.EDE) {
	f, why := r.board(key, purse)
	if f == nil {
		return nil, why
	}
	defer r.leave()
	patience := replyWithin
	if stale {
		patience = staleAfter
	}
	timer := r.timers.Get().(*time.Timer)
	timer.Reset(clock.Until(at.Add(patience)))
	defer func() {
		timer.Stop()
		r.timers.Put(timer)
	}()
	select {
	case <-f.landed:
		switch {
		case f.failed && r.ctx.Err() != nil:
			return nil, edeClosing
		case f.failed && stale && f.answer.Security() != cache.Bogus:
			return nil, nil
		}
		return f, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if !stale {
		r.counts.late.Add(1)
	}
	return nil, edeLate
}

// Close ends the flights and waits for them. Afterwards only what is known is
// answered.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.refreshing.Wait() // who starts flights, too
	r.flying.Close()
}
