// Package crew has goroutines share what would cost each of them anew.
//
// A Crew keeps goroutines that have done their work for the next: their stacks
// have grown to what the work takes, which costs a new one more than to be
// started. A Burst lets those who have something to hand to the kernel wait for
// each other, when there are many, so that what sleeps at the other end is woken
// once for all of it. Terms are contexts that share their timer, and a Term is one
// that has none as long as nobody needs it.
package crew

import "sync"

// maxIdle is how many goroutines a Crew keeps that have nothing to do: 256, with
// stacks of 16 KiB as a rule, and less the longer they idle, for the garbage
// collector halves stacks that are not used. So many begin together in a burst
// of queries; those beyond are started as ever.
const maxIdle = 256

// A Crew runs jobs, each on a goroutine of its own. The zero value is ready. It
// may be used by many goroutines.
type Crew struct {
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	idle   []chan func()
	closed bool
}

// Go runs job on the goroutine that was idle for the shortest time, or a new one.
// It is not to be called once Close waits, but by a job.
func (c *Crew) Go(job func()) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		next := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		next <- job
		return
	}
	c.mu.Unlock()
	c.running.Go(func() { c.run(job) })
}

// run runs job and those that come after it.
func (c *Crew) run(job func()) {
	for next := make(chan func(), 1); job != nil; job = c.rest(next) {
		job()
	}
}

// rest waits for the next job, nil if there will be none.
func (c *Crew) rest(next chan func()) (job func()) {
	c.mu.Lock()
	if c.closed || len(c.idle) >= maxIdle {
		c.mu.Unlock()
		return nil
	}
	c.idle = append(c.idle, next)
	c.mu.Unlock()
	return <-next
}

// Close waits until all jobs are done and all goroutines have ended.
func (c *Crew) Close() {
	c.mu.Lock()
	c.closed = true
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
	c.mu.Unlock()
	c.running.Wait()
}
