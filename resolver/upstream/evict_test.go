package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestPool_makesRoom(t *testing.T) {
	type one struct {
		ago   time.Duration // since something happened
		live  int
		heard bool
		ends  string // what keeps it from taking questions
	}
	busy := one{live: 1, heard: true}
	tests := []struct {
		name          string
		others        one // all but two
		first, second one
		ended         string // who has to make room
		asked         bool   // somebody waited on it
	}{
		{"an unused one before one that has never replied", busy,
			one{ago: time.Hour, live: 1}, one{}, "second", false},
		{"of the unused the one that was so for longest", one{ago: time.Second},
			one{ago: 3 * time.Second}, one{ago: 2 * time.Second}, "first", false},
		{"of those that never replied the oldest", one{ago: time.Second, live: 1},
			one{ago: 2 * time.Second, live: 1}, one{ago: 3 * time.Second, live: 9}, "second", true},
		{"one that never replied before one that did, long ago", busy,
			one{live: 1}, one{ago: time.Hour, live: 1, heard: true}, "first", true},
		{"one that replied, but no longer does", busy,
			one{ago: silence, live: 1, heard: true}, one{ago: silence / 2, live: 1, heard: true}, "first", true},
		{"none that replies", busy, busy, one{ago: silence / 2, live: 1, heard: true}, "", false},
		{"none that ends already", busy, one{ago: time.Hour, ends: "closed"}, one{ago: time.Hour, live: 1, ends: "failed"}, "", false},
		{"one that takes no more questions, if those on it wait in vain", busy,
			one{ago: time.Second, live: 1, ends: "closed"}, busy, "first", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, p, ended := time.Now(), newPool(), ""
			put := func(o one, name string) {
				s := &stream{live: o.live, heard: o.heard, closed: o.ends == "closed", since: at.Add(-o.ago)}
				if o.ends == "failed" {
					s.cause = errEvicted
				}
				s.end = func() { ended += name }
				p.all[s] = struct{}{}
			}
			put(tt.first, "first")
			put(tt.second, "second")
			for range 20 {
				put(tt.others, "other")
			}
			asked, ok := p.evict(at)
			if ended != tt.ended || asked != tt.asked || ok != (tt.ended != "") {
				t.Errorf("ended %q, asked %t, room %t; want %q, %t", ended, asked, ok, tt.ended, tt.asked)
			}
		})
	}
}

func TestPool_isBounded(t *testing.T) {
	c := mustClient(t, Options{})
	for range maxStreams {
		s := &stream{live: 1, heard: true, since: time.Now().Add(time.Hour), end: func() {}}
		c.pool.all[s] = struct{}{}
	}
	err := ask(within(t, patience), c, someServer, 1)
	if got := c.Stats(); !errors.Is(err, ErrBusy) || got.Busy != 1 || got.Evicted != 0 {
		t.Errorf("err = %v, Stats = %+v, want ErrBusy, counted", err, got)
	}
}

// muteCrowd accepts connections at all of 127.0.0.0/8, and never says anything.
// It returns the port, and when the test is over, waits for their end.
func muteCrowd(t *testing.T) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				hangUp(conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// muteServer is the i-th address of a crowd.
func muteServer(port uint16, i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1 + byte(i>>16), byte(i >> 8), byte(i)}), port)
}

// mustFiles skips the test if this process cannot have so many files.
func mustFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Skipf("%d files at most (%v), want %d", limit.Cur, err, n)
	}
}

// TestPool_servesTheHonestAmongTheMute keeps all connections in use by servers
// that accept and never answer, and asks one that does, of which each reply
// takes a connection of its own.
func TestPool_servesTheHonestAmongTheMute(t *testing.T) {
	const questions = 50
	mustFiles(t, 3*maxStreams)
	honest := host(t, func(_ int, conn net.Conn) { serve(conn, 1) })
	port := muteCrowd(t)
	c := mustClient(t, Options{})
	patient, giveUp := context.WithCancel(t.Context())
	var hopeless sync.WaitGroup
	defer hopeless.Wait()
	defer giveUp()
	asked := 0
	fill := func() { // asks mute servers until all connections are in use
		for c.Stats().Connections < maxStreams {
			to, begun := muteServer(port, asked), c.Stats().Connects
			hopeless.Go(func() {
				err := ask(patient, c, to, 0)
				if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: err = %v, want one that is no server's fault", to, err)
				}
			})
			asked++
			for c.Stats().Connects == begun && patient.Err() == nil {
				runtime.Gosched()
			}
		}
	}
	for i := range questions {
		fill()
		if err := ask(within(t, patience), c, honest, i); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
		if got := c.Stats().Connections; got > maxStreams+1 { // one that is about to end
			t.Errorf("%d connections", got)
		}
	}
	if got := c.Stats(); got.Evicted == 0 || got.Busy != 0 {
		t.Errorf("Stats = %+v, want room made, and nobody refused", got)
	}
}

func TestPool_boundsTheStreamsToOneServer(t *testing.T) {
	port := muteCrowd(t)
	c := mustClient(t, Options{})
	patient, giveUp := context.WithCancel(t.Context())
	var hopeless sync.WaitGroup
	for i := range maxServerStreams {
		q, to := mustPack(t, "www.example."), muteServer(port, 1)
		if _, _, err := c.join(to, q, true); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	hopeless.Go(func() { _ = ask(patient, c, muteServer(port, 2), 0) })
	err := ask(within(t, patience), c, muteServer(port, 1), 0)
	if got := c.Stats(); !errors.Is(err, ErrBusy) || got.Crowded != 1 || got.Busy != 1 {
		t.Errorf("err = %v, Stats = %+v, want ErrBusy, counted", err, got)
	}
	for c.Stats().Connections <= maxServerStreams {
		runtime.Gosched() // another server has its own
	}
	giveUp()
	hopeless.Wait()
	c.Close()
	if len(c.pool.held) > 0 {
		t.Errorf("after Close some are held: %v", c.pool.held)
	}
}
