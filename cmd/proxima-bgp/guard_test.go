package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proxima/bgpctl"
	"proxima/cmd/internal/control"
	"proxima/cmd/internal/ctl"
)

// A member is a sidecar of a fleet with a node that renews its lease.
type member struct {
	*process
	mu   sync.Mutex
	want bgpctl.Wanted
}

func (m *member) wants(w bgpctl.Wanted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Prefixes = []netip.Prefix{prefix}
	m.want = w
}

// renew holds the lease every 200 ms.
func (m *member) renew(ctx context.Context) {
	link := bgpctl.Dial(m.socket)
	defer link.Close()
	for ctx.Err() == nil {
		m.mu.Lock()
		w := m.want
		m.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = link.Hold(limited, w, bgpctl.MaxLease) // an error shows in the status
		cancel()
		time.Sleep(200 * time.Millisecond)
	}
}

func (m *member) status(t *testing.T) ctl.Status {
	t.Helper()
	var s ctl.Status
	eventually(t, "a status", func() bool { return control.Ask(t.Context(), m.control, "/bgp/status", nil, &s) == nil })
	return s
}

// freeUDP returns addresses that nobody listens at.
func freeUDP(t *testing.T, n int) (free []string) {
	t.Helper()
	for range n {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Skip("no loopback address: ", err)
		}
		defer c.Close()
		free = append(free, c.LocalAddr().String())
	}
	return free
}

// startFleet starts sidecars that guard each other, all announced.
func startFleet(t *testing.T, n int) []*member {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a key of thirty-two octets......\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := freeUDP(t, n)
	var all []*member
	for i, at := range addresses {
		var peers []string
		for j, other := range addresses {
			if j != i {
				peers = append(peers, fmt.Sprintf("%q", other))
			}
		}
		m := &member{process: newProgram(t, fmt.Sprintf(
			"speaker: dry-run\nguard: {source: peers, node: n%d, listen: %q, peers: [%s], key_file: %s}\nhold_down: {base: 1h, max: 1h}",
			i, at, strings.Join(peers, ", "), key))}
		m.wants(bgpctl.Wanted{Wish: bgpctl.Up})
		all = append(all, m)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { m.renew(ctx); close(done) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	for _, m := range all {
		eventually(t, "announced, and sees the others", func() bool {
			s := m.status(t)
			return s.State == bgpctl.Announced && s.OthersKnown && s.OthersAnnounce == n-1
		})
	}
	return all
}

// TestFleet_keepsTheLastAnnouncement injects a check that fails on all nodes in
// the same second.
func TestFleet_keepsTheLastAnnouncement(t *testing.T) {
	all := startFleet(t, 3)
	for _, m := range all {
		m.wants(bgpctl.Wanted{Wish: bgpctl.Down, Check: "dns", Class: bgpctl.HardLocal, Reason: "the check has a bug", Answers: true})
	}
	var states []string
	withdrawn := 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) || withdrawn == 0 && time.Now().Before(end.Add(patience)); time.Sleep(50 * time.Millisecond) {
		announced := 0
		states, withdrawn = nil, 0
		for _, m := range all {
			s := m.status(t)
			states = append(states, s.State.String())
			if len(s.Announced) > 0 {
				announced++
			}
			if s.State == bgpctl.Withdrawn {
				withdrawn++
			}
		}
		if announced == 0 {
			t.Fatalf("nobody announces: %v", states)
		}
	}
	if withdrawn != 1 {
		t.Errorf("%d nodes are withdrawn, want 1 of 3: %v", withdrawn, states)
	}
}

// TestFleet_letsOneSickNodeGo: the guard is no reason to keep a node that alone
// is sick.
func TestFleet_letsOneSickNodeGo(t *testing.T) {
	all := startFleet(t, 2)
	all[0].wants(bgpctl.Wanted{Wish: bgpctl.Down, Check: "dns", Class: bgpctl.HardLocal, Reason: "no answer"})
	eventually(t, "withdrawn", func() bool { return all[0].status(t).State == bgpctl.Withdrawn })
	all[1].wants(bgpctl.Wanted{Wish: bgpctl.Down, Check: "dns", Class: bgpctl.HardLocal, Reason: "no answer"})
	eventually(t, "the last one is held", func() bool { return all[1].status(t).State == bgpctl.Held })
	if s := all[1].status(t); len(s.Announced) != 1 || !s.Degraded {
		t.Errorf("the last one announces %v, degraded %t", s.Announced, s.Degraded)
	}
}
