package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"proxima/test/sim"

	"github.com/miekg/dns"
)

// isFor lets a Spoofer act on questions of one type.
func isFor(typ uint16, then sim.Spoofer) sim.Spoofer {
	return func(q, m *dns.Msg, stream bool) *dns.Msg {
		if q.Question[0].Qtype != typ {
			return m
		}
		return then(q, m, stream)
	}
}

func TestResolver_asksForTheKeysOfABusyZoneOnce(t *testing.T) {
	for _, names := range []int{150, 600} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("shop NS ns.shop\nns.shop A 192.0.2.21\n")
				shop := netip.MustParseAddr("192.0.2.21")
				n.Zone("shop.example.", "@ NS ns\nns A 192.0.2.21\n* 60 A 192.0.2.80\n", shop)
				n.Spoof(shop, isFor(dns.TypeDNSKEY, func(_, m *dns.Msg, _ bool) *dns.Msg {
					for _, rr := range m.Answer {
						rr.Header().Ttl = 60
					}
					return m
				}))
				r := mustValidator(t, n)
				mustAnswer(t, r, "warm.shop.example. A")
				time.Sleep(61 * time.Second) // the keys are over
				n.Forget()
				var all sync.WaitGroup
				for i := range names {
					all.Go(func() { mustAnswer(t, r, fmt.Sprintf("x%d.shop.example. A", i)) })
				}
				all.Wait()
				keys := 0
				for _, q := range n.Asked(shop) {
					if q.Qtype == dns.TypeDNSKEY {
						keys++
					}
				}
				if keys != 1 {
					t.Errorf("%d questions for the keys, want 1", keys)
				}
				// Whom a limit of ours refused, is not refused any more.
				time.Sleep(time.Second)
				for i := range names {
					if got := mustAnswer(t, r, fmt.Sprintf("x%d.shop.example. A", i)); !strings.HasPrefix(got, "NOERROR;") {
						t.Fatalf("afterwards: got %s", got)
					}
				}
			})
		})
	}
}

func TestResolver_servesStaleWhenKeysCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustValidator(t, n)
		mustAnswer(t, r, "www.example. A")
		time.Sleep(3601 * time.Second) // the keys are over, and the answer is stale
		n.Spoof(tldAddr, isFor(dns.TypeDNSKEY, func(_, _ *dns.Msg, _ bool) *dns.Msg { return nil }))
		for range 3 {
			if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR EDE 3; www.example. 30 IN A 192.0.2.80"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			time.Sleep(5 * time.Second)
		}
		n.Heal(tldAddr)
		time.Sleep(5 * time.Second)
		mustAnswer(t, r, "www.example. A") // has it asked for again
		time.Sleep(time.Second)
		if got, want := mustAnswer(t, r, "www.example. A +ad"), "NOERROR AD; www.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("healed: got %s, want %s", got, want)
		}
	})
}

func TestResolver_asksForBrokenKeysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternetWith("* 60 A 192.0.2.80\n")
		r := mustValidator(t, n)
		n.Spoof(tldAddr, isFor(dns.TypeDNSKEY, func(_, m *dns.Msg, _ bool) *dns.Msg {
			m.Answer = nil
			return m
		}))
		for i := range 50 {
			if got := mustAnswer(t, r, fmt.Sprintf("x%d.example. A", i)); !strings.HasPrefix(got, "SERVFAIL") {
				t.Fatalf("got %s", got)
			}
		}
		keys := 0
		for _, q := range n.Asked(tldAddr) {
			if q.Qtype == dns.TypeDNSKEY {
				keys++
			}
		}
		if keys > 3 {
			t.Errorf("%d questions for keys that are not there, want 3 at most", keys)
		}
	})
}

// TestResolver_blamesNobodyForAnEmptyPurse has one client spend its connections
// on servers where none succeeds, before its alias leads to a sound name that
// needs one.
func TestResolver_blamesNobodyForAnEmptyPurse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delegation strings.Builder
		var evil []netip.Addr
		for i := range 5 {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(31 + i)})
			evil = append(evil, addr)
			fmt.Fprintf(&delegation, "evil NS ns%d.evil\nns%[1]d.evil A %s\n", i, addr)
		}
		n := testInternetWith(delegation.String() + "victim NS ns.victim\nns.victim A 192.0.2.41\n")
		n.Zone("victim.example.", "@ NS ns\nns A 192.0.2.41\nbig 60 TXT "+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 6)+
			"\n* 60 CNAME big\n", netip.MustParseAddr("192.0.2.41"))
		n.Zone("evil.example.", "@ NS ns0\nns0 A 192.0.2.31\n* 60 CNAME big.victim.example.\n", evil...)
		n.NoStream(evil...)
		asked := 0
		for _, a := range evil {
			n.Spoof(a, func(_, m *dns.Msg, _ bool) *dns.Msg {
				if asked++; asked <= 4 {
					m.Truncated, m.Answer, m.Ns = true, nil, nil
				}
				return m
			})
		}
		r := mustResolver(t, n)
		if got := mustAnswer(t, r, "x.evil.example. TXT"); !strings.HasPrefix(got, "SERVFAIL") {
			t.Fatalf("the purse was not emptied: %.80s", got)
		}
		if got := mustAnswer(t, r, "x.victim.example. TXT"); !strings.HasPrefix(got, "NOERROR") {
			t.Errorf("somebody else: got %.80s", got)
		}
	})
}
