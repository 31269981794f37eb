package resolver

import (
	"context"
	"fmt"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/resolver/iterate"
	"proxima/resolver/record"
	"proxima/wire"

	"github.com/miekg/dns"
)

// Explain walks for a question of class IN as for a client's, whatever the
// cache has of it, and returns what was known and what was done. With cd set
// nothing is proven. What the walk learns is kept; its answer is not.
func (r *Resolver) Explain(ctx context.Context, name string, typ uint16, cd bool) (*record.Question, error) {
	if err := Explainable(typ); err != nil {
		return nil, fmt.Errorf("resolver: explain: %w", err)
	}
	var space [wire.MaxName + 1]byte
	end, err := dns.PackDomainName(dns.CanonicalName(name), space[:], 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("resolver: explain: %q is no name", name)
	}
	name, _, err = dns.UnpackDomainName(space[:end], 0) // as replies will have it, odd octets escaped
	if err != nil {
		return nil, fmt.Errorf("resolver: explain: %q is no name", name)
	}
	q := dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET}
	note := record.Begin(q.Name, record.TypeName(typ, dns.Type(typ).String()), clock.Now)
	for _, known := range []struct {
		what string
		*cache.Answer
	}{
		{"answer", r.cache.Get(space[:end], typ, wire.ClassIN)},
		{"failure", r.failures.Get(space[:end], typ, wire.ClassIN)},
	} {
		if known.Answer != nil {
			at := clock.Now()
			note.Recalled(record.Recall{
				Name: q.Name, Type: note.Type, Left: max(known.Expires().Sub(at), 0),
				What: fmt.Sprintf("%v %v %s, not used here", known.State(at), known.Security(), known.what),
			})
		}
	}
	began := clock.Now()
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	_, _ = r.walker.Explain(ctx, q, iterate.NewBudget(), note, cd) // note has the answer, or why there is none
	noteTime(note, clock.Since(began))
	return note, nil
}

// Explainable says why nobody can be asked for records of a type, or nil.
func Explainable(typ uint16) error {
	if !isData(typ) {
		return fmt.Errorf("%s is no type of records: no server is asked for it", record.TypeName(typ, dns.Type(typ).String()))
	}
	return nil
}

// noteTime records which limits of time a walk has touched: those of clients end
// no walk, but what they are told in its place.
func noteTime(note *record.Question, took time.Duration) {
	if took >= staleAfter {
		note.Struck(fmt.Sprintf("patience of a client: with something stale in the cache it had that after %v", staleAfter))
	}
	if took >= replyWithin {
		note.Struck(fmt.Sprintf("patience of a client: without, it had SERVFAIL with EDE 22 after %v", replyWithin))
	}
	if took >= flightTime {
		note.Struck(fmt.Sprintf("work on one question: %v", flightTime))
	}
}
