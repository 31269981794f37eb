package crew

import (
	"runtime"
	"sync"
)

// A Burst gathers what is to be sent. It may be used by many goroutines.
type Burst[T any] struct {
	// Send sends all of a burst, and keeps nothing of the slice. Set before the
	// first Put.
	Send func([]T)

	mu    sync.Mutex // guards what follows
	queue []T
	spare []T // room for the next queue
}

// Put has one more sent. Who is the first lets everybody run who can, and then
// sends what has come together, before Put returns.
func (b *Burst[T]) Put(one T) {
	b.mu.Lock()
	b.queue = append(b.queue, one)
	first := len(b.queue) == 1
	b.mu.Unlock()
	if !first {
		return
	}
	runtime.Gosched()
	b.mu.Lock()
	queue := b.queue
	b.queue, b.spare = b.spare, nil
	b.mu.Unlock()
	b.Send(queue)
	clear(queue)
	b.mu.Lock()
	b.spare = queue[:0]
	b.mu.Unlock()
}
