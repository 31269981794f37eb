package iterate

import (
	"context"
	"errors"

	"proxima/cache"
	"proxima/clock"
	"proxima/resolver/found"
	"proxima/resolver/phrase"
	"proxima/resolver/record"
	"proxima/wire"

	"github.com/miekg/dns"
)

// Explain is Lookup, or LookupUnchecked, for who wants to know how: what is done
// is told to note.
func (w *Walker) Explain(ctx context.Context, q dns.Question, b *Budget, note *record.Question, unchecked bool) (*cache.Answer, error) {
	return w.lookup(ctx, &task{w: w, b: b, q: q, unchecked: unchecked, note: phrase.Note{Question: note}})
}

// noteCut records to which cut the walk came.
func (t *task) noteCut(cut *Cut, from string) {
	if t.note.Question == nil {
		return
	}
	known := t.serversOf(cut, clock.Now())
	t.note.Reach(record.Cut{Zone: cut.Zone, From: from, Servers: len(cut.Servers), Addresses: len(known.addrs)}, cut.Trust, cut.Expires)
	if known.cropped {
		t.note.Limit("addresses of one zone: %d at most are used", maxZoneAddresses)
	}
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

// proving is t while it asks q to prove something, which stands in the record
// below what is to be proven.
func (t *task) proving(q dns.Question) *task {
	below := *t
	below.note = t.note.Raise(q, "to prove what "+t.q.Name+" came to")
	return &below
}

// noteProof records what proving has found.
func (t *task) noteProof(q dns.Question, v *verdict, err error) {
	if err != nil {
		t.noteEnd(q, nil, err)
		return
	}
	t.note.Prove(q, &v.Verdict)
}

// noteEnd records what came of q, the question of the record.
func (t *task) noteEnd(q dns.Question, r *found.Records, err error) {
	switch e, known := errors.AsType[*Error](err); {
	case known:
		code, reason := e.EDE()
		t.note.Fail(q, code, reason, e.Bogus, e.Chain)
	case err != nil:
		t.note.Fail(q, wire.EDEOther, err.Error(), false, nil)
	default:
		t.note.Find(q, r, t.unchecked)
	}
}
