package iterate

import (
	"context"
	"errors"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/resolver/found"
	"proxima/resolver/record"
	"proxima/resolver/reply"

	"github.com/miekg/dns"
)

// Explain is Lookup, or LookupUnchecked, for who wants to know how: what is done
// is told to note.
func (w *Walker) Explain(ctx context.Context, q dns.Question, b *Budget, note *record.Question, unchecked bool) (*cache.Answer, error) {
	return w.lookup(ctx, &task{w: w, b: b, q: q, unchecked: unchecked, note: note})
}

// raise begins the record of a question that t raises.
func (t *task) raise(q dns.Question, why string) *record.Question {
	if t.note == nil {
		return nil
	}
	return t.note.Below(q.Name, dns.Type(q.Qtype).String(), why)
}

// noteRecall records what was known of q already, and for how long it will be.
func (t *task) noteRecall(q dns.Question, what string, left time.Duration) {
	if t.note != nil {
		t.note.Recalled(record.Recall{Name: q.Name, Type: dns.Type(q.Qtype).String(), What: what, Left: left})
	}
}

// noteCut records to which cut the walk came.
func (t *task) noteCut(cut *Cut, from string) {
	if t.note == nil {
		return
	}
	c := record.Cut{Zone: cut.Zone, From: from, Servers: len(cut.Servers), Addresses: len(t.serversOf(cut, clock.Now()).addrs)}
	c.Trust = "unchecked"
	if cut.Trust != nil {
		c.Trust = cut.Trust.Status.String()
		if cut.Trust.Why != nil {
			c.Why = cut.Trust.Why.Text
		}
	}
	if !cut.Expires.IsZero() {
		c.Left = clock.Until(cut.Expires)
	}
	t.note.Reached(c)
}

// origin says where a walk begins; known that its cut was.
func origin(cut *Cut, known bool) string {
	switch {
	case cut.explicit:
		return "configuration"
	case known:
		return "memory"
	}
	return "hints or priming"
}

// noteVerdict records what a reply was worth, and why that was not believed.
func (t *task) noteVerdict(v *reply.Verdict, err error) {
	if t.note == nil {
		return
	}
	what := v.String()
	if err != nil {
		what += ", refused: " + err.Error()
	}
	t.note.Judged(what)
}

// noteEnd records what came of the question of note.
func (t *task) noteEnd(note *record.Question, r *found.Records, err error) {
	if note == nil {
		return
	}
	var e record.End
	var failed *Error
	switch {
	case errors.As(err, &failed):
		code, reason := failed.EDE()
		e = record.End{Rcode: "SERVFAIL", EDE: &code, Reason: reason}
		if failed.Bogus {
			e.Trust = "bogus"
		}
		e.Records = texts(failed.Chain)
	case err != nil:
		e = record.End{Rcode: "SERVFAIL", Reason: err.Error()}
	default:
		e = record.End{Rcode: dns.RcodeToString[r.Rcode], Trust: r.Status.String(), Records: texts(r.Answer)}
		if t.unchecked {
			e.Trust = "unchecked"
		}
		if r.Why != nil {
			e.EDE, e.Reason = &r.Why.Code, r.Why.Text
		}
		if len(r.Answer) == 0 {
			e.Records = texts(r.Authority)
		}
	}
	note.Ended(e)
}

// texts returns the records as they are written in zone files.
func texts(rrs []dns.RR) (list []string) {
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			list = append(list, rr.String())
		}
	}
	return list
}
