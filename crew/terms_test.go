package crew

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTerms_From(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		terms := Terms{Parent: parent, Length: 3200 * time.Millisecond}
		began := time.Now()
		first := terms.From(began)
		for at := time.Duration(0); at <= 10*time.Second; at += 10 * time.Millisecond {
			end, ok := terms.From(began.Add(at)).Deadline()
			if late := end.Sub(began.Add(at + terms.Length)); !ok || late < 0 || late > 100*time.Millisecond {
				t.Fatalf("the context from %v on ends %v late, want 0 to 100 ms", at, late)
			}
		}
		if end, _ := terms.From(began).Deadline(); end.Sub(began) > 3300*time.Millisecond {
			t.Errorf("one that began before ends after %v", end.Sub(began))
		}
		<-first.Done()
		if lasted := time.Since(began); lasted < terms.Length || !errors.Is(first.Err(), context.DeadlineExceeded) {
			t.Errorf("ended after %v with %v", lasted, first.Err())
		}
		next := terms.From(time.Now())
		cancel()
		if <-next.Done(); !errors.Is(next.Err(), context.Canceled) {
			t.Errorf("ended with %v, want the parent's end", next.Err())
		}
	})
}

func TestTerms_From_isShared(t *testing.T) {
	terms := Terms{Parent: t.Context(), Length: time.Hour}
	at := time.Now()
	terms.From(at)
	if got := testing.AllocsPerRun(100, func() { terms.From(at.Add(time.Second)) }); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
