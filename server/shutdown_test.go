package server

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"proxima/server/ratelimit"
	"proxima/wire"
)

// shutdown ends s within the test's patience.
func shutdown(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdown_losesNothing(t *testing.T) {
	const queries = 200 // whose replies fit the client's socket
	h := &handlerFunc{now: both.now, later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
		time.Sleep(20 * time.Millisecond)
		return appendAnswer(dst, q, 4)
	}}
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"now.example.", "later.example."} {
			t.Run(network+" "+name, func(t *testing.T) {
				s := serve(t, Options{Readers: 2, Waiting: ratelimit.Options{Question: queries}}, h)
				c := dial(t, network, netip.Addr{}, s.Addrs()[0])
				for id := range uint16(queries) {
					send(t, c, query(id, name))
				}
				shutdown(t, s) // all have arrived: loopback delivers before write returns
				for range queries {
					receive(t, c)
				}
			})
		}
	}
}

func TestShutdown_answersWhoJustConnected(t *testing.T) {
	s, err := Listen(Options{Addresses: []netip.Addr{loopback4}})
	if err != nil {
		t.Fatal(err)
	}
	udp, tcp := dial(t, "udp", netip.Addr{}, s.Addrs()[0]), dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	send(t, udp, query(1, "now.example."))
	send(t, tcp, query(2, "now.example."))
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), known) }()
	wantStats(t, s, "serving", func(s Stats) bool { return s.UDP.Queries == 1 })
	shutdown(t, s)
	if got := read(t, receive(t, udp)).id; got != 1 {
		t.Errorf("by UDP got reply %d, want 1", got)
	}
	if got := read(t, receive(t, tcp)).id; got != 2 {
		t.Errorf("by TCP got reply %d, want 2", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestShutdown_takesQueriesWhileOthersAreInFlight(t *testing.T) {
	release := make(chan struct{})
	h := &handlerFunc{now: both.now, later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
		<-release
		return appendAnswer(dst, q, 4)
	}}
	s := serve(t, Options{}, h)
	udp, tcp := dial(t, "udp", netip.Addr{}, s.Addrs()[0]), dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	send(t, udp, query(1, "later.example."))
	wantStats(t, s, "in flight", func(s Stats) bool { return s.Inflight == 1 })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		shutdown(t, s)
	}()
	for range 3 {
		if got := ask(t, udp, query(2, "now.example.")).id; got != 2 {
			t.Errorf("by UDP got reply %d, want 2", got)
		}
		if got := ask(t, tcp, query(3, "now.example.")).id; got != 3 {
			t.Errorf("by TCP got reply %d, want 3", got)
		}
	}
	close(release)
	if got := read(t, receive(t, udp)).id; got != 1 {
		t.Errorf("at last got reply %d, want 1", got)
	}
	<-ended
	if rest := closed(t, tcp); len(rest) > 0 {
		t.Errorf("got %x at last, want the end of the stream", rest)
	}
}

func TestShutdown_endsInTime(t *testing.T) {
	h := &handlerFunc{later: func(ctx context.Context, dst []byte, q *wire.Query) []byte {
		<-ctx.Done()
		return dst
	}}
	s := serve(t, Options{}, h)
	send(t, dial(t, "udp", netip.Addr{}, s.Addrs()[0]), query(1, "a.example."))
	wantStats(t, s, "in flight", func(s Stats) bool { return s.Inflight == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := s.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 queries in flight") {
		t.Errorf("Shutdown = %v, want the deadline and what was in flight", err)
	}
}

func TestServe_returns(t *testing.T) {
	listen := func(t *testing.T) *Server {
		t.Helper()
		s, err := Listen(Options{Addresses: []netip.Addr{loopback4}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("nil after Close", func(t *testing.T) {
		s := listen(t)
		s.Close()
		if err := s.Serve(context.Background(), known); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	t.Run("nil after Shutdown before it", func(t *testing.T) {
		s := listen(t)
		shutdown(t, s)
		if err := s.Serve(context.Background(), known); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	t.Run("the reason when its context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		reason := errors.New("enough")
		cancel(reason)
		if err := listen(t).Serve(ctx, known); err != reason {
			t.Errorf("Serve = %v, want %v", err, reason)
		}
	})
	t.Run("with no goroutine left", func(t *testing.T) {
		before := runtime.NumGoroutine()
		s := listen(t)
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), both) }()
		for _, name := range []string{"now.example.", "later.example."} {
			ask(t, dial(t, "udp", netip.Addr{}, s.Addrs()[0]), query(1, name))
			ask(t, dial(t, "tcp", netip.Addr{}, s.Addrs()[0]), query(1, name))
		}
		shutdown(t, s)
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
	})
}
