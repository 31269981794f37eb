package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"proxima/cmd/internal/signals"
)

// shutdownLimit bounds how long the server may take to answer what is in
// flight. 5 s, not configurable: no answer takes longer than 4.5 s.
const shutdownLimit = 5 * time.Second

// parts are the running parts that stop ends one by one.
type parts struct {
	endKeeping  context.CancelFunc
	kept        chan error // what the keeper returned
	endWatching context.CancelFunc
	watched     chan struct{} // closed when nothing is repaired any more
	restored    chan struct{} // closed when the cache has what was kept of it
	failed      bool          // a part has failed: there is nothing to drain for
}

// stop ends the announcement first and the addresses last: withdraw, answer
// what is in flight, release. A second signal skips the waiting, a third one
// ends the process.
func (d *daemon) stop(p parts, caught signals.Signals) error {
	draining, hurry := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-caught.Ends:
			d.log.Warn("hurry was asked for")
			signals.Release()
			hurry()
		case <-draining.Done():
		}
	})
	withdrawn := d.withdraw(draining, p)
	hurry()
	waiting.Wait()

	err := d.takeApart()
	p.endWatching()
	<-p.watched
	if withdrawn != nil {
		// An announced prefix without its address is worse than an address too many.
		d.log.Warn("addresses were left in place: the sidecar has not confirmed", zap.Error(withdrawn))
	} else {
		err = errors.Join(err, d.release())
	}
	if !p.failed { // else what has failed may have to do with what is known
		<-p.restored
		d.kept.Save()
	}
	d.log.Info("stopped")
	return err
}

// withdraw ends the announcement: by a drain until ctx ends, and then at once.
// An error means that the sidecar may still announce.
func (d *daemon) withdraw(ctx context.Context, p parts) error {
	if d.link != nil && !p.failed && d.c.BGP.Drain > 0 {
		limited, cancel := context.WithTimeout(ctx, d.c.BGP.Drain)
		defer cancel()
		if err := d.keeper.Drain(limited); err != nil {
			d.log.Warn("drain was cut short", zap.Error(err))
		} else {
			d.log.Info("drained")
		}
	}
	p.endKeeping()
	return <-p.kept
}

// takeApart ends what start built, but for the addresses: the server with what
// is in flight, then those it asks.
func (d *daemon) takeApart() error {
	var err error
	if d.link != nil {
		err = d.link.Close() // tells a sidecar that did not listen before
	}
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownLimit)
		defer cancel()
		err = errors.Join(err, d.server.Shutdown(ctx))
	}
	if d.resolver != nil {
		d.resolver.Close()
	}
	if d.upstream != nil {
		err = errors.Join(err, d.upstream.Close())
	}
	return err
}

// release takes the addresses away and gives up the claim to them.
func (d *daemon) release() error {
	var err error
	if d.setup != nil {
		err = d.setup.Release()
	}
	return errors.Join(err, d.claim.Close())
}
