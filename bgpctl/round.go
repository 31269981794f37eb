package bgpctl

import (
	"context"

	"go.uber.org/zap"
)

// A word is what a check has said in a round.
type word struct {
	err error
	ran bool
}

// runChecks runs the checks of each round at the same time, for half a round at
// most, and takes in what the others have said meanwhile. It returns what each
// said, in the order of the options.
func (k *Keeper) runChecks(ctx context.Context) []word {
	limited, cancel := context.WithTimeout(ctx, k.o.Every/2)
	defer cancel()
	said := make([]word, len(k.runners))
	for i, r := range k.runners {
		if r.check.Every > 0 {
			said[i].err, said[i].ran = r.pace(ctx, k.o.Every)
		} else {
			r.start(limited)
		}
	}
	for i, r := range k.runners {
		if r.check.Every == 0 {
			said[i] = word{r.wait(limited), true}
		}
	}
	return said
}

// noteResults remembers what the checks said, and returns the first of the
// proofs that failed in the order of the options, or nil; and whether a failure
// of one was excused.
func (k *Keeper) noteResults(said []word) (failed *Result, excused bool) {
	results := make([]Result, len(said)) // the old ones are with readers of Status
	for i, w := range said {
		r, before := k.runners[i], k.results[i]
		results[i] = before
		switch {
		case !w.ran:
			continue
		case w.err == nil:
			results[i] = before.after(nil)
		case r.excused(w.err):
			results[i] = before.excuse(w.err)
			excused = excused || r.check.isProof()
		default:
			results[i] = before.after(w.err)
			r.class = r.check.classOf(w.err)
			if r.check.isProof() && r.class == HardLocal && failed == nil {
				failed = &results[i]
			}
		}
		if results[i].Excused == nil {
			r.health = r.health.After(w.err == nil, r.check.Rise, r.check.Fall)
		}
		if results[i].Fault = r.fault(); w.err != nil && results[i].Excused == nil {
			results[i].Cause = w.err
		}
		k.logCheck(&r.check, before, results[i])
	}
	k.results = results
	return failed, excused
}

// fault is the class of what the check says against the node; Sound if it has
// not failed for long enough, or has passed for long enough since.
func (r *runner) fault() Class {
	if r.health.Up {
		return Sound
	}
	return r.class
}

// worst returns the result with the worst fault, the first of equals, or nil if
// no check has one.
func (k *Keeper) worst() *Result {
	var worst *Result
	for i := range k.results {
		r := &k.results[i]
		if r.Fault != Sound && (worst == nil || r.Fault < worst.Fault) {
			worst = r
		}
	}
	return worst
}

// answers reports whether a check has had an answer from this node.
func (k *Keeper) answers() bool {
	for i, r := range k.runners {
		if r.check.Answers && k.results[i].Err == nil {
			return true
		}
	}
	return false
}

// logCheck tells when a check begins or ends to fail, or to be excused. One that
// can only degrade is worth no word before that; of a proof's fault the health
// tells.
func (k *Keeper) logCheck(c *Check, before, now Result) {
	name := zap.String("check", now.Name)
	switch {
	case now.Excused != nil && before.Excused == nil:
		k.o.Log.Warn("check failed, and was excused", name, zap.Error(now.Excused))
	case now.Excused != nil:
	case now.Fault != Sound && now.Fault != before.Fault && !(c.isProof() && now.Fault == HardLocal):
		k.o.Log.Warn("check failed", name, zap.Stringer("class", now.Fault), zap.Error(now.Err))
	case now.Fault != Sound:
	case c.isProof() && now.Err != nil && (before.Err == nil || before.At.IsZero()):
		k.o.Log.Warn("check failed", name, zap.Error(now.Err))
	case before.Fault != Sound, c.isProof() && now.Err == nil && before.Err != nil:
		k.o.Log.Info("check passed", name)
	}
}

// awaitChecks waits for runs that have not ended, until ctx is done.
func (k *Keeper) awaitChecks(ctx context.Context) {
	for _, r := range k.runners {
		if r.busy {
			r.wait(ctx)
		}
	}
}
