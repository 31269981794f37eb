package check

import (
	"context"
	"fmt"
	"time"
)

// A Verdict is what validation makes of a name.
type Verdict uint8

// The verdicts.
const (
	Unjudged Verdict = iota // no servers could be asked, or the name is said not to be there
	Absent                  // proven not to be there
	Secure                  // proven
	Insecure                // answered, and not proven
	Bogus                   // refused, because what came cannot be proven
)

// few is how many names must speak against a node: 2, so that one zone whose
// owner has made a mistake, or has mended one, counts for nothing. Fixed.
const few = 2

// enough reports whether count of all names speak against the node.
func enough(count, all int) bool { return count > 0 && count >= min(few, all) }

// Validation returns a check that some of the good names are proven, and that
// some of the bogus ones are refused. Names that are
// unjudged say nothing, nor does a bogus one that has gone.
func Validation(good, bogus []string, ask func(ctx context.Context, name string) Verdict) func(context.Context) error {
	return func(ctx context.Context) error {
		a, b := count(ctx, good, ask), count(ctx, bogus, ask)
		switch {
		case a[Secure]+a[Absent] == 0 && enough(a[Insecure]+a[Bogus], len(good)):
			return fmt.Errorf("validation: of %d good names none is proven, %d are bogus", len(good), a[Bogus])
		case b[Bogus] == 0 && enough(b[Secure]+b[Insecure], len(bogus)):
			return fmt.Errorf("validation: %d of %d bogus names are answered, and none is refused", b[Secure]+b[Insecure], len(bogus))
		case a[Unjudged] == len(good) && b[Unjudged] == len(bogus):
			return fmt.Errorf("validation: no name could be judged: %w", ErrUnasked)
		}
		return nil
	}
}

// count asks for all names at once.
func count(ctx context.Context, names []string, ask func(context.Context, string) Verdict) (of [Bogus + 1]int) {
	verdicts := make(chan Verdict)
	for _, name := range names {
		go func() { verdicts <- ask(ctx, name) }()
	}
	for range names {
		of[<-verdicts]++
	}
	return of
}

// A Window is when a signature is valid; the zero Window is of a name whose
// signature could not be had.
type Window struct{ From, To time.Time }

// Clock returns a check that the time is within the windows in which zones say
// that their signatures are valid. It fails if all of them that can be had are
// yet to come, or all are over, and one is not alone with that.
func Clock(names []string, ask func(ctx context.Context, name string) Window, now func() time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		windows := make(chan Window)
		for _, name := range names {
			go func() { windows <- ask(ctx, name) }()
		}
		var had, early, late int
		for range names {
			w, at := <-windows, now()
			switch {
			case w == Window{}:
				continue
			case at.Before(w.From):
				early++
			case at.After(w.To):
				late++
			}
			had++
		}
		switch {
		case had == 0:
			return fmt.Errorf("clock: no signature could be had: %w", ErrUnasked)
		case early == had && enough(early, len(names)):
			return fmt.Errorf("clock: %v is before all of %d signatures", now().UTC().Format(time.RFC3339), had)
		case late == had && enough(late, len(names)):
			return fmt.Errorf("clock: %v is after all of %d signatures", now().UTC().Format(time.RFC3339), had)
		}
		return nil
	}
}
