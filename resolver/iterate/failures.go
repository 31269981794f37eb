package iterate

import (
	"errors"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

// A failure is what came of a question of the tree, other than the client's
// own, that servers were asked in vain.
type failure struct {
	err   Error
	until time.Time
	life  time.Duration
}

// recallFailure returns why q is not asked again yet, or nil. RFC 9520 section
// 3.2 wants that of every question, not only of those that clients ask: the
// broken servers of one zone are the servers of many.
func (t *task) recallFailure(q dns.Question) error {
	f, ok := t.w.failed.Get(q)
	if !ok || !clock.Now().Before(f.until) || f.err.Bogus && t.unchecked {
		return nil
	}
	t.w.counts.recalled.Add(1)
	t.note.Recall(q, "failure", clock.Until(f.until))
	e := f.err // whoever gets it may add to its chain
	return &e
}

// noteFailure remembers that q ended with err, if that is likely to happen
// again: not if the query had nothing more to spend.
func (t *task) noteFailure(q dns.Question, err error) {
	var e *Error
	if !errors.As(err, &e) || !e.lasting || t.unchecked {
		return
	}
	at, life := clock.Now(), minFailureLife
	if last, ok := t.w.failed.Get(q); ok && at.Before(last.until.Add(maxFailureLife)) {
		life = min(2*last.life, maxFailureLife)
	}
	life = max(life, e.Lasts())
	if e.Silent {
		life = minFailureLife
	}
	t.w.failed.Add(q, failure{err: *e, until: at.Add(life), life: life})
}
