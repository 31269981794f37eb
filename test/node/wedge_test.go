//go:build linux

package node

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"proxima/bgpctl"
	"proxima/bgpctl/check"
	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/state"
	"proxima/cache"
	"proxima/resolver"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/server"
	"proxima/test/sim"
	"proxima/wire"
)

// wedgeName makes a wedging handler stand still.
const wedgeName = "\x05wedge\x07example\x00"

// A wedging handler is the real resolver, until it is asked for wedgeName: then
// the reader that asked stands still until release is closed, as after a
// deadlock.
type wedging struct {
	*resolver.Resolver
	release chan struct{}
}

func (w *wedging) AnswerNow(dst []byte, q *wire.Query, at time.Time) ([]byte, bool) {
	if string(q.Name) == wedgeName {
		<-w.release
	}
	return w.Resolver.AnswerNow(dst, q, at)
}

// announcements takes down what a sidecar announces.
type announcements chan int

func (a announcements) Set(_ context.Context, routes []sidecar.Route) error {
	a <- len(routes)
	return nil
}

func (a announcements) Close(context.Context) error { return nil }

// TestWedgedReader_losesItsRoute joins the real server, checks, keeper, lease
// socket and sidecar in one process: one of two readers stands still, the other
// goes on answering, and the timers of the process run on.
func TestWedgedReader_losesItsRoute(t *testing.T) {
	const lease = time.Second
	handler := &wedging{Resolver: mustResolver(t), release: make(chan struct{})}
	loopback := netip.MustParseAddr("127.0.0.1")
	srv, err := server.Listen(server.Options{Addresses: []netip.Addr{loopback}, Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix("198.51.100.0/24")
	path := filepath.Join(t.TempDir(), "bgp.sock")
	announced := make(announcements, 16)
	car, err := sidecar.Listen(sidecar.Options{
		Path: path, Speaker: announced,
		Groups: []sidecar.Group{{Name: "main", Prefixes: []netip.Prefix{prefix}}},
		Rules: state.Rules{
			Warmup:   state.Warmup{Min: time.Millisecond, Rise: 1},
			HoldDown: state.HoldDown{Base: 100 * time.Millisecond, Max: time.Second},
			Drain:    state.Drain{Wait: time.Second},
			Guard:    state.Guard{Trusting: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	link := bgpctl.Dial(path)
	at := srv.Addrs()[0]
	keeper, err := bgpctl.NewKeeper(bgpctl.KeeperOptions{
		Link: link, Prefixes: []netip.Prefix{prefix}, Every: 200 * time.Millisecond, Lease: lease,
		Checks: []bgpctl.Check{
			{Name: "progress", Run: check.Progress(srv.Stuck, 500*time.Millisecond)},
			{Name: "tcp", Run: check.DNS("tcp", at, loopback, "tcp", "n1", 0)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running errgroup.Group
	running.Go(func() error { return srv.Serve(ctx, handler) })
	running.Go(func() error { return car.Serve(ctx) })
	running.Go(func() error { return keeper.Run(ctx) })
	t.Cleanup(func() {
		stop()
		_ = running.Wait()
		_ = link.Close()
	})

	announced.await(t, 1, "announced at the start")
	wedged := time.Now()
	conn, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	header := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	if _, err := conn.Write([]byte(header + wedgeName + "\x00\x01\x00\x01")); err != nil {
		t.Fatal(err)
	}
	announced.await(t, 0, "withdrawn with a wedged reader")
	t.Logf("withdrawn %.2f s after a reader stood still; the lease is %v", time.Since(wedged).Seconds(), lease)
	close(handler.release)
	announced.await(t, 1, "announced again")
}

// await waits until the sidecar announces so many routes.
func (a announcements) await(t *testing.T, routes int, what string) {
	t.Helper()
	limit := time.After(startLimit)
	for {
		select {
		case n := <-a:
			if n == routes {
				return
			}
		case <-limit:
			t.Fatalf("not %s after %v", what, startLimit)
		}
	}
}

// mustResolver returns a real resolver, node n1, behind which nobody answers.
func mustResolver(t *testing.T) *resolver.Resolver {
	t.Helper()
	store, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	failures, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	unproven, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w, err := iterate.New(iterate.Options{Exchanger: sim.New(1), Selection: selection.New(0), Cache: store, Hints: anchor.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New(resolver.Options{Walker: w, Cache: store, Failures: failures, Unproven: unproven, ID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
