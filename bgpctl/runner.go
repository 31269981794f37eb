package bgpctl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A runner runs one check, never twice at the same time. Owned by Run, but for
// the goroutine that owes result one value while busy is set.
type runner struct {
	check   Check
	excused func(error) bool // of this run
	result  chan error       // holds one
	busy    bool
	started time.Time
	due     time.Time // of a check with a period of its own; zero before the first round
	told    bool      // of this run: that it came to no result

	health Health // of this check alone; begins up, for nothing speaks against it
	class  Class  // of the last failure
}

// run begins a run that ends with ctx.
func (r *runner) run(ctx context.Context, cancel context.CancelFunc) {
	r.busy, r.told, r.started = true, false, time.Now()
	go func() {
		defer cancel()
		r.result <- r.check.Run(ctx)
	}()
}

// ask learns anew what excuses a failure.
func (r *runner) ask() {
	r.excused = func(error) bool { return false }
	if r.check.Excuse != nil {
		r.excused = r.check.Excuse()
	}
}

// start runs the check for one round, unless the run of an earlier round has
// not ended; the result of one that ended late is dropped, for it is of another
// round.
func (r *runner) start(ctx context.Context) {
	r.ask()
	select {
	case <-r.result:
		r.busy = false
	default:
	}
	if !r.busy {
		r.run(ctx, func() {})
	}
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
	return r.late(ctx.Err())
}

func (r *runner) late(why error) error {
	return fmt.Errorf("no result after %v: %w", time.Since(r.started).Round(time.Millisecond), why)
}

// pace starts a check with a period of its own if that is due, and returns what
// a run has said since the last call, if one has. A run that has not ended slack
// after its limit is told of once in a period.
func (r *runner) pace(ctx context.Context, slack time.Duration) (said error, ran bool) {
	now := time.Now()
	if r.due.IsZero() {
		r.due = now.Add(time.Duration(rand.Float64() * float64(r.check.Every)))
	}
	if r.busy {
		select {
		case said = <-r.result:
			r.busy, ran = false, !r.told
		default:
			if !r.told && now.Sub(r.started) >= r.check.Limit+slack {
				r.told, said, ran = true, r.late(context.DeadlineExceeded), true
			}
		}
	}
	switch {
	case now.Before(r.due) || ran: // a result is judged by the excuse of its own run
		return said, ran
	case r.busy:
		r.told = false
	default:
		r.ask()
		r.run(context.WithTimeout(ctx, r.check.Limit))
	}
	r.due = now.Add(time.Duration((0.75 + rand.Float64()/2) * float64(r.check.Every)))
	return nil, false
}
