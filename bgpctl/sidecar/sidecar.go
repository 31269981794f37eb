package sidecar

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar/state"
)

// A Speaker makes the routes it is given the only ones announced. It compares
// and sends the difference, and returns an error if what is announced then is
// not what was asked for. The first Set finds also what an earlier process has
// left. Close withdraws first. Calls come one at a time.
type Speaker interface {
	Set(ctx context.Context, routes []Route) error
	Close(ctx context.Context) error
}

// A Renewer is a Speaker whose routes end by themselves unless they are
// renewed. Renew is called every renewEvery by the loop that knows the leases,
// so that the routes end with it; its error is as that of Set.
type Renewer interface {
	Renew(ctx context.Context) error
}

// Options says where to listen and what may be announced.
type Options struct {
	Path     string  // of the socket; root and this process's user may connect
	File     string  // where what outlives the process is kept; "" = nowhere
	Groups   []Group // at least one
	Rules    state.Rules
	Speaker  Speaker              // the caller closes it after Serve
	Sessions func() (up, all int) // of the speaker; must not wait. nil = it cannot tell
	Others   Others               // nil = nothing is known of other nodes
	Alive    func()               // called each time the loop of Serve turns; nil = nobody wants to know
	Log      *zap.Logger          // nil = none
}

// Others tells what is known of the other nodes that announce prefixes, from
// words that are not older than stale, and how old the oldest is. It must not
// wait.
type Others func(prefixes []netip.Prefix, stale time.Duration) (others state.Others, age time.Duration)

const (
	// tickEvery bounds how late the end of a lease is seen. 100 ms is well
	// within the half second that a hung node may take beyond its lease.
	tickEvery = 100 * time.Millisecond

	// setLimit bounds one call of the speaker. It takes milliseconds; one that
	// takes 2 s hangs, and only the end of this process withdraws then.
	setLimit = 2 * time.Second

	// writeLimit bounds how long the end waits for the disk: nobody loses a query
	// for what is not kept.
	writeLimit = time.Second

	// renewEvery is the time between two calls of a Renewer: one may be missed in
	// the least lifetime, 1 s.
	renewEvery = 500 * time.Millisecond

	// retryEvery is when a speaker that has failed is asked again.
	retryEvery = time.Second
)

// ErrStuck says that the speaker did not return. The process must end: that
// closes its sessions, and so withdraws its routes.
var ErrStuck = errors.New("the speaker does not return")

// A Sidecar listens for leases. Serve does the work; Status and Stats may be
// called from any goroutine.
type Sidecar struct {
	o        Options // immutable after Listen, like what follows
	log      *zap.Logger
	owners   map[netip.Prefix]Group
	socket   *socket
	now      func() time.Duration // the clock of leases
	messages chan message         // from the connections to Serve
	orders   chan order           // from operators to Serve
	keeps    chan kept            // from Serve to the writer of File; holds one
	written  chan struct{}        // closed when the writer has ended
	done     chan struct{}        // closed when Serve ends
	readers  sync.WaitGroup
	status   atomic.Pointer[Status]
	counters counters

	mu      sync.Mutex // guards conns and history
	conns   map[*conn]bool
	history []Transition

	// Owned by Serve.
	a       state.Announcement
	holder  *conn          // nil = nobody
	process process        // that sent the last good lease
	wanted  []netip.Prefix // of the last good lease
	routes  []Route        // that the speaker has confirmed
	asked   []Route        // that it was last asked for
	failed  error          // of the last Set
	retry   time.Duration
	renewed time.Duration // when a Renewer was last called
}

// A process is a sender of leases. Its seq only grows.
type process struct {
	boot  string
	pid   int
	start int64
	seq   uint64
}

// Listen takes the socket. It fails if another sidecar has it, and names the
// field or the group that is wrong.
func Listen(o Options) (*Sidecar, error) {
	owners, err := byPrefix(o.Groups)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if o.Speaker == nil {
		return nil, errors.New("sidecar: Speaker: none")
	}
	if o.Sessions == nil {
		o.Sessions = func() (up, all int) { return 0, 0 }
	}
	if o.Alive == nil {
		o.Alive = func() {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	l, err := listen(o.Path)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	s := &Sidecar{
		o:        o,
		log:      o.Log,
		owners:   owners,
		socket:   l,
		now:      boottime,
		messages: make(chan message),
		orders:   make(chan order),
		keeps:    make(chan kept, 1),
		written:  make(chan struct{}),
		done:     make(chan struct{}),
		conns:    make(map[*conn]bool),
	}
	s.a = s.recall(s.now())
	s.publish(s.now())
	return s, nil
}

// Serve withdraws what an earlier process may have left and works until ctx is
// done; then it withdraws, lets go of the socket and returns nil. It is called
// once. ErrStuck ends it early.
func (s *Sidecar) Serve(ctx context.Context) error {
	s.readers.Go(s.accept)
	go s.write()
	defer s.close()
	if err := s.set(nil); err != nil {
		return err
	}
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return s.withdraw()
		case <-ticker.C:
			err = s.tick(s.now())
		case m := <-s.messages:
			err = s.take(m)
		case o := <-s.orders:
			err = s.obey(o)
		}
		if err != nil {
			return err
		}
		s.publish(s.now())
		s.o.Alive()
	}
}

// look returns what a tick brings: news of the others, if there is somebody who
// knows.
func (s *Sidecar) look(at time.Duration) state.Event {
	if s.o.Others == nil || len(s.wanted) == 0 {
		return state.Event{Kind: state.Tick}
	}
	stale := s.o.Rules.Guard.Stale
	if since, leaving := s.a.Leaving(); leaving {
		stale = min(stale, at-since) // only what was said in full knowledge counts
	}
	others, age := s.o.Others(s.wanted, stale)
	others.At = at - age
	return state.Event{Kind: state.Heard, Others: others}
}

// tick ends what time or news of the others end, and renews the rest.
func (s *Sidecar) tick(at time.Duration) error {
	if err := s.advance(s.look(at), at); err != nil {
		return err
	}
	r, ok := s.o.Speaker.(Renewer)
	if !ok || at < s.renewed+renewEvery || s.failed != nil {
		return nil
	}
	s.renewed = at
	return s.ask(r.Renew)
}

// Close lets go of the socket of a Sidecar that never served.
func (s *Sidecar) Close() error { return s.socket.close() }

// close ends the connections and waits for their goroutines.
func (s *Sidecar) close() {
	close(s.done)
	close(s.keeps)
	if err := s.socket.close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("socket not closed", zap.Error(err))
	}
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.readers.Wait()
	select {
	case <-s.written:
	case <-time.After(writeLimit):
		s.log.Error("the disk does not take what is to be kept", zap.String("file", s.o.File))
	}
}

// withdraw is the end of Serve.
func (s *Sidecar) withdraw() error {
	if s.a.Announces() {
		s.log.Info("announcement withdrawn", zap.String("reason", state.Stopped))
	}
	s.a = s.a.Stop(s.now(), s.o.Rules)
	s.keep(s.now())
	err := s.set(nil)
	s.publish(s.now())
	return err
}

// take handles what a connection has brought.
func (s *Sidecar) take(m message) error {
	switch {
	case m.err != nil && m.conn == s.holder:
		s.holder = nil
		return s.advance(state.Event{Kind: state.Gone, Reason: m.err.Error()}, m.at)
	case m.err != nil:
		return nil
	}
	if err := s.refusal(m); err != nil {
		s.counters.refused.Add(1)
		if m.conn.refused != err.Error() {
			m.conn.refused = err.Error()
			s.log.Warn("lease refused", zap.Int32("pid", m.conn.cred.Pid), zap.Error(err))
		}
		s.reply(m, err)
		return nil
	}
	m.conn.refused = ""
	if s.holder != m.conn {
		s.adopt(m)
	}
	s.process = m.process()
	s.wanted = m.lease.Prefixes
	ttl := time.Duration(min(max(m.lease.TTL, bgpctl.MinLease.Milliseconds()), bgpctl.MaxLease.Milliseconds())) * time.Millisecond
	err := s.advance(state.Event{
		Kind: state.Leased, TTL: ttl, Wish: m.lease.Wish, Check: m.lease.Check, Class: m.lease.Class,
		Reason: m.lease.Reason, Answers: m.lease.Answers, Queries: m.lease.Queries,
	}, m.at)
	s.reply(m, nil)
	return err
}

// refusal says why a lease does not count, or nil.
func (s *Sidecar) refusal(m message) error {
	if s.holder != nil && s.holder != m.conn && m.at < s.a.Expires {
		return fmt.Errorf("process %d holds the lease", s.holder.cred.Pid)
	}
	p := m.process()
	if p.boot == s.process.boot && p.pid == s.process.pid && p.start == s.process.start && p.seq <= s.process.seq {
		return fmt.Errorf("seq %d after %d", p.seq, s.process.seq)
	}
	if len(m.lease.Prefixes) == 0 {
		return errors.New("no prefixes")
	}
	for _, p := range m.lease.Prefixes {
		if _, ok := s.owners[p]; !ok {
			return fmt.Errorf("no group has the prefix %v", p)
		}
	}
	return nil
}

// adopt makes the sender of m the holder. An earlier one has let its lease run
// out: its connection is ended.
func (s *Sidecar) adopt(m message) {
	if s.holder != nil {
		s.holder.Close()
	}
	s.holder = m.conn
	s.log.Info("lease taken", zap.Int32("pid", m.conn.cred.Pid), zap.Uint32("uid", m.conn.cred.Uid))
}

// advance lets e happen, tells of a change of state, and brings the speaker in
// line.
func (s *Sidecar) advance(e state.Event, at time.Duration) error {
	before := s.a
	e.Chance = rand.Float64()
	s.a = state.Step(before, e, at, s.o.Rules)
	if s.a.State != before.State {
		s.counters.transitions[s.a.State].Add(1)
		s.remember(before, s.a)
		s.tell()
	}
	if s.a.State != before.State || s.a.Merit != before.Merit || s.a.Drained != before.Drained {
		s.keep(at)
	}
	if before.Expires != 0 && at >= before.Expires {
		s.counters.expired.Add(1)
	}
	want := s.want()
	if s.failed != nil && at < s.retry && slices.EqualFunc(want, s.asked, Route.Equal) {
		return nil
	}
	if s.failed == nil && slices.EqualFunc(want, s.routes, Route.Equal) {
		return nil
	}
	return s.set(want)
}

// tell logs the state that was entered, with the check that caused it and the
// class of its fault. What nobody asked for is a warning.
func (s *Sidecar) tell() {
	fields := []zap.Field{zap.Stringer("state", s.a.State), zap.String("reason", s.a.Reason)}
	if s.a.Check != "" {
		fields = append(fields, zap.String("check", s.a.Check), zap.Stringer("class", s.a.Class))
	}
	asked := s.a.Expires != 0 && s.a.Check == "" // by a node that is well
	switch s.a.State {
	case bgpctl.Withdrawn:
		if asked {
			s.log.Info("announcement withdrawn", fields...)
		} else {
			s.log.Warn("announcement withdrawn", fields...)
		}
	case bgpctl.Maintenance:
		s.log.Info("announcement withdrawn", fields...)
	case bgpctl.Warmup:
		s.log.Info("warm-up begun", fields...)
	case bgpctl.Announced:
		s.log.Info("announcement made", append(fields, zap.Stringers("prefixes", s.wanted))...)
	case bgpctl.Degraded:
		s.log.Warn("announcement degraded", fields...)
	case bgpctl.Held:
		s.log.Error("announcement held: a check wants it withdrawn", fields...)
	case bgpctl.Draining:
		s.log.Info("drain begun", fields...)
	case bgpctl.Frozen:
		s.log.Warn("announcement frozen", fields...)
	}
}

// want returns the routes that the state stands for, in the order of their
// prefixes.
func (s *Sidecar) want() []Route {
	if !s.a.Announces() {
		return nil
	}
	routes := make([]Route, 0, len(s.wanted))
	for _, p := range s.wanted {
		routes = append(routes, s.owners[p].route(p, s.a.Low))
	}
	slices.SortFunc(routes, func(x, y Route) int { return x.Prefix.Compare(y.Prefix) })
	return slices.CompactFunc(routes, Route.Equal)
}

// set asks the speaker for routes and notes what came of it. The error is
// ErrStuck or nil: any other is told to the node, and Set is tried again.
func (s *Sidecar) set(routes []Route) error {
	s.asked = routes
	err := s.ask(func(ctx context.Context) error { return s.o.Speaker.Set(ctx, routes) })
	if err == nil && s.failed == nil {
		s.routes = routes
	}
	return err
}

// ask calls the speaker, within setLimit.
func (s *Sidecar) ask(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), setLimit)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- call(ctx) }()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		return ErrStuck
	}
	if err != nil && (s.failed == nil || s.failed.Error() != err.Error()) {
		s.log.Error("speaker failed", zap.Error(err))
	} else if err == nil && s.failed != nil {
		s.log.Info("speaker recovered")
	}
	s.failed = err
	if err != nil {
		s.counters.speakerErrors.Add(1)
		s.retry = s.now() + retryEvery
	}
	return nil
}
