package classes

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"proxima/test/sim"
	"proxima/wire"

	"github.com/miekg/dns"
)

// repeat joins n lines with # numbered.
func repeat(n int, line string) string { return repeatFrom(0, n, line) }

// repeatFrom is repeat, with numbers from first on.
func repeatFrom(first, n int, line string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(line, "#", fmt.Sprint(first+i)) + "\n")
	}
	return b.String()
}

func TestA2_aFailureIsNotRepeated(t *testing.T) {
	inWorld(t, repeat(1500, "sub NS ns#.victim.example."), "", nil, nil, func(t *testing.T, w *world) {
		w.Drop(victimAt)
		w.ask(t, "www.sub.evil.example. A")
		time.Sleep(3 * time.Second) // the walk has ended
		w.Forget()
		w.ask(t, "www.sub.evil.example. A")
		if got := w.Exchanges(); got != 0 {
			t.Errorf("%d packets for the same name within 5 s, want none", got)
		}
	})
}

func TestA4_circlesOfZones(t *testing.T) {
	for _, tt := range []struct{ name, tld string }{
		{"two", "c0 NS ns.c1\nc1 NS ns.c0\n"},
		{"three", "c0 NS ns.c1\nc1 NS ns.c2\nc2 NS ns.c0\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "", tt.tld, nil, nil, func(t *testing.T, w *world) {
				for i := range 100 {
					m, took := w.ask(t, fmt.Sprintf("www%d.c%d.example. A", i%10, i%2))
					if !failed(m, dns.ExtendedErrorCodeNoReachableAuthority) || took > time.Second {
						t.Errorf("%s after %v", text(m), took)
					}
					time.Sleep(200 * time.Millisecond)
				}
				if got := w.Exchanges(); got > 60 {
					t.Errorf("%d packets for 100 questions, want 60 at most", got)
				}
			})
		})
	}
}

func TestA6_chainsAndLoopsOfAliases(t *testing.T) {
	tests := []struct {
		name  string
		evil  string
		spoof sim.Spoofer
		ask   string
		rcode int
	}{
		{"an alias of itself", "self CNAME self\n", nil, "self.evil.example. A", dns.RcodeServerFailure},
		{"two aliases of each other", "a CNAME b\nb CNAME a\n", nil, "a.evil.example. A", dns.RcodeServerFailure},
		{"a chain of 100, one a reply", "", oneByOne, "c0.evil.example. A", dns.RcodeServerFailure},
		{"a chain of 100, all in one reply", "", allAtOnce, "c0.evil.example. A", dns.RcodeServerFailure},
		{"a DNAME below itself, growing", "grow DNAME x.grow\n", nil, "a.grow.evil.example. A", dns.RcodeServerFailure},
		{"a DNAME that makes the name too long", "long DNAME " + strings.Repeat(strings.Repeat("y", 60)+".", 3) + "long\n", nil,
			strings.Repeat("z", 60) + ".long.evil.example. A", dns.RcodeYXDomain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.evil, "", tt.spoof, nil, func(t *testing.T, w *world) {
				m, took := w.ask(t, tt.ask)
				t.Logf("%s: %d packets, %v", dns.RcodeToString[m.Rcode], len(w.Asked(evilAt)), took)
				if m.Rcode != tt.rcode || took > time.Second || m.Rcode == dns.RcodeServerFailure && !failed(m, dns.ExtendedErrorCodeOther) {
					t.Errorf("%s, EDE %v, after %v, want %s, and EDE 0 with SERVFAIL", text(m), ede(m), took, dns.RcodeToString[tt.rcode])
				}
				if got := len(w.Asked(evilAt)); got > 13 {
					t.Errorf("%d packets, want 13 at most", got)
				}
			})
		})
	}
}

// oneByOne makes each cN an alias of the next.
func oneByOne(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	name := q.Question[0].Name
	if _, err := fmt.Sscanf(name, "c%d.", &n); err == nil && n < 100 {
		honest.Rcode, honest.Ns = dns.RcodeSuccess, nil
		honest.Answer = []dns.RR{rr("%s 60 CNAME c%d.evil.example.", name, n+1)}
	}
	return honest
}

// allAtOnce sends the whole chain.
func allAtOnce(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	if _, err := fmt.Sscanf(q.Question[0].Name, "c%d.", &n); err == nil {
		honest.Rcode, honest.Ns, honest.Answer = dns.RcodeSuccess, nil, nil
		for i := n; i < 100; i++ {
			honest.Answer = append(honest.Answer, rr("c%d.evil.example. 60 CNAME c%d.evil.example.", i, i+1))
		}
	}
	return honest
}

func TestA7_referralsThatLeadNowhere(t *testing.T) {
	for _, tt := range []struct{ name, to string }{
		{"to itself", "evil.example."}, {"up", "example."}, {"to the root", "."}, {"to a sibling", "victim.example."}, {"down, but aside", "other.evil.example."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refer := func(q, honest *dns.Msg, _ bool) *dns.Msg {
				honest.Authoritative, honest.Answer, honest.Rcode = false, nil, dns.RcodeSuccess
				honest.Ns = []dns.RR{rr("%s 86400 NS ns.evil.example.", tt.to)}
				honest.Extra = []dns.RR{rr("ns.evil.example. 86400 A %s", evilAt)}
				return honest
			}
			inWorld(t, "", "", refer, nil, func(t *testing.T, w *world) {
				if m, _ := w.ask(t, "www.evil.example. A"); !failed(m, dns.ExtendedErrorCodeNoReachableAuthority) {
					t.Errorf("got %s, EDE %v", text(m), ede(m))
				}
				if got := len(w.Asked(evilAt)); got > 6 {
					t.Errorf("%d packets, want 6 at most", got)
				}
				w.mustBeTrue(t)
			})
		})
	}
}

// TestA1_A2_stepsDoNotGrowWithTheServers counts allocations, of the whole world, for
// a question whose zone has few servers and for one whose zone has 1,000: what is
// done for each of them is done when the referral is read, once or twice, and not
// whenever another one is tried.
func TestA1_A2_stepsDoNotGrowWithTheServers(t *testing.T) {
	const many, each = 1000, 30 // allocations for each server: of making, packing, sending and reading its record
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %t", silent), func(t *testing.T) {
			steps := map[int]uint64{}
			for _, n := range []int{20, many} {
				inWorld(t, repeat(n, "sub NS ns#.victim.example."), "", nil, nil, func(t *testing.T, w *world) {
					if silent {
						w.Drop(victimAt)
					}
					w.ask(t, "www.evil.example. A") // both zones are known from now on
					w.ask(t, "www.victim.example. A")
					w.Forget()
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					m, _ := w.ask(t, "www.sub.evil.example. A")
					time.Sleep(7 * time.Second) // the walk has ended
					runtime.ReadMemStats(&after)
					steps[n] = after.Mallocs - before.Mallocs
					if !failed(m, dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError) {
						t.Errorf("%s, EDE %v", text(m), ede(m))
					}
					if got := w.Exchanges(); got > 20 {
						t.Errorf("%d packets, want 20 at most", got)
					}
				})
			}
			t.Logf("allocations by servers: %v", steps)
			if more := steps[many] - min(steps[20], steps[many]); more > many*each {
				t.Errorf("%d allocations more for %d servers, want %d at most", more, many, many*each)
			}
		})
	}
}

func TestA8_loopsOfResending(t *testing.T) {
	says := func(rcode int, opt bool) sim.Spoofer {
		return func(q, honest *dns.Msg, _ bool) *dns.Msg {
			m := new(dns.Msg).SetRcode(q, rcode)
			if m.Rcode = rcode & 15; opt {
				m.SetEdns0(wire.PayloadSize, false)
				m.Rcode = rcode
			}
			return m
		}
	}
	flips := 0
	tests := []struct {
		name  string
		spoof sim.Spoofer
	}{
		{"BADCOOKIE", says(dns.RcodeBadCookie, true)},
		{"BADVERS", says(dns.RcodeBadVers, true)},
		{"FORMERR without EDNS", says(dns.RcodeFormatError, false)},
		{"FORMERR with EDNS", says(dns.RcodeFormatError, true)},
		{"NOTIMP", says(dns.RcodeNotImplemented, false)},
		{"REFUSED", says(dns.RcodeRefused, true)},
		{"SERVFAIL", says(dns.RcodeServerFailure, true)},
		{"truncated, over TCP too", func(_, honest *dns.Msg, _ bool) *dns.Msg { honest.Truncated = true; return honest }},
		{"no EDNS, and without it none either", func(q, honest *dns.Msg, stream bool) *dns.Msg {
			if flips++; flips%2 == 0 {
				honest.Truncated = true
				return honest
			}
			return says(dns.RcodeFormatError, false)(q, honest, stream)
		}},
		{"silence", func(_, _ *dns.Msg, _ bool) *dns.Msg { return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "", "", tt.spoof, nil, func(t *testing.T, w *world) {
				m, took := w.ask(t, "www.evil.example. A")
				if !failed(m, dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError) || took > 4500*time.Millisecond {
					t.Errorf("%s, EDE %v, after %v", text(m), ede(m), took)
				}
				time.Sleep(7 * time.Second)
				if got := len(w.Asked(evilAt)); got > 6 || got == 0 {
					t.Errorf("%d packets, want 1 to 6", got)
				}
			})
		})
	}
}

func TestA9_namesOfManyLabels(t *testing.T) {
	for _, tt := range []struct{ name, evil, want string }{
		{"of which none is there", "", "NXDOMAIN"},
		{"which are there", strings.Repeat("a.", 117) + "a 60 A 192.0.2.67", "NOERROR; "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.evil, "", nil, nil, func(t *testing.T, w *world) {
				m, _ := w.ask(t, strings.Repeat("a.", 118)+"evil.example. A")
				if got := text(m); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s", got)
				}
				if got := w.Exchanges(); got > 16 {
					t.Errorf("%d packets, want 16 at most", got)
				}
			})
		})
	}
}
