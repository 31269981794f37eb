package logging

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueue bounds the lines that wait to be written, in octets. 256 KiB, not
// configurable: more than a thousand lines, which is more than a node logs in
// the minutes that a reader may need to come back.
const maxQueue = 256 << 10

// A queue is a writer that never blocks: another goroutine does the writing.
type queue struct {
	out     io.Writer                 // immutable after newQueue, like tell
	tell    func(lines uint64) []byte // the line that says how many were dropped
	wake    chan struct{}             // holds one: there is something to write
	done    chan struct{}             // closed when nothing will be written any more
	dropped atomic.Uint64             // lines, so far

	mu      sync.Mutex // guards the rest
	pending []byte
	lines   uint64 // in pending
	lost    uint64 // dropped after these
	closed  bool
}

func newQueue(out io.Writer, tell func(uint64) []byte) *queue {
	q := &queue{out: out, tell: tell, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write implements io.Writer for one line. It never fails: nobody could do
// anything about it.
func (q *queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Once a line is lost, so are those that follow until it can be told: they
	// would stand before it.
	if q.closed || q.lost > 0 || len(q.pending)+len(line) > maxQueue {
		q.lost++
		q.dropped.Add(1)
	} else {
		q.pending = append(q.pending, line...)
		q.lines++
	}
	if !q.closed {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// Sync implements zapcore.WriteSyncer.
func (q *queue) Sync() error { return nil }

// run writes until the queue is closed. It owns two buffers: one is written
// while the other one fills.
func (q *queue) run() {
	defer close(q.done)
	var b batch
	var failed uint64 // lines of writes that failed since the last one that did not
	for range q.wake {
		b = q.take(b.text)
		if len(b.text) == 0 {
			continue
		}
		text := b.text
		if failed > 0 {
			text = append(q.tell(failed), text...)
		}
		if _, err := q.out.Write(text); err != nil {
			failed += b.lines + b.lost
			q.dropped.Add(b.lines)
			continue
		}
		failed = 0
	}
}

// A batch is what is written at once.
type batch struct {
	text  []byte
	lines uint64 // in text
	lost  uint64 // of which the last line of text tells
}

// take returns what is pending. The next lines go into the space of spare.
func (q *queue) take(spare []byte) batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := batch{q.pending, q.lines, q.lost}
	if q.lost > 0 {
		b.text = append(b.text, q.tell(q.lost)...)
	}
	q.pending, q.lines, q.lost = spare[:0], 0, 0
	return b
}

// close ends run, and waits for it a little.
func (q *queue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.wake)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(waitLimit):
	}
}
