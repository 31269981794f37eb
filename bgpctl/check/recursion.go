package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"proxima/bgpctl"
)

// ErrUnasked, in an error, says that a question was not asked, or no answer
// taken, because this process lacked a place for it: that is load, and says
// nothing of what was to be found out.
var ErrUnasked = errors.New("lacked a place to be asked from")

// Unasked is an Excuse for failures that are an ErrUnasked.
func Unasked() (excused func(error) bool) {
	return func(err error) bool { return errors.Is(err, ErrUnasked) }
}

// RecursionOptions say what Recursion asks for.
type RecursionOptions struct {
	Targets []string // zones, with the final dot
	Quorum  int      // how many of them must answer

	// Ask resolves a name, its A record, from its zone's servers. nil means that
	// they said something of it, be it that it is not there.
	Ask func(ctx context.Context, name string) error

	// Roots returns nil if servers of the root answer this node. If Roots is nil
	// it is not known whether they do.
	Roots func(ctx context.Context) error
}

// Recursion returns a check that asks for a name below each target that nobody
// has asked for before. If fewer than the quorum are answered, and roots are,
// the fault is soft-local: the way out is there. Else it is the check's.
func Recursion(o RecursionOptions) func(context.Context) error {
	return func(ctx context.Context) error {
		err := o.run(ctx)
		if err == nil || o.Roots == nil || errors.Is(err, ErrUnasked) {
			return err
		}
		if o.Roots(ctx) != nil {
			return err
		}
		return &bgpctl.Fault{Class: bgpctl.SoftLocal, Err: fmt.Errorf("%w; but servers of the root answer", err)}
	}
}

// run asks below all targets at once and leaves a third of the time.
func (o *RecursionOptions) run(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*2/3)
		defer cancel()
	}
	results := make(chan error, len(o.Targets))
	for _, zone := range o.Targets {
		go func() { results <- o.Ask(ctx, below(zone)) }()
	}
	var good, unasked int
	var why error
	for range o.Targets {
		switch err := <-results; {
		case err == nil:
			good++
		case errors.Is(err, ErrUnasked):
			unasked++
		default:
			why = err
		}
	}
	switch {
	case good >= o.Quorum:
		return nil
	case good+unasked >= o.Quorum:
		return fmt.Errorf("recursion: %d of %d targets %w", unasked, len(o.Targets), ErrUnasked)
	}
	return fmt.Errorf("recursion: %d of %d targets answered, not %d: %w", good, len(o.Targets), o.Quorum, why)
}

// below is a name below zone that is hardly anybody's: rand.Text has 26 random
// characters.
func below(zone string) string {
	return strings.ToLower(rand.Text()) + "." + strings.TrimPrefix(zone, ".")
}
