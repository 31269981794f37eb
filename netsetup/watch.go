package netsetup

import (
	"context"
	"time"
)

// What Watch takes its time for. Together they bound a repair to a second.
const (
	// rest follows every look, so that somebody who removes an address as
	// often as we add it makes five repairs a second and not a busy loop.
	// Default 200 ms, from 10 ms to 500 ms.
	rest = 200 * time.Millisecond

	// tick is how often Watch looks without a signal, in case one was never
	// sent. Default 10 s, from 1 s: a look costs a few listings.
	tick = 10 * time.Second

	// resubscribe is the pause before the next attempt when the subscription
	// has failed; a look goes with each. Default 500 ms, at most 700 ms.
	resubscribe = 500 * time.Millisecond
)

// Watch repairs what goes missing, within a second, until ctx ends; then it
// returns nil. It does not return on faults, but reports them to OnFault.
// Signals and repairs are of the namespace of the calling goroutine's thread.
func (s *Setup) Watch(ctx context.Context) error {
	if s.idle() {
		<-ctx.Done()
		return nil
	}
	var t told
	for ctx.Err() == nil {
		s.watch(ctx, &t)
		pause(ctx, resubscribe)
	}
	return nil
}

// watch looks and repairs at every signal, until the subscription or ctx ends.
func (s *Setup) watch(ctx context.Context, t *told) {
	ctx, cancel := context.WithCancel(ctx)
	changed, err := s.links.Events(ctx)
	if err != nil {
		cancel()
		s.repair(t)
		s.tell(&t.subscription, failed("subscribing to changes", err))
		return
	}
	t.subscription = ""
	defer func() {
		cancel()
		for range changed { // wait until the subscription has ended
		}
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		s.repair(t)
		pause(ctx, rest)
		select {
		case <-ctx.Done():
			return
		case _, open := <-changed:
			if !open {
				return
			}
		case <-ticker.C:
		}
	}
}

// told holds the faults that OnFault knows, each told once until it changes.
type told struct{ subscription, repair string }

// repair ensures once, and tells what it did.
func (s *Setup) repair(t *told) {
	did, err := s.ensure()
	if s.onRepair != nil {
		for _, what := range did {
			s.onRepair(what)
		}
	}
	if err == nil {
		t.repair = ""
		return
	}
	s.tell(&t.repair, err)
}

// tell reports err unless it is the last one told.
func (s *Setup) tell(last *string, err error) {
	if s.onFault != nil && err.Error() != *last {
		s.onFault(err)
	}
	*last = err.Error()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
