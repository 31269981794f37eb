package bgpctl

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// A runner runs one check, never twice at the same time. Owned by Run, but for
// the goroutine that owes result one value while busy is set.
type runner struct {
	check   Check
	excused func(error) bool // of this round
	result  chan error       // holds one
	busy    bool
	started time.Time
}

// start runs the check, unless the run of an earlier round has not ended; the
// result of one that ended late is dropped, for it is of another round.
func (r *runner) start(ctx context.Context) {
	r.excused = func(error) bool { return false }
	if r.check.Excuse != nil {
		r.excused = r.check.Excuse()
	}
	select {
	case <-r.result:
		r.busy = false
	default:
	}
	if r.busy {
		return
	}
	r.busy, r.started = true, time.Now()
	go func() { r.result <- r.check.Run(ctx) }()
}

// wait returns the result of the run, or an error if it is not there when ctx
// ends.
func (r *runner) wait(ctx context.Context) error {
	select {
	case err := <-r.result:
		r.busy = false
		return err
	case <-ctx.Done():
	}
	return fmt.Errorf("no result after %v: %w", time.Since(r.started).Round(time.Millisecond), ctx.Err())
}

// runChecks runs all checks at the same time, for half a round at most, and
// returns what each said, in the order of the options.
func (k *Keeper) runChecks(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, k.o.Every/2)
	defer cancel()
	for _, r := range k.runners {
		r.start(ctx)
	}
	said := make([]error, len(k.runners))
	for i, r := range k.runners {
		said[i] = r.wait(ctx)
	}
	return said
}

// noteResults remembers what the checks said, and returns the first that
// failed in the order of the options, or nil; and whether a failure was excused.
func (k *Keeper) noteResults(said []error) (failed *Result, excused bool) {
	results := make([]Result, len(said)) // the old ones are with readers of Status
	for i, err := range said {
		results[i] = k.results[i].after(err)
		switch {
		case err == nil:
		case k.runners[i].excused(err):
			results[i], excused = k.results[i].excuse(err), true
		case failed == nil:
			failed = &results[i]
		}
		k.logCheck(k.results[i], results[i])
	}
	k.results = results
	return failed, excused
}

// logCheck tells when a check begins or ends to fail, or to be excused.
func (k *Keeper) logCheck(before, now Result) {
	switch {
	case now.Excused != nil && before.Excused == nil:
		k.o.Log.Warn("check failed, and was excused", zap.String("check", now.Name), zap.Error(now.Excused))
	case now.Excused != nil:
	case now.Err != nil && (before.Err == nil || before.At.IsZero()):
		k.o.Log.Warn("check failed", zap.String("check", now.Name), zap.Error(now.Err))
	case now.Err == nil && before.Err != nil:
		k.o.Log.Info("check passed", zap.String("check", now.Name))
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
