package trust

import (
	"context"
	"slices"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/reply"

	"github.com/miekg/dns"
)

// zoneOf returns the zone to which name belongs, as far as the servers tell:
// the one that was asked, or one below that they have too, so that no referral
// told of it. Asking for DS at each label finds those. If the zone is Secure, it
// comes with its keys.
func (j *Judge) zoneOf(ctx context.Context, name string) (*Zone, error) {
	zone, err := j.keyed(ctx, j.Zone)
	for at := j.Zone.Name; err == nil && at != name; {
		at = towards(at, name)
		var below *Zone
		if below, err = j.zoneAt(ctx, zone, at); below != nil {
			zone, err = j.keyed(ctx, below)
		}
	}
	return zone, err
}

// zoneAt returns the zone that begins at name, which belongs to parent; nil if
// none begins there. An insecure zone proves nothing of what is below; there it
// returns only what the operator has decreed.
func (j *Judge) zoneAt(ctx context.Context, parent *Zone, name string) (*Zone, error) {
	at := clock.Now()
	if z, ok := j.Chain.decree(name, at); ok || parent.Status != dnssec.Secure {
		if !ok {
			return nil, nil
		}
		return z, nil
	}
	here := place{j.Servers, name}
	if f, ok := j.Chain.recall(here, at); ok {
		return f.zone, nil
	}
	var f fact
	q := dns.Question{Name: name, Qtype: dns.TypeDS, Qclass: dns.ClassINET}
	ask := func() error {
		err := j.Ask(ctx, q, func(ctx context.Context, v *reply.Verdict) (err error) {
			f, err = j.readCut(ctx, parent, q, v)
			return err
		})
		if err == nil {
			j.Chain.known.Add(here, f)
		}
		return err
	}
	asked, err := j.Chain.links.join(ctx, link{here, dns.TypeDS}, ask)
	if !asked {
		var ok bool
		if f, ok = j.Chain.recall(here, clock.Now()); !ok {
			err = ask()
		}
	}
	if err != nil {
		return nil, &LinkError{Zone: name, Type: dns.TypeDS, Err: err}
	}
	return f.zone, nil
}

// readCut reads, out of a reply to the question for the DS of a name, whether a
// zone begins there and what the chain of trust says of it.
func (j *Judge) readCut(ctx context.Context, parent *Zone, q dns.Question, v *reply.Verdict) (fact, error) {
	z, err := j.readDS(ctx, parent, q.Name, v)
	if err == nil {
		return fact{z, z.Expires}, nil
	}
	if !refuted(err) || v.Kind == reply.Answer {
		return fact{}, err
	}
	// No zone begins there if it is proven that there is no cut.
	proof, err := j.compute(ctx, parent, func() (reply.Proof, error) {
		at := j.Chain.signingTime()
		if parts := v.Parts(); v.Kind == reply.Alias && len(parts) > 0 {
			return parts[0].Verify(parent.Keys, v.Proofs(), at, j.Work)
		}
		return v.ProveDenial(q, parent.Keys, at, j.Work)
	})
	return fact{until: clock.Now().Add(time.Duration(proof.TTL) * time.Second)}, err
}

// keyed returns the zone with its keys, if it is Secure. It turns out to be
// Insecure if all its keys are of unsupported kinds.
func (j *Judge) keyed(ctx context.Context, z *Zone) (*Zone, error) {
	if known := j.withKeys(z); known != nil {
		return known, nil
	}
	var keyed *Zone
	ask := func() (err error) {
		keyed, err = j.askKeys(ctx, z)
		return err
	}
	asked, err := j.Chain.links.join(ctx, link{place{j.Servers, z.Name}, dns.TypeDNSKEY}, ask)
	if !asked {
		if keyed = j.withKeys(z); keyed == nil {
			err = ask()
		}
	}
	if err != nil {
		return nil, &LinkError{Zone: z.Name, Type: dns.TypeDNSKEY, Err: err}
	}
	return keyed, nil
}

// withKeys returns the zone with its keys if they are known, or need not be; else
// nil.
func (j *Judge) withKeys(z *Zone) *Zone {
	if z.Status != dnssec.Secure {
		return z
	}
	f, ok := j.Chain.keyed.Get(place{j.Servers, z.Name})
	same := func(a, b *dns.DS) bool { return a == b || dns.IsDuplicate(a, b) }
	if !ok || !clock.Now().Before(f.until) || !slices.EqualFunc(f.zone.DS, z.DS, same) { // the parent says something new
		return nil
	}
	return f.zone
}

// askKeys asks for the keys of a Secure zone.
func (j *Judge) askKeys(ctx context.Context, z *Zone) (*Zone, error) {
	at := j.Chain.signingTime()
	keyed, life := *z, unjudgedLife
	q := dns.Question{Name: z.Name, Qtype: dns.TypeDNSKEY, Qclass: dns.ClassINET}
	err := j.Ask(ctx, q, func(ctx context.Context, v *reply.Verdict) error {
		_, err := j.compute(ctx, z, func() (_ reply.Proof, err error) {
			keyed.Keys, err = dnssec.TrustKeys(z.Name, z.DS, v.Keys(), at, j.Work)
			return reply.Proof{}, err
		})
		if why, lacking := lacks(err); lacking {
			keyed = *z.insecure(why)
			return nil
		}
		life = min(max(keyed.Keys.Expires().Sub(at), minKeysLife), maxLife)
		return err
	})
	if err == nil {
		j.Chain.keyed.Add(place{j.Servers, z.Name}, fact{&keyed, clock.Now().Add(life)})
	}
	return &keyed, err
}

// Configured returns the zone whose servers the operator has named, so that no
// referral leads to it. It is what an Internet proves it to be that knows it:
// ask brings what was found at its DS, or nothing if nobody could be asked. What
// the Internet knows nothing of is insecure; the operator has said where it is.
func (c *Chain) Configured(name, servers string, ask func(dns.Question) (*reply.Verdict, Finding, error)) (*Zone, error) {
	at := clock.Now()
	if name == "." {
		return c.Root(at), nil
	}
	if z, ok := c.decree(name, at); ok {
		return z, nil
	}
	here := place{servers, name}
	if f, ok := c.recall(here, at); ok {
		return f.zone, nil
	}
	l := link{here, dns.TypeDS}
	if err := c.links.recall(l); err != nil {
		return nil, err
	}
	v, found, err := ask(dns.Question{Name: name, Qtype: dns.TypeDS, Qclass: dns.ClassINET})
	if err != nil {
		c.links.note(l, err)
		return nil, err
	}
	z := &Zone{Name: name, Why: found.Why, Expires: at.Add(isolatedLife)}
	if v != nil {
		var ds []*dns.DS
		if found.Status == dnssec.Secure && v.Kind == reply.Answer {
			ds = v.DS(name)
		}
		z = c.delegated(name, ds, at, v.LeastTTL())
	}
	z.Until, z.Expires = found.Until, clock.Sooner(z.Expires, found.Until)
	c.known.Add(here, fact{z, z.Expires})
	return z, nil
}
