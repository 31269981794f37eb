package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
	"proxima/cmd/internal/admin"
	"proxima/cmd/internal/control"
	"proxima/cmd/internal/ctl"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/signals"
)

// stopLimit bounds the whole way from the signal to the end. 3 s, not
// configurable: the end of the process withdraws what is not withdrawn by then.
const stopLimit = 3 * time.Second

// serve announces for leases until a signal comes.
func serve(file string, caught signals.Signals) error {
	c, err := load(file)
	if err != nil {
		return err
	}
	log, err := logging.New(c.Log.Level)
	if err != nil {
		return err
	}
	defer log.Close()
	speaker, peers, err := newSpeaker(c, log.Logger)
	if err != nil {
		return err
	}
	if err := makeSocketDir(c.Socket); err != nil {
		return errors.Join(err, speaker.Close(context.Background()))
	}
	s, err := sidecar.Listen(sidecarOptions(c, speaker, peers, log.Logger))
	if err != nil {
		return errors.Join(err, speaker.Close(context.Background()))
	}
	web, err := admin.Listen(c.Admin.Listen)
	if err != nil {
		return errors.Join(err, s.Close(), speaker.Close(context.Background()))
	}
	orders, err := control.Listen(c.Control.Socket)
	if err != nil {
		web.Close()
		return errors.Join(err, s.Close(), speaker.Close(context.Background()))
	}
	fillAdmin(web, room{s, peers, log.Dropped})
	ctl.Serve(orders, s, count(peers))
	log.Info("started", zap.String("version", self().Release()), zap.String("socket", c.Socket), zap.String("speaker", c.Speaker))
	return run(s, speaker, web, orders, log.Logger, caught)
}

// run ends with a signal, or when the sidecar fails. Then it withdraws and ends
// the other parts.
func run(s *sidecar.Sidecar, speaker sidecar.Speaker, web *admin.Server, orders *control.Server, log *zap.Logger, caught signals.Signals) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watched sync.WaitGroup
	watched.Go(func() { web.Serve(log) })
	watched.Go(func() { orders.Serve(log) })
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()

	running, err := awaitEnd(served, log, caught)
	limit, release := context.WithTimeout(context.Background(), stopLimit)
	defer release()
	cancel()
	if running {
		err = <-served
	}
	web.Close()
	orders.Close()
	watched.Wait()
	if errors.Is(err, sidecar.ErrStuck) {
		return err // it would not return from Close, either
	}
	err = errors.Join(err, speaker.Close(limit))
	log.Info("stopped")
	return err
}

// awaitEnd returns when the program is asked to end or, with why, when the
// sidecar does not run any more.
func awaitEnd(served <-chan error, log *zap.Logger, caught signals.Signals) (running bool, why error) {
	for {
		select {
		case <-caught.Hangups:
			signals.IgnoreHangup(log)
		case s := <-caught.Ends:
			log.Info("stopping", zap.Stringer("signal", s))
			signals.Release()
			return true, nil
		case err := <-served:
			return false, err
		}
	}
}
