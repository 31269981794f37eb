//go:build linux

package internet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestModel_isDrawnFromItsSeed(t *testing.T) {
	one, same, other := mustModel(t, 1), mustModel(t, 1), mustModel(t, 2)
	if digest(one) != digest(same) {
		t.Error("the same seed draws another Internet")
	}
	if digest(one) == digest(other) {
		t.Error("another seed draws the same Internet")
	}
	if !slices.Equal(one.Mix(), one.Mix()) {
		t.Error("the questions differ from time to time")
	}
}

func TestModel_hasFaultsButNoDeadZones(t *testing.T) {
	m := mustModel(t, seed)
	faults := map[fault]int{}
	for _, h := range m.hosts {
		faults[h.fault]++
	}
	want := map[fault]int{sound: 94, silent: 2, lame: 1, refusing: 1, dropsEDNS: 1, streamOnly: 1}
	if !maps.Equal(faults, want) {
		t.Errorf("faults of 100 hosts %v, want %v", faults, want)
	}
	glueless, aliases := 0, 0
	for _, z := range m.leaves {
		if !slices.ContainsFunc(z.servers, func(s server) bool { return s.host.fault.answers() }) {
			t.Errorf("%s has no server that answers", z.name)
		}
		if z.style != own {
			glueless++
		}
		if z.alias {
			aliases++
		}
	}
	if n := len(m.leaves); glueless < n*40/100 || aliases < n*15/100 {
		t.Errorf("of %d zones %d are glueless and %d have aliases elsewhere", n, glueless, aliases)
	}
}

func TestWorld_isAsPlanned(t *testing.T) {
	w := mustWorld(t, Options{Names: 1000, Servers: 100, Seed: seed}, nil)
	// First, as the other leaves TCP connections that end by and by.
	t.Run("packets are counted and replies delayed", func(t *testing.T) { testDistance(t, w) })
	t.Run("each fault shows over UDP with EDNS, without, and over TCP", func(t *testing.T) { testFaults(t, w) })
}

func testFaults(t *testing.T, w *world) {
	const refers = "NOERROR, refers to ."
	want := map[fault][3]string{
		sound:      {"NOERROR, answers", "NOERROR, answers", "NOERROR, answers"},
		silent:     {"silence", "silence", "silence"},
		lame:       {refers, refers, refers},
		refusing:   {"REFUSED", "REFUSED", "REFUSED"},
		dropsEDNS:  {"silence", "NOERROR, answers", "silence"},
		streamOnly: {"NOERROR, cut", "NOERROR, cut", "NOERROR, answers"},
	}
	for _, h := range w.model.hosts {
		want1, ok := want[h.fault]
		here := zoneOn(w.model, h)
		if !ok || here == nil {
			continue
		}
		delete(want, h.fault) // one host of each kind will do
		for i, way := range []string{"udp with EDNS", "udp without EDNS", "tcp with EDNS"} {
			if got := w.insist(h.addrs[0], way, here.name, want1[i]); got != want1[i] {
				t.Errorf("a host that is %s said %q over %s, want %q", h.fault, got, way, want1[i])
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no host was asked that is %v", slices.Collect(maps.Keys(want)))
	}
}

func testDistance(t *testing.T, w *world) {
	h := w.model.roots[0]
	for _, a := range h.addrs {
		for try := 1; ; try++ {
			before, began := w.distance.sent.Load(), time.Now()
			got := w.say(a, "udp with EDNS", ".")
			if got == "silence" && try < tries {
				continue
			}
			if got != "NOERROR, answers" {
				t.Errorf("%s said %q", a, got)
			}
			if took := time.Since(began); took < h.rtt {
				t.Errorf("%s answered within %v, want %v at least", a, took, h.rtt)
			}
			if sent := w.distance.sent.Load() - before; sent != 1 {
				t.Errorf("%d packets to %s were counted, want 1", sent, a)
			}
			break
		}
	}
}

// insist says what came of asking, and asks again where it was silence that is
// not wanted: everything here may have stood still.
func (w *world) insist(a netip.Addr, way, zone, want string) (got string) {
	for range tries {
		if got = w.say(a, way, zone); got != "silence" || want == "silence" {
			return got
		}
	}
	return got
}

// say asks an address of the model for a zone's NS from the resolver's host,
// and says what came of it.
func (w *world) say(a netip.Addr, way, zone string) string {
	q := new(dns.Msg).SetQuestion(zone, dns.TypeNS)
	if way != "udp without EDNS" {
		q.SetEdns0(1232, false)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	m, err := exchangeOver(ctx, w.resolver, way[:3], netip.AddrPortFrom(a, 53), q)
	switch {
	case err != nil:
		return "silence"
	case m.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[m.Rcode]
	case m.Truncated:
		return "NOERROR, cut"
	case len(m.Answer) > 0:
		return "NOERROR, answers"
	case len(m.Ns) > 0:
		return "NOERROR, refers to " + m.Ns[0].Header().Name
	}
	return "NOERROR, nothing"
}

// zoneOn returns a zone on a host.
func zoneOn(m *Model, h *host) *zone {
	for _, z := range m.leaves {
		if slices.ContainsFunc(z.servers, func(s server) bool { return s.host == h }) {
			return z
		}
	}
	return nil
}

// digest is the same for the same zones on the same hosts.
func digest(m *Model) string {
	sum := sha256.New()
	for _, t := range m.Tiers() {
		fmt.Fprintln(sum, t.Name, t.Addrs)
		for _, zone := range slices.Sorted(maps.Keys(t.Zones)) {
			lines := slices.Sorted(strings.Lines(t.Zones[zone].String()))
			fmt.Fprintln(sum, zone, lines)
		}
	}
	return string(sum.Sum(nil))
}

// mustModel plans a small model, or skips without the data.
func mustModel(t *testing.T, seed uint64) *Model {
	t.Helper()
	data, err := FindData()
	if err != nil {
		t.Skip(err)
	}
	m, err := NewModel(Options{Data: data, Names: 1000, Servers: 100, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
