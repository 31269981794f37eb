package netsetup

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// watched runs check in virtual time beside a Watch over m.
func watched(t *testing.T, m *memory, o Options, check func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		stop := mustWatch(t, asMemory(m), mustNew(t, o))
		defer stop()
		later(time.Second)
		check(t)
	})
}

// later waits until all that is due within d is done.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWatch_tellsWhatItRepaired(t *testing.T) {
	m := newMemory()
	o := options(m)
	var did []string
	o.OnRepair = func(what string) { did = append(did, what) }
	watched(t, m, o, func(t *testing.T) {
		want := []string{"set lo up", "added 198.51.100.1/32 to lo", "added 2001:db8:53::1/128 to lo",
			"added blackhole 198.51.100.0/24", "added blackhole 2001:db8:53::/48"}
		if !slices.Equal(did, want) {
			t.Errorf("told %q, want %q", did, want)
		}
	})
}

func TestWatch_survivesItsSubscription(t *testing.T) {
	m := newMemory()
	watched(t, m, options(m), func(t *testing.T) {
		m.hangUp(nil)
		later(time.Second)
		must(t, m.RemoveAddress(anycast(1, any4)))
		later(time.Second)
		must(t, mustNew(t, options(m)).Missing())
	})
}

func TestWatch_repairsWithoutSubscription(t *testing.T) {
	m := newMemory()
	m.deaf = 1000
	o := options(m)
	var faults []string
	o.OnFault = func(err error) { faults = append(faults, err.Error()) }
	watched(t, m, o, func(t *testing.T) {
		must(t, m.RemoveAddress(anycast(1, any4)))
		later(time.Second)
		must(t, mustNew(t, options(m)).Missing())
		if len(faults) != 1 || !strings.Contains(faults[0], "subscribing") {
			t.Errorf("told faults %q, want the one of the subscription, once", faults)
		}
	})
}

func TestWatch_looksWithoutASignal(t *testing.T) {
	m := newMemory()
	watched(t, m, options(m), func(t *testing.T) {
		m.mu.Lock()
		m.addresses = nil // and nobody is told
		m.mu.Unlock()
		later(tick + rest)
		must(t, mustNew(t, options(m)).Missing())
	})
}

func TestWatch_tellsAFaultOnce(t *testing.T) {
	m := newMemory()
	m.denied = unix.EPERM
	o := options(m)
	faults := 0
	o.OnFault = func(error) { faults++ }
	watched(t, m, o, func(t *testing.T) {
		later(time.Minute)
		if faults != 1 {
			t.Errorf("told %d faults in a minute, want 1", faults)
		}
	})
}

func TestWatch_doesNotFightFast(t *testing.T) {
	m := newMemory()
	watched(t, m, options(m), func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		enemy, err := m.Events(ctx)
		must(t, err)
		repairs := 0
		for removed := m.RemoveAddress(anycast(1, any4)); repairs < 1000; removed = m.RemoveAddress(anycast(1, any4)) {
			if removed == nil {
				repairs++
			}
			if _, open := <-enemy; !open {
				break
			}
		}
		if most := int(10*time.Second/rest) + 3; repairs < most/2 || repairs > most {
			t.Errorf("%d repairs in 10 s, want at most one in %v", repairs, rest)
		}
	})
}

func TestSetup_unmarked(t *testing.T) {
	m := newMemory()
	m.noMark = true
	t.Run("this process's addresses are released", func(t *testing.T) {
		s := mustNew(t, options(m))
		must(t, s.Ensure())
		must(t, s.Release())
		wantNothing(t, asMemory(m))
	})
	t.Run("a predecessor's addresses serve and stay", func(t *testing.T) {
		must(t, mustNew(t, options(m)).Ensure()) // and was killed
		s := mustNew(t, options(m))
		must(t, s.Ensure())
		must(t, s.Missing())
		must(t, s.Release())
		if n := len(mustAnycast(t, m)); n != 2 {
			t.Errorf("%d addresses left, want 2", n)
		}
	})
}

func TestSetup_dummy(t *testing.T) {
	third := netip.MustParsePrefix("203.0.113.9/32")
	tests := []struct {
		name    string
		before  func(m *memory) error // Ensure
		between func(m *memory) error // Ensure and Release
		stays   bool
	}{
		{"it is made and removed", nil, nil, false},
		{"one that was there stays", func(m *memory) error {
			m.links = append(m.links, Link{Index: 3, Name: "anycast0"})
			return nil
		}, nil, true},
		{"one that an operator uses stays", nil, func(m *memory) error {
			return m.AddAddress(asOperator(3, third, unix.RT_SCOPE_HOST, 0))
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			if tt.before != nil {
				must(t, tt.before(m))
			}
			o := options(m)
			o.Interface = "anycast0"
			s := mustNew(t, o)
			must(t, s.Ensure())
			if tt.between != nil {
				must(t, tt.between(m))
			}
			must(t, s.Release())
			if _, err := s.link(); (err == nil) != tt.stays {
				t.Errorf("after Release: %v, stays = %t", err, tt.stays)
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"a network among the addresses", Options{Addresses: []netip.Prefix{hole4}}, "Addresses: 198.51.100.0/24"},
		{"a loopback address", Options{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, "Addresses: 127.0.0.1/32"},
		{"a link-local address", Options{Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::1/128")}}, "Addresses: fe80::1/128"},
		{"a blackhole for everything", Options{Blackholes: []netip.Prefix{netip.MustParsePrefix("::/0")}}, "Blackholes: ::/0"},
		{"a blackhole with host bits", Options{Blackholes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}}, "Blackholes: 198.51.100.1/24"},
		{"a name longer than the kernel's", Options{Interface: "anycast-interface"}, "Interface: \"anycast-interface\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestSetup_idle(t *testing.T) {
	m := newMemory()
	must(t, mustNew(t, options(m)).Ensure()) // another's
	before := m.changes
	s := mustNew(t, Options{Links: m})
	must(t, s.Ensure())
	must(t, s.Missing())
	must(t, s.Release())
	if m.changes != before {
		t.Error("a Setup that holds nothing changed something")
	}
}
