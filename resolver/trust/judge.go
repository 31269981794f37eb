package trust

import (
	"context"
	"errors"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
	"proxima/wire"

	"github.com/miekg/dns"
)

// An Ask asks the servers of one cut a question, until look accepts a reply. If
// look returns a *dnssec.ProofError, another server may be asked; any other
// error ends the question. Ask returns nil once look has.
type Ask func(ctx context.Context, q dns.Question, look func(context.Context, *reply.Verdict) error) error

// A Judge judges what the servers of one cut reply to one query's questions.
type Judge struct {
	Chain   *Chain
	Zone    *Zone  // what the servers were asked for
	Servers string // names them
	Ask     Ask
	Work    *dnssec.Work
}

// A Finding is what is proven of records.
type Finding struct {
	Status dnssec.Status // Secure or Insecure
	Why    *wire.EDE     // why it is Insecure, if clients are told
	Until  time.Time     // of what an Exception has kept from being judged: when that ends; else zero
}

// lower makes the finding Insecure, since a part of it is.
func (f *Finding) lower(why *wire.EDE) {
	f.Status = dnssec.Insecure
	if f.Why == nil {
		f.Why = why
	}
}

// A LinkError says that a link of the chain of trust could not be had.
type LinkError struct {
	Zone string
	Type uint16 // DS or DNSKEY
	Err  error  // what Ask returned
}

// Error names the records and the reason.
func (e *LinkError) Error() string {
	return "trust: " + e.Zone + " " + dns.Type(e.Type).String() + ": " + e.Err.Error()
}

// Unwrap returns what Ask returned.
func (e *LinkError) Unwrap() error { return e.Err }

// Records verifies an answer, an alias or a denial of q. Each set is judged by
// the keys of its own zone. What is not verified is taken away, or lowers the
// whole finding. The error is a *dnssec.ProofError if the reply is at fault.
func (j *Judge) Records(ctx context.Context, q dns.Question, v *reply.Verdict) (Finding, error) {
	f := Finding{Status: dnssec.Secure}
	if v.Kind == reply.Denial {
		proof, err := j.verify(ctx, v.Denier(q, j.Zone.Name), &f, func(k dnssec.Keys) (reply.Proof, error) {
			return v.ProveDenial(q, k, j.Chain.signingTime(), j.Work)
		})
		if err == nil && f.Status == dnssec.Secure {
			j.Chain.remember(proof)
		}
		return f, err
	}
	parts := v.Parts()
	var wildcards []verified
	for _, part := range parts {
		proof, err := j.verify(ctx, part.Home(j.Zone.Name), &f, func(k dnssec.Keys) (reply.Proof, error) {
			return part.Verify(k, v.Proofs(), j.Chain.signingTime(), j.Work)
		})
		if err != nil {
			return f, err
		}
		if proof.Signed.Wildcard == "" {
			continue
		}
		wildcards = append(wildcards, proof)
	}
	if f.Status == dnssec.Secure {
		v.Authority = nil // nobody has looked at it, but for
		for _, proof := range wildcards {
			v.AddDenial(proof.Proof)
		}
	}
	for _, proof := range wildcards { // from here on nobody may change a record
		j.Chain.remember(proof)
	}
	if len(parts) == 0 {
		f.lower(nil)
	}
	return f, nil
}

// A verified is a proof with the zone whose keys have signed it.
type verified struct {
	reply.Proof
	zone string
}

// verify finds the keys of the zone that name belongs to and proves something
// with them. If the zone is insecure, so is f.
func (j *Judge) verify(ctx context.Context, name string, f *Finding,
	prove func(dnssec.Keys) (reply.Proof, error)) (proof verified, err error) {
	zone, err := j.zoneOf(ctx, name)
	if err != nil {
		return proof, err
	}
	if zone.Status != dnssec.Secure {
		f.lower(zone.Why)
		f.Until = clock.Sooner(f.Until, zone.Until)
		return proof, nil
	}
	proof.zone = zone.Name
	proof.Proof, err = j.compute(ctx, zone, func() (reply.Proof, error) { return prove(zone.Keys) })
	switch why, lacking := lacks(err); {
	case lacking:
		f.lower(why)
		return verified{}, nil
	case err == nil && proof.Status != dnssec.Secure:
		f.lower(nil)
	}
	return proof, err
}

// Referral returns the zone that a referral leads to.
func (j *Judge) Referral(ctx context.Context, v *reply.Verdict) (*Zone, error) {
	at := clock.Now()
	if z, ok := j.Chain.decree(v.Zone, at); ok {
		return z, nil
	}
	if j.Zone.Status != dnssec.Secure && !j.Chain.anchored(j.Zone.Name, v.Zone) {
		return j.below(j.Zone, v, at), nil
	}
	if signer := v.Referrer(j.Zone.Name); signer != "" {
		parent, err := j.zoneOf(ctx, signer)
		switch {
		case err != nil:
			return nil, err
		case parent.Status != dnssec.Secure:
			return j.below(parent, v, at), nil
		}
		z, err := j.readDS(ctx, parent, v.Zone, v)
		if err == nil || len(v.DS(v.Zone)) > 0 || !refuted(err) {
			return z, err
		}
	}
	// The referral proves nothing of the DS: they have to be asked for.
	parent, err := j.zoneOf(ctx, reply.Above(v.Zone))
	if err != nil {
		return nil, err
	}
	if parent.Status != dnssec.Secure {
		return j.below(parent, v, at), nil
	}
	z, err := j.zoneAt(ctx, parent, v.Zone)
	if z == nil && err == nil {
		err = &dnssec.ProofError{Code: wire.EDEBogus, Name: v.Zone, Reason: "referral to what is no zone, says " + parent.Name}
	}
	return z, err
}

// below returns the zone that v refers to, which is as insecure as z.
func (j *Judge) below(z *Zone, v *reply.Verdict, at time.Time) *Zone {
	return &Zone{Name: v.Zone, Why: z.Why, Expires: clock.Sooner(at.Add(maxLife), z.Until), Until: z.Until}
}

// readDS returns the zone child, of which a reply by servers of its parent
// proves the DS, or that there are none.
func (j *Judge) readDS(ctx context.Context, parent *Zone, child string, v *reply.Verdict) (*Zone, error) {
	var ds []*dns.DS
	proof, err := j.compute(ctx, parent, func() (proof reply.Proof, err error) {
		ds, proof, err = v.ReadDS(child, parent.Keys, j.Chain.signingTime(), j.Work)
		return proof, err
	})
	if why, lacking := lacks(err); lacking {
		ttl := min(v.LeastTTL(), uint32(unjudgedLife/time.Second))
		return j.Chain.delegated(child, nil, clock.Now(), ttl).insecure(why), nil
	}
	if err != nil {
		return nil, err
	}
	return j.Chain.delegated(child, ds, clock.Now(), proof.TTL), nil
}

// compute computes a proof of what a zone has signed, at the bench.
func (j *Judge) compute(ctx context.Context, z *Zone, prove func() (reply.Proof, error)) (proof reply.Proof, err error) {
	j.Chain.proofs.Add(1)
	if full := j.Chain.bench.do(ctx, z.Name, func() { proof, err = prove() }); full != nil {
		return proof, full
	}
	return proof, err
}

// lacks reports whether err says no more than that a proof is beyond what is
// computed, so that nothing is wrong but the zone is insecure.
func lacks(err error) (why *wire.EDE, ok bool) {
	var p *dnssec.ProofError
	if !errors.As(err, &p) || p.Status() != dnssec.Insecure {
		return nil, false
	}
	code, text := p.EDE()
	return &wire.EDE{Code: code, Text: text}, true
}

// refuted reports whether err says that a proof was wrong or missing; not that
// it could not be computed.
func refuted(err error) bool {
	var p *dnssec.ProofError
	return errors.As(err, &p) && !p.Spent
}
