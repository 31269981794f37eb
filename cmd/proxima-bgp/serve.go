package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
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
	for _, w := range c.Warnings {
		log.Warn("configuration", zap.Stringer("problem", w))
	}
	speaker, peers, err := newSpeaker(c, log.Logger)
	if err != nil {
		return err
	}
	s, err := sidecar.Listen(sidecarOptions(c, speaker, log.Logger))
	if err != nil {
		return errors.Join(err, speaker.Close(context.Background()))
	}
	var web net.Listener
	if c.Admin.Listen.IsValid() {
		if web, err = listenAdmin(c.Admin.Listen.String()); err != nil {
			return errors.Join(fmt.Errorf("admin.listen: %w", err), s.Close(), speaker.Close(context.Background()))
		}
	}
	log.Info("started", zap.String("version", release()), zap.String("socket", c.Socket), zap.String("speaker", c.Speaker))
	return run(s, speaker, newAdmin(web, room{s, peers, log.Dropped}), log.Logger, caught)
}

// run ends with the first part that fails, or with a signal. Then it withdraws
// and ends the other parts.
func run(s *sidecar.Sidecar, speaker sidecar.Speaker, web *admin, log *zap.Logger, caught signals.Signals) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served, watched := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	go func() { watched <- web.serve() }()

	var err error
	running, ending := true, false
	for running && !ending {
		select {
		case <-caught.Hangups:
			signals.IgnoreHangup(log)
		case sig := <-caught.Ends:
			log.Info("stopping", zap.Stringer("signal", sig))
			signals.Release()
			ending = true
		case err = <-served:
			running = false
		case err = <-watched:
			watched <- nil
			ending = true
		}
	}
	limit, release := context.WithTimeout(context.Background(), stopLimit)
	defer release()
	cancel()
	if running {
		err = errors.Join(err, <-served)
	}
	web.close()
	err = errors.Join(err, <-watched)
	if errors.Is(err, sidecar.ErrStuck) {
		return err // it would not return from Close, either
	}
	err = errors.Join(err, speaker.Close(limit))
	log.Info("stopped")
	return err
}
