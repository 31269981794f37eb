package netsetup

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// claims hold in memory and in the kernel alike.
var claims = []struct {
	name  string
	check func(t *testing.T, w world)
}{
	{"addresses come in the form that is no source", func(t *testing.T, w world) {
		must(t, mustNew(t, options(w)).Ensure())
		for _, a := range mustAnycast(t, w) {
			if !a.inForm() || !a.avoided() || a.Protocol != Protocol || a.Link != 1 {
				t.Errorf("%+v is not as anycast addresses are", a)
			}
		}
		if n := len(mustAnycast(t, w)); n != 2 {
			t.Errorf("%d addresses, want 2", n)
		}
	}},
	{"blackholes lie behind the prefixes", func(t *testing.T, w world) {
		must(t, mustNew(t, options(w)).Ensure())
		if got, want := mustBlackholes(t, w), []netip.Prefix{hole4, hole6}; !slices.Equal(got, want) {
			t.Errorf("blackholes %v, want %v", got, want)
		}
	}},
	{"a second Ensure changes nothing", func(t *testing.T, w world) {
		s := mustNew(t, options(w))
		must(t, s.Ensure())
		if did, err := s.ensure(); err != nil || did != nil {
			t.Errorf("second Ensure did %q, %v", did, err)
		}
	}},
	{"what is absent is named", func(t *testing.T, w world) {
		s := mustNew(t, options(w))
		must(t, s.Ensure())
		must(t, s.Missing())
		must(t, w.RemoveBlackhole(hole6))
		if err := s.Missing(); err == nil || !strings.Contains(err.Error(), "blackhole "+hole6.String()) {
			t.Errorf("Missing = %v", err)
		}
		must(t, w.RemoveAddress(anycast(1, any4)))
		if err := s.Missing(); err == nil || !strings.Contains(err.Error(), "address "+any4.String()) {
			t.Errorf("Missing = %v", err)
		}
		must(t, w.Lower(1))
		if err := s.Missing(); err == nil || !strings.Contains(err.Error(), "lo is down") {
			t.Errorf("Missing = %v", err)
		}
	}},
	{"Release takes away what Ensure added", func(t *testing.T, w world) {
		s := mustNew(t, options(w))
		must(t, s.Ensure())
		must(t, s.Release())
		wantNothing(t, w)
		must(t, s.Release())
	}},
	{"Release takes away what a killed predecessor added", func(t *testing.T, w world) {
		must(t, mustNew(t, options(w)).Ensure()) // and was killed
		s := mustNew(t, Options{Addresses: []netip.Prefix{any4}, Links: w})
		must(t, s.Ensure())
		must(t, s.Release())
		wantNothing(t, w)
	}},
	{"an operator's address serves and stays", func(t *testing.T, w world) {
		must(t, w.RaiseLink(1))
		must(t, w.AddAddress(asOperator(1, any4, unix.RT_SCOPE_HOST, 0)))
		must(t, w.AddAddress(asOperator(1, any6, 0, unix.IFA_F_DEPRECATED)))
		before := mustAnycast(t, w)
		s := mustNew(t, options(w))
		must(t, s.Ensure())
		must(t, s.Missing())
		must(t, s.Release())
		if got := mustAnycast(t, w); !slices.Equal(got, before) {
			t.Errorf("operator's addresses are now %v, were %v", got, before)
		}
	}},
	{"an operator's IPv4 address of scope global is refused and stays", func(t *testing.T, w world) {
		must(t, w.RaiseLink(1))
		must(t, w.AddAddress(asOperator(1, any4, unix.RT_SCOPE_UNIVERSE, 0)))
		wantRefused(t, w, "198.51.100.1/32 scope global", "scope host")
	}},
	{"an operator's preferred IPv6 address is refused and stays", func(t *testing.T, w world) {
		must(t, w.RaiseLink(1))
		must(t, w.AddAddress(asOperator(1, any6, unix.RT_SCOPE_UNIVERSE, 0)))
		wantRefused(t, w, "2001:db8:53::1/128 scope global", "preferred_lft 0")
	}},
	{"our own address in another form is made anew", func(t *testing.T, w world) {
		must(t, w.RaiseLink(1))
		wrong4, wrong6 := anycast(1, any4), anycast(1, any6)
		wrong4.Scope, wrong6.Flags = unix.RT_SCOPE_UNIVERSE, unix.IFA_F_NODAD
		must(t, w.AddAddress(wrong4))
		must(t, w.AddAddress(wrong6))
		must(t, mustNew(t, options(w)).Ensure())
		for _, a := range mustAnycast(t, w) {
			if !a.inForm() {
				t.Errorf("%+v is still in another form", a)
			}
		}
	}},
	{"a removed address is back within a second", func(t *testing.T, w world) {
		wantRepaired(t, w, func() error { return w.RemoveAddress(anycast(1, any4)) })
	}},
	{"a removed blackhole is back within a second", func(t *testing.T, w world) {
		wantRepaired(t, w, func() error { return w.RemoveBlackhole(hole4) })
	}},
	{"all is back within a second after the link was set down", func(t *testing.T, w world) {
		wantRepaired(t, w, func() error { return w.Lower(1) })
	}},
	{"a link that flaps is outlasted", func(t *testing.T, w world) {
		wantRepaired(t, w, func() error {
			for range 20 {
				if err := w.Lower(1); err != nil {
					return err
				}
				if err := w.RaiseLink(1); err != nil {
					return err
				}
			}
			return w.Lower(1)
		})
	}},
}

func wantNothing(t *testing.T, w world) {
	t.Helper()
	if a, b := mustAnycast(t, w), mustBlackholes(t, w); len(a)+len(b) > 0 {
		t.Errorf("left behind: %v %v", a, b)
	}
}

func wantRefused(t *testing.T, w world, words ...string) {
	t.Helper()
	before := mustAnycast(t, w)
	s := mustNew(t, options(w))
	err := s.Ensure()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Ensure = %v, want %q in it", err, word)
		}
	}
	must(t, s.Release())
	if got := mustAnycast(t, w); !slices.Equal(got, before) {
		t.Errorf("operator's address is now %v, was %v", got, before)
	}
}

// wantRepaired checks that Watch undoes harm. In the kernel the clock is real and
// the machine perhaps busy: there the bound only excludes that the tick did it.
func wantRepaired(t *testing.T, w world, harm func() error) {
	t.Helper()
	s := mustNew(t, options(w))
	must(t, s.Ensure())
	stop := mustWatch(t, w, s)
	defer stop()
	w.Settle()
	must(t, harm())
	start := time.Now()
	for s.Missing() != nil {
		if time.Since(start) > w.Limit {
			t.Fatalf("after %v: %v", w.Limit, s.Missing())
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("repaired after %v", time.Since(start).Round(time.Millisecond))
}

func TestSetup_memory(t *testing.T) {
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.check(t, asMemory(newMemory())) })
		})
	}
}

func TestSetup_kernel(t *testing.T) {
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) { c.check(t, mustKernel(t)) })
	}
}

func TestEnsure_tellsOnceThatAPrivilegeIsMissing(t *testing.T) {
	m := newMemory()
	m.links[0].Up = true
	m.denied = unix.EPERM
	err := mustNew(t, options(asMemory(m))).Ensure()
	if err == nil || strings.Count(err.Error(), "CAP_NET_ADMIN") == 0 || strings.Contains(err.Error(), "\n") {
		t.Errorf("Ensure = %v, want one line", err)
	}
}
