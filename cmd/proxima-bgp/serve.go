package main

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/guard"
	"proxima/cmd/internal/admin"
	"proxima/cmd/internal/control"
	"proxima/cmd/internal/ctl"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/signals"
	"proxima/cmd/internal/systemd"
	"proxima/config"
)

// stopLimit bounds the whole way from the signal to the end. 3 s, not
// configurable: the end of the process withdraws what is not withdrawn by then.
const stopLimit = 3 * time.Second

// serve announces for leases until a signal comes.
func serve(file string, caught signals.Signals) error {
	c, _, err := load(file)
	if err != nil {
		return err
	}
	log, err := logging.New(c.Log.Level)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := open(c, log)
	if err != nil {
		return err
	}
	log.Info("started", zap.String("version", self().Release()), zap.String("socket", c.Socket), zap.String("speaker", c.Speaker))
	return p.run(log.Logger, caught)
}

// parts are what runs.
type parts struct {
	speaker sidecar.Speaker
	guard   *guard.Guard // nil = none
	sidecar *sidecar.Sidecar
	web     *admin.Server
	orders  *control.Server
}

// open makes the parts. After an error none is left open.
func open(c *config.Sidecar, log *logging.Log) (p *parts, err error) {
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	speaker, peers, err := newSpeaker(c, log.Logger)
	if err != nil {
		return p, err
	}
	p.speaker = speaker
	if p.guard, err = newGuard(c, log.Logger); err != nil {
		return p, err
	}
	if err = makeSocketDir(c.Socket); err != nil {
		return p, err
	}
	o := sidecarOptions(c, speaker, peers, log.Logger)
	o.Others = others(p.guard)
	if p.sidecar, err = sidecar.Listen(o); err != nil {
		return p, err
	}
	if p.web, err = admin.Listen(c.Admin.Listen); err != nil {
		return p, err
	}
	if p.orders, err = control.Listen(c.Control.Socket); err != nil {
		return p, err
	}
	fillAdmin(p.web, room{p.sidecar, p.guard, peers, log.Dropped})
	ctl.Serve(p.orders, p.sidecar, count(peers))
	return p, nil
}

// say is what other nodes are told.
func (p *parts) say() (announced []netip.Prefix, leaving bool) {
	s := p.sidecar.Status()
	return s.Announced, s.Leaving
}

// close closes parts that never ran.
func (p *parts) close() (err error) {
	if p.web != nil {
		p.web.Close()
	}
	if p.sidecar != nil {
		err = p.sidecar.Close()
	}
	if p.guard != nil {
		err = errors.Join(err, p.guard.Close())
	}
	if p.speaker != nil {
		err = errors.Join(err, p.speaker.Close(context.Background()))
	}
	return err
}

// withdraw does what a killed sidecar had no time for. It takes the socket
// meanwhile, so that it never takes away the routes of a live one.
func withdraw(file string) error {
	c, _, err := load(file)
	if err != nil {
		return err
	}
	log, err := logging.New(c.Log.Level)
	if err != nil {
		return err
	}
	defer log.Close()
	if c.Speaker == "gobgp" {
		return nil // its routes have gone with its connections
	}
	speaker, _, err := newSpeaker(c, log.Logger)
	if err != nil {
		return err
	}
	if err := makeSocketDir(c.Socket); err != nil {
		return err
	}
	s, err := sidecar.Listen(sidecarOptions(c, speaker, nil, log.Logger))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return errors.Join(speaker.Close(ctx), s.Close())
}

// run ends with a signal, or when the sidecar fails. Then it withdraws and ends
// the other parts.
func (p *parts) run(log *zap.Logger, caught signals.Signals) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watched sync.WaitGroup
	watched.Go(func() { p.web.Serve(log) })
	watched.Go(func() { p.orders.Serve(log) })
	if p.guard != nil {
		watched.Go(func() { p.guard.Serve(ctx, p.say) })
	}
	served := make(chan error, 1)
	go func() { served <- p.sidecar.Serve(ctx) }()
	systemd.Ready(log)

	running, err := awaitEnd(served, log, caught)
	systemd.Stopping(log)
	limit, release := context.WithTimeout(context.Background(), stopLimit)
	defer release()
	cancel()
	if running {
		err = <-served
	}
	p.web.Close()
	p.orders.Close()
	watched.Wait()
	if errors.Is(err, sidecar.ErrStuck) {
		return err // it would not return from Close, either
	}
	err = errors.Join(err, p.speaker.Close(limit))
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
