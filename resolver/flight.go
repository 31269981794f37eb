package resolver

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/crew"
	"proxima/resolver/iterate"
	"proxima/wire"

	"github.com/miekg/dns"
)

// Failures are remembered so that a broken zone is not asked again at once,
// RFC 9520 section 3.2, which allows 1 s to 5 min. The first lasts 5 s, each
// further one twice as long, up to a minute.
const (
	minFailureTTL = 5 * time.Second
	maxFailureTTL = 60 * time.Second

	// bogusTTL is how long a bogus answer is remembered: a minute, as Unbound.
	// Zones are not mended faster, and validating them costs.
	bogusTTL = 60 * time.Second
)

// A question is what a flight is about, and one of them only. The class is IN.
type question struct {
	name     string // wire form, lower case
	typ      uint16
	unproven bool // whatever can be had: the answer that can be proven is bogus
}

// A flight is the work on one question. It outlives the client that began it.
type flight struct {
	key    question
	landed chan struct{}      // closed when answer and failed are set
	cancel context.CancelFunc // ends the walk
	purse  *iterate.Budget    // what it may spend; once landed, what is left of it
	began  time.Time          // by its first client: those who join it make it no younger

	// Guarded by Resolver.mu. A flight that refreshes has a place with the
	// refresher. Others have one among those that may run their full time, or
	// else one in young.
	refresh bool
	young   *list.Element

	// Immutable once landed is closed.
	answer *cache.Answer // of a failure, the SERVFAIL
	failed bool
}

// board joins the flight for a question, or begins it with this purse, and takes
// a waiter's place, which leave frees. Without a place there is no flight but a
// reason.
func (r *Resolver) board(key question, purse *iterate.Budget) (*flight, *wire.EDE) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, at := r.flights[key], clock.Now()
	switch {
	case r.closed:
		return nil, edeClosing
	case r.waiters >= maxWaiters, f == nil && !r.makeRoom(at):
		r.counts.busy.Add(1)
		return nil, edeBusy
	}
	if f == nil {
		f = &flight{key: key, purse: purse, began: at}
		if r.settled < maxFlights/2 {
			r.settled++
		} else {
			f.young = r.young.PushBack(f)
		}
		r.begin(f)
	}
	r.waiters++
	return f, nil
}

// leave frees a waiter's place.
func (r *Resolver) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters--
}

// makeRoom reports whether another client's flight may begin. If all places are
// taken, the oldest of those in young has to land, unless it is too young for
// that, too. The caller holds mu.
func (r *Resolver) makeRoom(at time.Time) bool {
	if r.settled+r.young.Len() < maxFlights {
		return true
	}
	oldest := r.young.Front().Value.(*flight)
	if at.Sub(oldest.began) < jostleAfter {
		return false
	}
	r.counts.jostled.Add(1)
	oldest.cancel()
	r.forget(oldest)
	return true
}

// begin starts a flight that has its place. The caller holds mu.
func (r *Resolver) begin(f *flight) {
	outer, cancel := context.WithCancel(r.ctx)
	f.cancel = cancel
	ctx := crew.Within(outer, flightTime)
	f.landed = make(chan struct{})
	r.flights[f.key] = f
	r.flying.Go(func() {
		defer ctx.Stop()
		r.fly(ctx, f)
	})
}

// forget gives up the place of a flight, if it still has one. The caller holds mu.
func (r *Resolver) forget(f *flight) {
	if r.flights[f.key] != f {
		return
	}
	delete(r.flights, f.key)
	switch {
	case f.refresh:
		<-r.places
	case f.young != nil:
		r.young.Remove(f.young)
	default:
		r.settled--
	}
}

// fly walks for the question, stores what came of it and lands. That a walk was
// ended before its time says nothing of the question, and is not remembered.
func (r *Resolver) fly(ctx context.Context, f *flight) {
	r.counts.flights.Add(1)
	defer f.cancel()
	a, err := r.lookup(ctx, f)
	if err != nil {
		r.counts.failed.Add(1)
		a = r.failure(f.key, err, clock.Now())
		f.failed = true
	}
	var known *iterate.Error
	switch {
	case f.failed && errors.Is(ctx.Err(), context.Canceled):
	case errors.As(err, &known) && known.Local:
	case f.key.unproven:
		r.unproven.Put(a)
	case !f.failed:
		r.cache.Put(a)
	default:
		r.failures.Put(a)
	}
	switch {
	case f.refresh && f.failed:
		r.counts.refreshFailed.Add(1)
	case f.refresh:
		r.counts.refreshed.Add(1)
	}
	f.answer = a
	r.mu.Lock()
	r.forget(f)
	r.mu.Unlock()
	close(f.landed)
}

// lookup walks for the question. A panic costs this question and nothing else:
// if it ended the process, one question would end all nodes, one after another.
func (r *Resolver) lookup(ctx context.Context, f *flight) (a *cache.Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.counts.panics.Add(1)
			a, err = nil, fmt.Errorf("resolver: panic: %v", v)
		}
	}()
	walk := r.walker.Lookup
	switch {
	case f.key.unproven:
		walk = r.walker.LookupUnchecked
	case f.refresh:
		walk = r.walker.Refresh
	}
	return walk(ctx, f.key.dns(), f.purse)
}

// dns returns the question as the slow path has it.
func (k question) dns() dns.Question {
	name, _, err := dns.UnpackDomainName([]byte(k.name), 0)
	if err != nil {
		panic("resolver: a name that wire has read is none: " + err.Error())
	}
	return dns.Question{Name: name, Qtype: k.typ, Qclass: dns.ClassINET}
}

// failure makes the SERVFAIL that tells of err, and lives as long as the
// question is not to be asked again. The ID of its packet, which no client
// sees, counts the failures in a row.
func (r *Resolver) failure(key question, err error, at time.Time) *cache.Answer {
	row := uint16(1)
	last := r.failures.Get([]byte(key.name), key.typ, wire.ClassIN)
	if last != nil && last.State(at) != cache.Dead {
		row = min(binary.BigEndian.Uint16(last.Packet()), 16) + 1
	}
	meta := cache.Meta{At: at, TTL: min(minFailureTTL<<(row-1), maxFailureTTL), Stale: maxFailureTTL}
	m := dns.Msg{Compress: true, Question: []dns.Question{key.dns()}}
	m.Id, m.Response, m.RecursionAvailable, m.Rcode = row, true, true, dns.RcodeServerFailure
	meta.EDE = &wire.EDE{Code: wire.EDEOther, Text: "internal error"}
	var known *iterate.Error
	if errors.As(err, &known) {
		meta.EDE.Code, meta.EDE.Text = known.EDE()
		if known.Bogus {
			meta.Security, meta.TTL = cache.Bogus, bogusTTL
			if known.Unsure {
				meta.Security, meta.TTL = cache.Unproven, minFailureTTL
			}
		}
		if known.Silent { // and so soon heard again: all is fresh 5 s after a blackout
			meta.TTL = minFailureTTL
		}
		for _, rr := range known.Chain {
			rr = dns.Copy(rr)
			rr.Header().Name = dns.CanonicalName(rr.Header().Name) // not the letter case in which we asked
			rr.Header().Ttl = uint32(meta.TTL / time.Second)
			m.Answer = append(m.Answer, rr)
		}
	}
	if a, err := pack(&m, meta); err == nil {
		return a
	}
	m.Answer = nil // too long a chain to be told
	a, err := pack(&m, meta)
	if err != nil {
		panic("resolver: a reply of nothing but a question cannot be made: " + err.Error())
	}
	return a
}

// pack makes an answer of a message.
func pack(m *dns.Msg, meta cache.Meta) (*cache.Answer, error) {
	packet, err := m.Pack()
	if err != nil {
		return nil, err
	}
	return cache.NewAnswer(packet, meta)
}
