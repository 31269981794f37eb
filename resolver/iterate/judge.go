package iterate

import (
	"context"
	"errors"

	"proxima/resolver/anchor"
	"proxima/resolver/dnssec"
	"proxima/resolver/found"
	"proxima/resolver/limit"
	"proxima/resolver/reply"
	"proxima/resolver/trust"
	"proxima/wire"

	"github.com/miekg/dns"
)

// A verdict is a reply's, with what the chain of trust says of it.
type verdict struct {
	reply.Verdict
	proven trust.Finding // of an answer, an alias or a denial
	zone   *trust.Zone   // of a referral: where it leads to; nil if nobody has looked
	stream bool          // the reply did not fit into a datagram
}

// judgeOf returns the judge of replies to q by the servers of cut. Answers and
// denials are judged only if they are to be believed.
func (t *task) judgeOf(cut *Cut, q dns.Question, believed bool) judge {
	if t.unchecked || !t.w.chain.Validates() {
		return nil
	}
	j := &trust.Judge{Chain: t.w.chain, Zone: cut.Trust, Servers: cut.key(), Work: t.b.Work}
	j.Ask = func(ctx context.Context, q dns.Question, look func(context.Context, *reply.Verdict) error) error {
		// The question in hand has a seat at the zone already.
		below := t.proving(q)
		v, err := below.askSeated(ctx, cut, q, limit.MaxFaults, func(ctx context.Context, v *verdict) error {
			return look(ctx, &v.Verdict)
		})
		below.noteProof(q, v, err)
		return err
	}
	return func(ctx context.Context, v *verdict) (err error) {
		switch {
		case v.Kind == reply.Referral:
			v.zone, err = j.Referral(ctx, &v.Verdict)
		case believed:
			v.proven, err = j.Records(ctx, q, &v.Verdict)
		}
		return t.explain(ctx, err)
	}
}

// known returns the answer to q, a name of cut's zone, if it follows from what
// the zone has denied before.
func (t *task) known(cut *Cut, q dns.Question) (*verdict, bool) {
	if t.unchecked || !t.w.chain.Validates() {
		return nil, false
	}
	v, ok := t.w.chain.Known(q, cut.Trust, t.b.Work)
	if ok {
		t.w.counts.known.Add(1)
		t.note.Recall(q, "what its zone has proven before", 0)
	}
	return &verdict{Verdict: v, proven: trust.Finding{Status: dnssec.Secure}}, ok
}

// explain makes an *Error of what a judge could not find out. What is wrong with
// the reply at hand stays a *dnssec.ProofError.
func (t *task) explain(ctx context.Context, err error) error {
	var link *trust.LinkError
	var e *Error
	switch {
	case errors.Is(err, trust.ErrBusy):
		t.note.Struck("seats to verify signatures")
		return t.strike(limit.Proofs, t.q.Name)
	case errors.Is(err, trust.ErrShare):
		return t.strike(limit.ZoneProofs, t.q.Name)
	case errors.As(err, &link) && errors.As(err, &e):
		if e.Bogus || !e.lasting || ctx.Err() != nil {
			return owned(e)
		}
		code := e.Code
		if link.Type == dns.TypeDNSKEY {
			code = wire.EDEDNSKEYMissing
		}
		return &Error{Name: link.Zone, Code: code, Reason: dns.Type(link.Type).String() + ": " + e.Reason,
			Bogus: true, Unsure: e.Silent, Silent: e.Silent, lasting: true}
	case err != nil && ctx.Err() != nil:
		return late(t.q.Name)
	}
	return err
}

// unproven is the error of a proof that failed.
func unproven(p *dnssec.ProofError) *Error {
	return &Error{Name: p.Name, Code: p.Code, Reason: p.Reason, Bogus: true, spent: p.Spent, lasting: !p.Spent}
}

// sentinel is the error that answers the question whether a key of the root is
// trusted, RFC 8509: the answer to such a name is withheld from who does not set
// CD, as though it were bogus.
func (t *task) sentinel(r *found.Records) error {
	if r.Status != dnssec.Secure || t.q.Qtype != dns.TypeA && t.q.Qtype != dns.TypeAAAA {
		return nil
	}
	if s, ok := anchor.ReadSentinel(t.q.Name); !ok || !s.Fails(t.w.chain.Anchors(".")) {
		return nil
	}
	return &Error{Name: t.q.Name, Code: wire.EDEOther, Reason: "the root key sentinel says no", Bogus: true}
}

// configured returns a cut that the operator has named with what the chain of
// trust says of its zone; other cuts know that.
func (t *task) configured(ctx context.Context, cut *Cut) (*Cut, error) {
	if !cut.explicit || t.unchecked || !t.w.chain.Validates() {
		return cut, nil
	}
	within, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	zone, err := t.w.chain.Configured(cut.Zone, cut.key(), func(q dns.Question) (*reply.Verdict, trust.Finding, error) {
		v, err := t.find(within, q)
		var e *Error
		switch {
		case err == nil:
			return &v.Verdict, v.proven, nil
		case errors.As(err, &e) && e.Silent && ctx.Err() == nil:
			// Who could keep the DS from us could otherwise turn validation off. Those
			// who set CD may have what can be had, as Unbound gives it to them.
			return nil, trust.Finding{}, &Error{Name: cut.Zone, Code: wire.EDENoReachableAuthority,
				Reason: "nobody says whether the configured zone is signed", Bogus: true, Unsure: true, Silent: true, lasting: true}
		case errors.As(err, &e) && !e.Bogus && !e.spent:
			return nil, trust.Finding{}, nil
		}
		return nil, trust.Finding{}, err
	})
	if err != nil {
		return nil, owned(err)
	}
	known := *cut
	known.Trust = zone
	return &known, nil
}
