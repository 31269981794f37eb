// Package phrase says in words what a walk found, for the record of it.
//
// A walk that is to be explained has what it did written down by package record,
// which knows words and figures alone. A Note is such a record in the hands of a
// walk, and puts into words what that deals in: replies, proofs, records, errors.
package phrase

import (
	"errors"
	"fmt"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/found"
	"proxima/resolver/record"
	"proxima/resolver/reply"
	"proxima/resolver/trust"

	"github.com/miekg/dns"
)

// A Note is the record of a question; with none, of a walk that nobody wants
// explained, its methods do nothing.
type Note struct{ *record.Question }

// Type writes a type as RFC 3597 section 5 does if it has no name of its own.
func Type(typ uint16) string { return record.TypeName(typ, dns.Type(typ).String()) }

// Raise begins the record of a question that this one raises.
func (n Note) Raise(q dns.Question, why string) Note {
	if n.Question == nil {
		return n
	}
	return Note{n.Below(q.Name, Type(q.Qtype), why)}
}

// Recall says what was known of q already, and for how long it will be.
func (n Note) Recall(q dns.Question, what string, left time.Duration) {
	if n.Question != nil {
		n.Recalled(record.Recall{Name: q.Name, Type: Type(q.Qtype), What: what, Left: left})
	}
}

// Reach says to which cut the walk came: c, but for its trust, which is that of
// z, and for what is left of its lease.
func (n Note) Reach(c record.Cut, z *trust.Zone, lease time.Time) {
	if n.Question == nil {
		return
	}
	c.Trust = "unchecked"
	if z != nil {
		c.Trust = z.Status.String()
		if z.Why != nil {
			c.Why = z.Why.Text
		}
	}
	if !lease.IsZero() {
		c.Left = clock.Until(lease)
	}
	n.Reached(c)
}

// Judge says what a reply was worth, and why that was not believed. A proof for
// which nothing was left to spend is a limit, too.
func (n Note) Judge(v *reply.Verdict, err error) {
	if n.Question == nil {
		return
	}
	what := v.String()
	if err != nil {
		what += ", refused: " + err.Error()
	}
	n.Judged(what)
	if proof, ok := errors.AsType[*dnssec.ProofError](err); ok && proof.Spent {
		n.Struck(proof.Reason)
	}
}

// Limit says that a limit was touched that has no name of its own.
func (n Note) Limit(format string, args ...any) {
	if n.Question != nil {
		n.Struck(fmt.Sprintf(format, args...))
	}
}

// Prove says what was found to prove something.
func (n Note) Prove(q dns.Question, v *reply.Verdict) {
	if n.Question != nil {
		n.Ended(record.End{Rcode: dns.RcodeToString[v.Rcode], Records: texts(q.Qtype, v.Answer)})
	}
}

// Find says what was found for q: the answer or, without one, what stands in its
// place. Unchecked says that nobody has looked for proofs.
func (n Note) Find(q dns.Question, r *found.Records, unchecked bool) {
	if n.Question == nil {
		return
	}
	e := record.End{Rcode: dns.RcodeToString[r.Rcode], Trust: r.Status.String(), Records: texts(q.Qtype, r.Answer)}
	if unchecked {
		e.Trust = "unchecked"
	}
	if r.Why != nil {
		e.EDE, e.Reason = &r.Why.Code, r.Why.Text
	}
	if len(r.Answer) == 0 {
		e.Records = texts(q.Qtype, r.Authority)
	}
	n.Ended(e)
}

// Fail says why nothing was found for q, with the aliases that were followed
// until then.
func (n Note) Fail(q dns.Question, code uint16, reason string, bogus bool, chain []dns.RR) {
	if n.Question == nil {
		return
	}
	e := record.End{Rcode: dns.RcodeToString[dns.RcodeServerFailure], Reason: reason, EDE: &code, Records: texts(q.Qtype, chain)}
	if bogus {
		e.Trust = "bogus"
	}
	n.Ended(e)
}

// texts writes records as zone files do. Signatures are left out, unless it is
// they that were asked for.
func texts(typ uint16, rrs []dns.RR) (list []string) {
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeRRSIG || typ == dns.TypeRRSIG {
			list = append(list, rr.String())
		}
	}
	return list
}
