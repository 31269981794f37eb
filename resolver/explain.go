package resolver

import (
	"context"
	"fmt"

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
	if !isData(typ) {
		return nil, fmt.Errorf("resolver: explain: %s is no type of records", dns.Type(typ))
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
	note := record.Begin(q.Name, dns.Type(typ).String(), clock.Now)
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
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	_, _ = r.walker.Explain(ctx, q, iterate.NewBudget(), note, cd) // note has the answer, or why there is none
	return note, nil
}
