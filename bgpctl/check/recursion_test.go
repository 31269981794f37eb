package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"proxima/bgpctl"
)

// classOf is the class that an error names; Sound if it names none.
func classOf(err error) bgpctl.Class {
	if f, ok := errors.AsType[*bgpctl.Fault](err); ok {
		return f.Class
	}
	return bgpctl.Sound
}

func TestRecursion(t *testing.T) {
	dead, busy := errors.New("no server answered"), fmt.Errorf("walk: %w", ErrUnasked)
	reach := func(context.Context) error { return nil }
	cut := func(context.Context) error { return errors.New("no root") }
	tests := []struct {
		name    string
		targets map[string]error // what comes of each
		roots   func(context.Context) error
		want    string // in the error; empty = passes
		class   bgpctl.Class
		excused bool
	}{
		{"all answer", map[string]error{"com.": nil, "org.": nil, "de.": nil}, cut, "", 0, false},
		{"one target's failure never counts", map[string]error{"com.": nil, "org.": nil, "de.": dead}, cut, "", 0, false},
		{"fewer than the quorum", map[string]error{"com.": nil, "org.": dead, "de.": dead}, cut, "1 of 3 targets answered, not 2: no server", 0, false},
		{"none", map[string]error{"com.": dead, "org.": dead, "de.": dead}, cut, "0 of 3", 0, false},
		{"but the root is there", map[string]error{"com.": dead, "org.": dead, "de.": dead}, reach, "servers of the root answer", bgpctl.SoftLocal, false},
		{"nobody asks the root", map[string]error{"com.": dead, "org.": dead, "de.": dead}, nil, "0 of 3", 0, false},
		{"no place to ask from", map[string]error{"com.": busy, "org.": busy, "de.": dead}, reach, "lacked a place", 0, true},
		{"places would not have helped", map[string]error{"com.": busy, "org.": dead, "de.": dead}, reach, "0 of 3", bgpctl.SoftLocal, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := RecursionOptions{Quorum: 2, Roots: tt.roots, Ask: func(_ context.Context, name string) error {
				_, zone, _ := strings.Cut(name, ".")
				return tt.targets[zone]
			}}
			for zone := range tt.targets {
				o.Targets = append(o.Targets, zone)
			}
			err := Recursion(o)(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
			if got := classOf(err); got != tt.class {
				t.Errorf("class = %v, want %v", got, tt.class)
			}
			if got := Unasked()(err); got != tt.excused {
				t.Errorf("excused = %t, want %t", got, tt.excused)
			}
		})
	}
}

func TestRecursion_asksForWhatNobodyHasAskedFor(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]bool)
	run := Recursion(RecursionOptions{Targets: []string{"com.", "."}, Quorum: 1, Ask: func(_ context.Context, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := dns.IsDomainName(name); !ok || seen[name] || name != strings.ToLower(name) {
			t.Errorf("asked for %q", name)
		}
		seen[name] = true
		return nil
	}})
	for range 3 {
		if err := run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 6 {
		t.Errorf("asked for %d names, want 6", len(seen))
	}
}

func TestRecursion_leavesTimeForTheRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var left time.Duration
		run := Recursion(RecursionOptions{Targets: []string{"com."}, Quorum: 1,
			Ask: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
			Roots: func(ctx context.Context) error {
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				return nil
			}})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		if err := run(ctx); classOf(err) != bgpctl.SoftLocal {
			t.Errorf("error = %v, want a soft-local one", err)
		}
		if took := time.Since(began); took != 4*time.Second || left != 2*time.Second {
			t.Errorf("the roots were asked after %v and had %v, want 4 s and 2 s", took, left)
		}
	})
}

// mustRoots starts servers of which some answer, and returns their addresses.
func mustRoots(t *testing.T, answers ...bool) [][]netip.AddrPort {
	t.Helper()
	var all [][]netip.AddrPort
	for _, ok := range answers {
		n := newNode(t, func(r *dns.Msg) *dns.Msg {
			if !ok {
				r.Id++
			}
			r.Rcode = dns.RcodeRefused // any word of theirs will do
			return r
		})
		all = append(all, []netip.AddrPort{n.addr})
	}
	return all
}

func TestRoots(t *testing.T) {
	tests := []struct {
		name    string
		answers []bool
		ok      bool
	}{
		{"all answer", []bool{true, true, true, true}, true},
		{"two of four do", []bool{true, false, true, false}, true},
		{"one does", []bool{false, true, false, false}, false},
		{"none does", []bool{false, false, false, false}, false},
		{"the only one does", []bool{true}, true},
		{"there is none", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Roots(mustRoots(t, tt.answers...), nil)(t.Context()); (err == nil) != tt.ok {
				t.Errorf("error = %v, want none: %t", err, tt.ok)
			}
		})
	}
}

func TestRoots_countsAServerOnce(t *testing.T) {
	roots := mustRoots(t, true, true)
	both := [][]netip.AddrPort{{roots[0][0], roots[1][0]}, {netip.MustParseAddrPort("127.0.0.1:1")}}
	if err := Roots(both, nil)(t.Context()); err == nil {
		t.Error("two addresses of one server count as two")
	}
}

func TestRoots_asksFromTheSourceOfTheFamily(t *testing.T) {
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	if source, ok := from(netip.MustParseAddr("192.0.2.1"), sources); !ok || source != sources[0] {
		t.Errorf("source of IPv4 = %v, %t", source, ok)
	}
	if source, ok := from(netip.MustParseAddr("2001:db8::1"), sources); ok {
		t.Errorf("source of IPv6 = %v without one", source)
	}
	if source, ok := from(netip.MustParseAddr("2001:db8::1"), nil); !ok || source.IsValid() {
		t.Errorf("source = %v, %t; want the kernel's choice", source, ok)
	}
}
