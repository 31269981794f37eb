package crew

import (
	"context"
	"sync"
	"time"
)

// Terms are contexts that many share. A context of one's own for a query that
// hardly ever meets its end costs a timer and a place among its parent's
// children. It may be used by many goroutines.
type Terms struct {
	// Set before the first From.
	Parent context.Context
	Length time.Duration

	mu     sync.Mutex // guards what follows
	latest context.Context
	cancel context.CancelFunc // of latest; not called, for nobody knows who is the last to use it: its end frees it
	end    time.Time          // of latest
}

// From returns a context that ends Length after at, or up to a 32nd of Length
// later, or with Parent.
func (t *Terms) From(at time.Time) context.Context {
	end := at.Add(t.Length)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.latest == nil || t.end.Before(end) || t.end.Sub(end) > t.Length/32 {
		t.end = end.Add(t.Length / 32)
		t.latest, t.cancel = context.WithDeadline(t.Parent, t.end)
	}
	return t.latest
}
