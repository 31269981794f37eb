package trust

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"proxima/clock"
)

const (
	// maxQueue bounds the proofs that wait for a seat at the bench; more are
	// refused. 256: most proofs take 0.1 ms, and the dearest that the purse of a
	// query allows 13 ms, so that on one processor the last one waits 3.5 s at
	// the very most, and a client 4.5.
	maxQueue = 256

	// maxShare bounds those of them that belong to one name of two labels, or to
	// zones below it. 64, a quarter: a zone made to cost work (CVE-2023-50387)
	// leaves room for others, and has no more of it for having many zones below.
	// The root and top-level domains have no bound but maxQueue: what is proven of
	// them is for the names of many.
	maxShare = 64
)

var (
	// ErrBusy says that too many proofs wait to be computed.
	ErrBusy = errors.New("trust: too many proofs to compute")

	// ErrShare says that too many proofs of one zone, or of zones around it, do.
	ErrShare = errors.New("trust: too many proofs of one zone to compute")
)

// A bench has a seat for each that may compute at the same time. Who waits for
// one stands in a line.
type bench struct {
	mu    sync.Mutex // guards all below
	free  int        // seats; only if nobody waits
	lines line
}

// newBench returns a bench with so many seats. There should be one less than
// there are processors, so that one is left for who reads the packets of clients:
// a zone made to cost work delays no answer from the cache.
func newBench(seats int) *bench { return &bench{free: seats} }

// A proof is one to be computed.
type proof struct {
	line   *line
	called chan struct{} // closed when it has a seat, or none for good
	turned error         // why it will have none; set before called is closed
	began  time.Time
}

// do does some work for a zone in a seat. The error is ErrBusy or ErrShare, or
// ctx's if it ended before a seat was free.
func (b *bench) do(ctx context.Context, zone string, work func()) error {
	p := &proof{called: make(chan struct{})}
	if err := b.enter(p, zone); err != nil {
		return err
	}
	select {
	case <-p.called:
	case <-ctx.Done():
		if !b.leave(p) && p.turned == nil {
			b.release(p)
		}
		return ctx.Err()
	}
	if p.turned != nil {
		return p.turned
	}
	defer b.release(p)
	work()
	return nil
}

// enter gives p a seat, or a place in the line of its zone.
func (b *bench) enter(p *proof, zone string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.line = b.lines.of(zone)
	if b.free > 0 {
		b.free--
		p.sit()
		return nil
	}
	share := p.line.share()
	var most *line
	switch full := b.lines.waiting >= maxQueue; {
	case share != nil && share.waiting >= maxShare:
		p.line.tidy()
		return ErrShare
	case full:
		if most = b.lines.longest(); most == nil || share != nil && most.waiting <= share.waiting+1 {
			p.line.tidy()
			return ErrBusy
		}
		p.line.push(p)
		last := most.youngest()
		last.line.drop(last)
		last.turned = ErrShare
		close(last.called)
	default:
		p.line.push(p)
	}
	return nil
}

// leave takes p out of its line. It reports false if p was called before.
func (b *bench) leave(p *proof) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-p.called:
		return false
	default:
	}
	p.line.drop(p)
	return true
}

// release gives the seat of p to who is next.
func (b *bench) release(p *proof) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.line.rise(clock.Since(p.began))
	if b.lines.waiting == 0 {
		b.free++
		return
	}
	next := b.lines.next()
	next.line.waits(-1)
	next.line.own = slices.Delete(next.line.own, 0, 1)
	next.sit()
}

// sit calls p to a seat.
func (p *proof) sit() {
	for l := p.line; l != nil; l = l.up {
		l.working++
	}
	p.began = clock.Now()
	close(p.called)
}
