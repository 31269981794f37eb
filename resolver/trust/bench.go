package trust

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
)

// maxQueue bounds the proofs that wait for a seat at the bench; more are
// refused. 256: at 7 ms of work each, which is the most, the last one waits 2 s
// on one processor.
const maxQueue = 256

// ErrBusy says that too many proofs wait to be computed.
var ErrBusy = errors.New("trust: too many proofs to compute")

// A bench has a seat for each that may compute at the same time. There is one
// less than there are processors, so that one is left for who reads the packets
// of clients: a zone made to cost work delays no answer from the cache.
type bench struct {
	seats   chan struct{}
	waiting atomic.Int64
}

func newBench() *bench {
	return &bench{seats: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
}

// do does some work in a seat. The error is ErrBusy, or ctx's if it ended
// before a seat was free.
func (b *bench) do(ctx context.Context, work func()) error {
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > maxQueue+int64(cap(b.seats)) {
		return ErrBusy
	}
	select {
	case b.seats <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.seats }()
	work()
	return nil
}
