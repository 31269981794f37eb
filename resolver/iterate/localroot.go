package iterate

import (
	"context"

	"proxima/resolver/reply"

	"github.com/miekg/dns"
)

// askCopy has the copy of the root answer q, if cut is the root and there is one
// that can. Its reply is judged as a server's would be. If it is worth nothing,
// there is neither verdict nor error, and the servers are to be asked.
func (t *task) askCopy(ctx context.Context, cut *Cut, q dns.Question, judge judge) (v *verdict, err error) {
	if cut.Zone != "." || cut.explicit || t.afar || t.w.localRoot == nil {
		return nil, nil
	}
	m := t.w.localRoot(q)
	if m == nil {
		return nil, nil
	}
	t.note.Recall(q, "the copy of the root", 0)
	a := &asking{t: t, cut: cut, q: q, judge: judge}
	v, err = a.judged(ctx, &verdict{Verdict: reply.Classify(q, m, reply.From{Zone: cut.Zone})})
	if v != nil {
		t.w.counts.local.Add(1)
	} else if err == nil {
		t.w.counts.unfit.Add(1)
	}
	return v, err
}
