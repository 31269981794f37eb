package crew

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCrew_runsEachJobAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		var running, done atomic.Int64
		release := make(chan struct{})
		const jobs = 3 * maxIdle
		for range jobs {
			c.Go(func() {
				running.Add(1)
				<-release
				done.Add(1)
			})
		}
		synctest.Wait()
		if got := running.Load(); got != jobs {
			t.Errorf("%d jobs run beside each other, want %d", got, jobs)
		}
		close(release)
		c.Close()
		if got := done.Load(); got != jobs {
			t.Errorf("Close has waited for %d jobs, want %d", got, jobs)
		}
	})
}

func TestCrew_keepsSoMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		for range 3 {
			release := make(chan struct{})
			for range 2 * maxIdle {
				c.Go(func() { <-release })
			}
			synctest.Wait()
			close(release)
			synctest.Wait()
			if got := len(c.idle); got != maxIdle {
				t.Errorf("%d idle, want %d", got, maxIdle)
			}
		}
		c.Close()
		if len(c.idle) != 0 {
			t.Error("some are idle after Close")
		}
	})
}

func TestCrew_startsNoGoroutineForTheNextJob(t *testing.T) {
	var c Crew
	defer c.Close()
	job := func() {}
	once := func() {
		c.Go(job)
		for idle := 0; idle == 0; {
			runtime.Gosched()
			c.mu.Lock()
			idle = len(c.idle)
			c.mu.Unlock()
		}
	}
	once()
	if got := testing.AllocsPerRun(1000, once); got >= 1 {
		t.Errorf("%v allocations a job, want none", got)
	}
}

func TestCrew_letsAJobStartAnother(t *testing.T) {
	var c Crew
	var done atomic.Bool
	c.Go(func() { c.Go(func() { done.Store(true) }) })
	c.Close()
	if !done.Load() {
		t.Error("Close has not waited for what a job started")
	}
}

func TestBurst_sendsEachOnce(t *testing.T) {
	var mu sync.Mutex
	times := map[int]int{}
	b := Burst[int]{Send: func(all []int) {
		mu.Lock()
		defer mu.Unlock()
		for _, one := range all {
			times[one]++
		}
	}}
	var putting sync.WaitGroup
	const putters, each = 20, 500
	for p := range putters {
		putting.Go(func() {
			for i := range each {
				b.Put(p*each + i)
			}
		})
	}
	putting.Wait()
	for i := range putters * each {
		if times[i] != 1 {
			t.Fatalf("%d was sent %d times", i, times[i])
		}
	}
}

func TestBurst_gathersWhatCanBePutMeanwhile(t *testing.T) {
	var sizes []int
	var b Burst[int]
	b.Send = func(all []int) {
		if sizes = append(sizes, len(all)); len(sizes) == 1 {
			b.queue = append(b.queue, 1, 2) // as others do while this is sent
		}
	}
	b.queue = append(b.queue, 1) // as another has who is about to send
	b.Put(2)
	if len(sizes) != 0 {
		t.Errorf("who was not the first sent %v", sizes)
	}
	b.queue = b.queue[:0]
	b.Put(3)
	if len(sizes) != 1 || sizes[0] != 1 || len(b.queue) != 2 {
		t.Errorf("sent %v and left %v, want one, and what came meanwhile to whom it brought", sizes, b.queue)
	}
}
