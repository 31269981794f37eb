package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"proxima/cache"
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
	landed chan struct{} // closed when the rest is set

	// Immutable once landed is closed.
	answer *cache.Answer // of a failure, the SERVFAIL
	failed bool
}

// board joins the flight for a question, or begins it, and takes a waiter's place, which
// leave frees. Without a place there is no flight but a reason.
func (r *Resolver) board(key question) (*flight, *wire.EDE) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flights[key]
	switch {
	case r.closed:
		return nil, edeClosing
	case r.waiters >= maxWaiters, f == nil && len(r.flights) >= maxFlights:
		r.counts.busy.Add(1)
		return nil, edeBusy
	}
	if f == nil {
		f = &flight{landed: make(chan struct{})}
		r.flights[key] = f
		r.flying.Go(func() { r.fly(key, f) })
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

// fly walks for the question, stores what came of it and lands.
func (r *Resolver) fly(key question, f *flight) {
	r.counts.flights.Add(1)
	ctx, cancel := context.WithTimeout(r.ctx, flightTime)
	defer cancel()
	a, err := r.lookup(ctx, key)
	if err != nil {
		r.counts.failed.Add(1)
		a = r.failure(key, err, time.Now())
		f.failed = true
	}
	var known *iterate.Error
	switch {
	case key.unproven:
		r.unproven.Put(a)
	case !f.failed:
		r.cache.Put(a)
	case !errors.As(err, &known) || !known.Local:
		r.failures.Put(a)
	}
	f.answer = a
	r.mu.Lock()
	delete(r.flights, key)
	r.mu.Unlock()
	close(f.landed)
}

// lookup walks for the question. A panic costs this question and nothing else:
// if it ended the process, one question would end all nodes, one after another.
func (r *Resolver) lookup(ctx context.Context, key question) (a *cache.Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.counts.panics.Add(1)
			a, err = nil, fmt.Errorf("resolver: panic: %v", v)
		}
	}()
	if key.unproven {
		return r.walker.LookupUnchecked(ctx, key.dns(), iterate.NewBudget())
	}
	return r.walker.Lookup(ctx, key.dns(), iterate.NewBudget())
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
		}
		for _, rr := range known.Chain {
			rr = dns.Copy(rr)
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
