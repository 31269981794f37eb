package crew

import (
	"context"
	"sync"
	"time"
)

// A Term is a context that ends at a time. What tells of the end, a timer among
// other things, costs a microsecond, so it is made when somebody asks for it. Who
// keeps to the Deadline by himself asks Cancelled instead.
type Term struct {
	context.Context // what it is a part of
	end             time.Time

	mu     sync.Mutex // guards what follows
	timed  context.Context
	cancel context.CancelFunc // of timed
}

// Within returns a context that ends with outer or after so long.
func Within(outer context.Context, long time.Duration) *Term {
	return &Term{Context: outer, end: time.Now().Add(long)}
}

// Deadline returns when t ends at the latest.
func (t *Term) Deadline() (time.Time, bool) {
	if outer, ok := t.Context.Deadline(); ok && outer.Before(t.end) {
		return outer, true
	}
	return t.end, true
}

// Cancelled is closed when what t is a part of ends, but for its own time.
func (t *Term) Cancelled() <-chan struct{} {
	if outer, ok := t.Context.(*Term); ok {
		return outer.Cancelled()
	}
	return t.Context.Done()
}

// Done is closed when t ends.
func (t *Term) Done() <-chan struct{} { return t.withTimer().Done() }

// Err says why t has ended, or nil.
func (t *Term) Err() error {
	t.mu.Lock()
	timed := t.timed
	t.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case t.Context.Err() != nil:
		return t.Context.Err()
	case !time.Now().Before(t.end):
		return context.DeadlineExceeded
	}
	return nil
}

// Value is that of what ends with t, so that contexts made of t end with it
// without a goroutine each.
func (t *Term) Value(key any) any { return t.withTimer().Value(key) }

func (t *Term) withTimer() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timed == nil {
		t.timed, t.cancel = context.WithDeadline(t.Context, t.end)
	}
	return t.timed
}

// Stop frees what t has.
func (t *Term) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		t.cancel()
	}
}
