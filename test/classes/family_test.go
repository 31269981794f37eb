package classes

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"proxima/resolver/iterate"

	"github.com/miekg/dns"
)

// A way out is an Exchanger of a host that may lose one family of addresses.
type wayOut struct {
	iterate.Exchanger
	six   bool          // which one
	lost  syscall.Errno // what the host says then
	dark  atomic.Bool   // whether it is lost now
	tries atomic.Int64  // of the family
}

func (w *wayOut) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	if to.Addr().Is6() == w.six {
		w.tries.Add(1)
		if w.dark.Load() {
			return nil, fmt.Errorf("way out: %w", w.lost)
		}
	}
	return w.Exchanger.Exchange(ctx, to, q, stream)
}

// TestFamily_thatComesBackIsUsed has this host lose one family of addresses for a
// while. No question fails or waits for that, the family is hardly tried, and it is
// in use again within a minute of its return.
func TestFamily_thatComesBackIsUsed(t *testing.T) {
	for _, tt := range []struct {
		name string
		six  bool
		lost syscall.Errno
		dark time.Duration
		most int64 // tries while it is lost
	}{
		{"no route, for a moment", true, syscall.ENETUNREACH, 5 * time.Second, 10},
		{"no route, for a minute", true, syscall.ENETUNREACH, time.Minute, 15},
		{"no route, for an hour", true, syscall.ENETUNREACH, time.Hour, 130},
		{"no route for IPv4", false, syscall.ENETUNREACH, 30 * time.Minute, 65}, // the zones above have no other
		{"the address to ask from is gone", true, syscall.EADDRNOTAVAIL, time.Hour, 130},
		{"a filter of this host", true, syscall.EPERM, time.Hour, 130},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := &wayOut{six: tt.six, lost: tt.lost}
			over := func(o *iterate.Options) { out.Exchanger, o.Exchanger = o.Exchanger, out }
			servers := repeatFrom(1, 3, "ns# A 192.0.2.10#\nns# AAAA 2001:db8::10#")
			below := strings.ReplaceAll(repeatFrom(1, 3, "both NS ns#.both\n")+servers, " A", ".both A")
			inWorld(t, "", below, nil, over, func(t *testing.T, w *world) {
				var all []netip.Addr
				for i := range byte(3) {
					all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, 101 + i}), netip.MustParseAddr(fmt.Sprintf("2001:db8::10%d", i+1)))
				}
				w.Zone("both.example.", repeatFrom(1, 3, "@ NS ns#")+servers+"* 0 A "+truth+"\n", all...)
				asked := 0
				ask := func() {
					asked++
					m, took := w.ask(t, fmt.Sprintf("x%d.both.example. A", asked))
					if m.Rcode != dns.RcodeSuccess || took > 100*time.Millisecond {
						t.Fatalf("%s after %v", text(m), took)
					}
					time.Sleep(time.Second)
				}
				for out.tries.Load() < 5 { // it is explored by chance
					if ask(); asked > 1000 {
						t.Fatal("the family was not in use before")
					}
				}
				out.tries.Store(0)
				out.dark.Store(true)
				for began := time.Now(); time.Since(began) < tt.dark; {
					ask()
				}
				if got := out.tries.Load(); got > tt.most || got == 0 && tt.dark > time.Minute {
					t.Errorf("tried %d times in %v, want at most %d, and in a long time more than none", got, tt.dark, tt.most)
				}
				out.tries.Store(0)
				out.dark.Store(false)
				for back := time.Now(); out.tries.Load() == 0; ask() {
					if time.Since(back) > time.Minute {
						t.Fatal("not tried in the first minute that it works again")
					}
				}
				for out.tries.Load() < 5 {
					if ask(); asked > 10_000 {
						t.Fatalf("tried %d times since it works again", out.tries.Load())
					}
				}
			})
		})
	}
}

// Where a host has no way out at all, it is no server's fault: with the way comes
// the answer, at once.
func TestFamily_noneIsNobodysFault(t *testing.T) {
	out := &wayOut{lost: syscall.EADDRNOTAVAIL}
	over := func(o *iterate.Options) { out.Exchanger, o.Exchanger = o.Exchanger, out }
	inWorld(t, "", "", nil, over, func(t *testing.T, w *world) {
		out.dark.Store(true)
		if m, _ := w.ask(t, "www.victim.example. A"); !strings.HasPrefix(text(m), "SERVFAIL") || !strings.Contains(m.String(), "EDE: 23") {
			t.Errorf("got %v, want SERVFAIL with a network error", m)
		}
		out.dark.Store(false)
		if m, _ := w.ask(t, "www.victim.example. A"); text(m) != "NOERROR; www.victim.example. 300 A "+truth {
			t.Errorf("got %s", text(m))
		}
	})
}
