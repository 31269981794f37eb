package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxima/crew"
	"proxima/server/ratelimit"
	"proxima/server/socket"
	"proxima/wire"
)

// A Handler decides what to answer. Each method appends one complete DNS
// message to dst and returns the result; an unchanged dst means send nothing.
// If the reply has an OPT record, it is the last record. Neither method keeps
// dst or q.
type Handler interface {
	// AnswerNow replies if the reply is known. It runs on the goroutine that
	// read the packet: it must not block, lock or allocate.
	AnswerNow(dst []byte, q *wire.Query, at time.Time) (reply []byte, ok bool)

	// Answer may wait for other servers until ctx is done.
	Answer(ctx context.Context, dst []byte, q *wire.Query, at time.Time) (reply []byte)
}

// A Server holds the sockets of the service addresses.
type Server struct {
	// Immutable after Listen.
	o         Options
	allow     allowlist
	nsid      []byte
	addrs     []netip.AddrPort
	readers   []*reader
	listeners []*listener
	start     time.Time // what reader.began counts from
	ctx       context.Context
	cancel    context.CancelFunc // ends every Handler.Answer

	handler Handler        // set by Serve before the first task
	tasks   sync.WaitGroup // readers, acceptors, and connections
	crew    crew.Crew      // queries that wait
	terms   crew.Terms     // of those by UDP: what their contexts last
	done    chan struct{}  // closed when Serve has nothing left to wait for
	packets sync.Pool      // of *packet; at most MaxInflight and one for each connection are out

	conns    table             // TCP connections of clients
	own      table             // and those from Options.Own
	places   *ratelimit.Places // what the queries of one client hold that wait
	inflight atomic.Int64
	panics   atomic.Uint64
	streams  connTally

	mu      sync.Mutex // guards what follows
	serving bool
	closed  bool
	ending  bool // Shutdown or Close was called
}

// portTries bounds how often Listen looks for a port that is free everywhere,
// when Options.Port is 0.
const portTries = 16

// Listen binds all sockets or none. Queries that arrive before Serve wait in
// the kernel.
func Listen(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	o.fitInto(files.Cur)
	places, err := ratelimit.New(o.Waiting)
	if err != nil {
		return nil, fmt.Errorf("server: Waiting: %w", err)
	}
	for range portTries {
		s := newServer(o, places)
		if err = s.bind(); err == nil {
			return s, nil
		}
		s.Close()
		if o.Port != 0 || !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("server: %w", err)
}

// newServer returns a server without sockets. o is complete.
func newServer(o Options, places *ratelimit.Places) *Server {
	s := &Server{o: o, allow: newAllowlist(o.Allow), nsid: []byte(o.NSID), places: places, start: time.Now(), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.terms = crew.Terms{Parent: s.ctx, Length: o.Timeout}
	s.packets.New = func() any { return new(packet) }
	s.conns.init(o, &s.streams)
	o.MaxConns, o.MaxConnsPerClient = ownConns, ownConns
	s.own.init(o, &s.streams)
	return s
}

// bind opens the sockets, TCP first: TCP listeners share no port, which is how
// a second server on the same address fails.
func (s *Server) bind() error {
	port := s.o.Port
	for _, a := range s.o.Addresses {
		l, err := socket.ListenTCP(netip.AddrPortFrom(a, port), s.o.Stall)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, &listener{TCPListener: l})
		port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		s.addrs = append(s.addrs, netip.AddrPortFrom(a, port))
	}
	for _, at := range s.addrs {
		for i := range s.o.Readers {
			conn, err := socket.ListenUDP(at)
			if err != nil {
				return err
			}
			u, err := newUDPSocket(conn, at.Addr())
			if err != nil {
				conn.Close()
				return err
			}
			s.readers = append(s.readers, newReader(s, u, fmt.Sprintf("%v/%d", at, i)))
		}
	}
	return nil
}

// tableFor returns the table in which connections from a are counted.
func (s *Server) tableFor(a netip.Addr) *table {
	if s.isOwn(a) {
		return &s.own
	}
	return &s.conns
}

// isOwn reports whether it is this node that asks from a.
func (s *Server) isOwn(a netip.Addr) bool { return slices.Contains(s.o.Own, a) }

// Addrs returns the addresses and the port that Listen bound, in the order of
// Options.Addresses.
func (s *Server) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), s.addrs...) }

// Serve answers queries with h until Shutdown or Close, and returns nil after
// those; if ctx ends first, it closes and returns the reason. When it returns,
// every goroutine of the server has ended. It can be called once.
func (s *Server) Serve(ctx context.Context, h Handler) error {
	s.mu.Lock()
	if s.closed || s.serving {
		defer s.mu.Unlock()
		if s.closed {
			return nil
		}
		return errors.New("server: Serve was called twice")
	}
	s.serving = true
	s.handler = h
	for _, r := range s.readers {
		s.tasks.Go(r.run)
	}
	for _, l := range s.listeners {
		s.tasks.Go(func() { s.accept(l) })
	}
	s.mu.Unlock()

	stop := context.AfterFunc(ctx, s.closeAll)
	defer stop()
	s.tasks.Wait()
	s.crew.Close()
	s.closeAll()
	close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil
	}
	return context.Cause(ctx)
}

// settlePoll is how often Shutdown looks whether queries are still in flight.
const settlePoll = 5 * time.Millisecond

// Shutdown ends the service without losing a query that has arrived. First the
// queries in flight are answered, while new ones are still taken; then what
// waits in the sockets is answered; then they are closed. If ctx ends before
// that, Shutdown closes everything and returns the reason.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ending = true
	serving := s.serving
	s.mu.Unlock()
	defer s.closeAll()
	if !serving {
		return nil
	}
	s.settle(ctx)
	s.drain()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server: %d queries in flight: %w", s.inflight.Load(), context.Cause(ctx))
	}
}

// settle waits until no query is in flight; or for as long as one of those in
// flight now can take, since others may follow without end.
func (s *Server) settle(ctx context.Context) {
	limit := time.NewTimer(s.o.Timeout)
	defer limit.Stop()
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	for s.inflight.Load() > 0 {
		select {
		case <-tick.C:
		case <-limit.C:
			return
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drain tells every reader, acceptor and connection to answer what has arrived
// and to end.
func (s *Server) drain() {
	for _, r := range s.readers {
		r.conn.Wake()
	}
	for _, l := range s.listeners {
		l.SetDeadline(time.Unix(1, 0)) // fails only if the listener is closed, which ends it too
	}
	s.conns.drain()
	s.own.drain()
}

// Close ends the service at once: sockets are closed, and the contexts of
// queries in flight end. It does not wait; Serve does.
func (s *Server) Close() error {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.closeAll()
	return nil
}

// closeAll closes what is open. It may be called again.
func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.cancel()
	for _, r := range s.readers {
		r.conn.Close()
	}
	for _, l := range s.listeners {
		l.Close()
	}
	s.conns.close()
	s.own.close()
}

// Stuck returns an error that names a reader which, as of at, has been inside
// one batch for longer than limit, or nil if there is none. A reader takes
// microseconds for a batch; one that does not return answers nobody.
func (s *Server) Stuck(at time.Time, limit time.Duration) error {
	now := at.Sub(s.start)
	for _, r := range s.readers {
		if err := r.stuck(now, limit); err != nil {
			return err
		}
	}
	return nil
}
