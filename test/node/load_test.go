//go:build linux

package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"proxima/bgpctl"
	"proxima/bgpctl/check"
	"proxima/server"
)

// floodTime is how long a flood of these tests lasts: two rounds of checks.
const floodTime = 2500 * time.Millisecond

// A watched keeper judges a real server by real checks; its Link counts what it
// wishes.
type watched struct {
	*server.Server
	keeper   *bgpctl.Keeper
	stop     func()
	ups      atomic.Int64
	faults   atomic.Int64       // Ups with a fault
	downs    chan bgpctl.Wanted // holds the first that followed an Up
	announce atomic.Bool        // an Up has come
}

func (w *watched) Hold(_ context.Context, want bgpctl.Wanted, _ time.Duration) (bgpctl.Reply, error) {
	switch {
	case want.Wish == bgpctl.Up:
		w.announce.Store(true)
		w.ups.Add(1)
		if want.Class != bgpctl.Sound {
			w.faults.Add(1)
		}
		return bgpctl.Reply{Seq: 1, State: bgpctl.Announced, Announced: want.Prefixes}, nil
	case want.Wish == bgpctl.Down && w.announce.Load():
		select {
		case w.downs <- want:
		default:
		}
	}
	return bgpctl.Reply{Seq: 1}, nil
}

// mustWatch starts a server with two readers and a keeper with the rounds of a
// node but no patience, and waits until it is up.
func mustWatch(t *testing.T, h server.Handler) *watched {
	t.Helper()
	own := netip.MustParseAddr("127.0.0.1")
	srv, err := server.Listen(server.Options{Addresses: []netip.Addr{own}, Own: []netip.Addr{own}, Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	const every = time.Second
	w := &watched{Server: srv, downs: make(chan bgpctl.Wanted, 1)}
	checks := []bgpctl.Check{{Name: "progress", Run: check.Progress(srv.Stuck, time.Second)}}
	all := check.Count{Asked: uint64(check.Questions("udp") + check.Questions("tcp")), Sent: func() uint64 {
		udp, tcp := srv.Replies(0)
		return udp + tcp
	}}
	for n, network := range []string{"udp", "tcp"} {
		path := check.Count{Asked: uint64(check.Questions(network)), Sent: func() uint64 {
			udp, tcp := srv.Replies(0)
			return [...]uint64{udp, tcp}[n]
		}}
		checks = append(checks, bgpctl.Check{
			Name: network, Class: [...]bgpctl.Class{bgpctl.HardLocal, bgpctl.SoftLocal}[n],
			Run:    check.DNS(network, srv.Addrs()[0], own, network, "n1", every/2*4/5),
			Excuse: check.Excuse(path, all),
		})
	}
	w.keeper, err = bgpctl.NewKeeper(bgpctl.KeeperOptions{
		Link: w, Prefixes: prefixes("198.51.100.0/24"), Checks: checks, Every: every, Rise: 1, Fall: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return srv.Serve(ctx, h) })
	running.Go(func() error { return w.keeper.Run(ctx) })
	w.stop = func() {
		cancel()
		_ = running.Wait()
	}
	t.Cleanup(w.stop)
	for end := time.Now().Add(startLimit); w.ups.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never up: %+v", w.keeper.Status())
		}
	}
	return w
}

// identityQuery asks for id.server. of class CH.
var identityQuery = []byte("\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02id\x06server\x00\x00\x10\x00\x03")

// floodDatagrams asks as fast as it can, and reads no reply, until ctx is done.
func floodDatagrams(ctx context.Context, to netip.AddrPort) {
	conn, err := net.Dial("udp", to.String())
	if err != nil {
		return
	}
	defer conn.Close()
	for ctx.Err() == nil {
		_, _ = conn.Write(identityQuery)
	}
}

// floodStreams opens connections as fast as it can, from an address of its own,
// until ctx is done, and keeps the last few. On each it sends what it is given.
func floodStreams(ctx context.Context, to netip.AddrPort, from netip.Addr, query []byte) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: time.Second}
	var open [20]net.Conn
	defer func() {
		for _, c := range open {
			if c != nil {
				c.Close()
			}
		}
	}()
	for n := 0; ctx.Err() == nil; n = (n + 1) % len(open) {
		if open[n] != nil {
			_ = open[n].(*net.TCPConn).SetLinger(0) // leaves no port in TIME_WAIT
			open[n].Close()
			open[n] = nil
		}
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			continue
		}
		_, _ = c.Write(query)
		open[n] = c
	}
}

// flood runs every sender at the same time, for floodTime.
func (w *watched) flood(senders int, send func(ctx context.Context, n int)) {
	ctx, cancel := context.WithTimeout(context.Background(), floodTime)
	defer cancel()
	var running sync.WaitGroup
	for n := range senders {
		running.Go(func() { send(ctx, n) })
	}
	running.Wait()
}

func TestLoad_neverWithdraws(t *testing.T) {
	streams := func(query []byte) func(w *watched) func(context.Context, int) {
		return func(w *watched) func(context.Context, int) {
			return func(ctx context.Context, n int) {
				floodStreams(ctx, w.Addrs()[0], netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), query)
			}
		}
	}
	tests := []struct {
		name    string
		senders int
		send    func(w *watched) func(ctx context.Context, n int)
	}{
		{"a flood by UDP", 8, func(w *watched) func(context.Context, int) {
			return func(ctx context.Context, _ int) { floodDatagrams(ctx, w.Addrs()[0]) }
		}},
		{"a flood by TCP", 64, streams(append(binary.BigEndian.AppendUint16(nil, uint16(len(identityQuery))), identityQuery...))},
		{"connections that never ask", 64, streams(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for try := 1; ; try++ {
				w := mustWatch(t, mustResolver(t))
				err := w.bear(t, tt.senders, tt.send(w))
				if w.stop(); err == nil {
					return
				}
				if t.Logf("try %d: %v", try, err); try == tries {
					t.Fatal(err)
				}
			}
		})
	}
}

// bear says why a flood had the node withdrawn, or nil. A keeper without
// patience also withdraws where the whole process stands still.
func (w *watched) bear(t *testing.T, senders int, send func(ctx context.Context, n int)) error {
	before := w.ups.Load()
	w.flood(senders, send)
	s := w.Stats()
	t.Logf("%d and %d replies by UDP and TCP, %d datagrams dropped, %d connections, %d refused; %d of %d rounds renewed, %d with a fault",
		s.UDP.Replies, s.TCP.Replies, s.KernelDrops, s.Accepted, s.ClientFull+s.ConnsFull, w.ups.Load()-before, w.keeper.Stats().Rounds, w.faults.Load())
	select {
	case down := <-w.downs:
		return fmt.Errorf("withdrawn: %s: %s", down.Check, down.Reason)
	default:
	}
	if w.ups.Load() == before {
		return errors.New("no lease was renewed")
	}
	return nil
}

func TestLoad_hidesNoWedgedReader(t *testing.T) {
	handler := &wedging{Resolver: mustResolver(t), release: make(chan struct{})}
	w := mustWatch(t, handler)
	t.Cleanup(func() { close(handler.release) }) // before the server is waited for
	conn, err := net.Dial("udp", w.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + wedgeName + "\x00\x01\x00\x01")); err != nil {
		t.Fatal(err)
	}
	w.flood(8, func(ctx context.Context, _ int) { floodDatagrams(ctx, w.Addrs()[0]) })
	select {
	case <-w.downs:
	case <-time.After(startLimit):
		t.Error("not withdrawn")
	}
}
