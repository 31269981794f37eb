package iterate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/resolver/dialogue"
	"proxima/resolver/limit"
	"proxima/resolver/selection"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

func TestWalker_Lookup(t *testing.T) {
	tests := []struct {
		name     string
		question string
		want     string
	}{
		{"a name two zones below the root", "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80"},
		{"letter case does not matter", "WwW.oNe.ExAmPlE. A", "NOERROR; www.one.example. 60 A 192.0.2.80"},
		{"a zone whose server has no glue", "www.two.example. AAAA", "NOERROR; www.two.example. 60 AAAA 2001:db8::90"},
		{"an alias into another zone", "alias.one.example. A", "NOERROR; alias.one.example. 30 CNAME www.two.example.; www.two.example. 60 A 192.0.2.90"},
		{"aliases come first, in chain order", "hop.one.example. A", "NOERROR; hop.one.example. 3600 CNAME alias.one.example.; alias.one.example. 30 CNAME www.two.example.; www.two.example. 60 A 192.0.2.90"},
		{"an alias asked for is not followed", "alias.one.example. CNAME", "NOERROR; alias.one.example. 30 CNAME www.two.example."},
		{"an alias to nothing is NXDOMAIN with the chain", "dangling.one.example. A", "NXDOMAIN; dangling.one.example. 3600 CNAME nothing.two.example.; soa two.example. 300"},
		{"a DNAME with its CNAME", "deep.old.one.example. A", "NOERROR; old.one.example. 3600 DNAME new.two.example.; deep.old.one.example. 3600 CNAME deep.new.two.example.; deep.new.two.example. 60 A 192.0.2.91"},
		{"no such name", "none.one.example. A", "NXDOMAIN; soa one.example. 300"},
		{"no such type", "www.one.example. MX", "NOERROR; soa one.example. 300"},
		{"no such domain", "www.none.example. A", "NXDOMAIN; soa example. 300"},
		{"no such top-level domain", "www.none. A", "NXDOMAIN; soa . 300"},
		{"a name below an empty one", "empty.non.terminal.example. A", "NOERROR; empty.non.terminal.example. 3600 A 192.0.2.83"},
		{"an empty name", "non.terminal.example. A", "NOERROR; soa example. 300"},
		{"the servers of a zone, by the zone itself", "one.example. NS", "NOERROR; one.example. 3600 NS ns.one.example."},
		{"the servers of the root", ". NS", "NOERROR; . 3600 NS a.root-servers.example."},
		{"DS is asked at the parent", "one.example. DS", "NOERROR; soa example. 300"},
		{"a reply too big for UDP", "big.one.example. TXT", "NOERROR; big.one.example. 3600 TXT " + strings.TrimSpace(strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 6))},
		{"many labels", "a.very.deep.name.of.many.more.labels.than.ten.in.all.two.example. A", "NOERROR; a.very.deep.name.of.many.more.labels.than.ten.in.all.two.example. 60 A 192.0.2.92"},
		{"a TTL with the top bit is 0", "forever.one.example. A", "NOERROR; forever.one.example. 0 A 192.0.2.80"},
		{"a TTL is cut to a day", "long-lived.one.example. A", "NOERROR; long-lived.one.example. 86400 A 192.0.2.80"},
		{"a DNAME that makes the name too long", strings.Repeat(strings.Repeat("y", 60)+".", 2) + "long.one.example. A", "YXDOMAIN; long.one.example. 3600 DNAME " + strings.Repeat(strings.Repeat("x", 60)+".", 3) + "two.example."},
		{"a loop of aliases", "loop.one.example. A", "error 0 work limit: alias loop"},
		{"an alias of itself", "self.one.example. A", "error 0 work limit: alias loop"},
		{"servers that do not exist", "www.lost.example. A", "error 22 no address for the servers of lost.example."},
		{"servers that need each other", "www.cycle1.example. A", "error 22 no address for the servers of cycle1.example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := mustWalker(t, testInternet(), nil)
				if got := mustAsk(t, w, tt.question); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

func TestWalker_minimizesNames(t *testing.T) {
	tests := []struct {
		name     string
		minimize Minimize
		question string
		asked    string // at the root, example. and one.example., in this order
	}{
		{"relaxed: one label more at each zone", Relaxed, "a.b.www.one.example. MX", ". NS, example. A; one.example. A; www.one.example. A, b.www.one.example. A, a.b.www.one.example. MX"},
		{"strict: believes that nothing is below", Strict, "a.b.none.one.example. MX", ". NS, example. A; one.example. A; none.one.example. A"},
		{"the root's denial is final", Relaxed, "a.b.none. MX", ". NS, none. A; ; "},
		{"off: the full name", Off, "a.b.www.one.example. MX", ". NS, a.b.www.one.example. MX; a.b.www.one.example. MX; a.b.www.one.example. MX"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				w := mustWalker(t, n, func(o *Options) { o.Minimize, o.IPv4 = tt.minimize, true })
				mustAsk(t, w, tt.question)
				var all []string
				for _, at := range []netip.Addr{rootAddr, tldAddr, oneAddr} {
					var here []string
					for _, q := range n.Asked(at) {
						here = append(here, q.Name+" "+dns.TypeToString[q.Qtype])
					}
					all = append(all, strings.Join(here, ", "))
				}
				if got := strings.Join(all, "; "); got != tt.asked {
					t.Errorf("got  %s\nwant %s", got, tt.asked)
				}
			})
		})
	}
}

func TestWalker_findsAWay(t *testing.T) {
	const want = "NOERROR; www.one.example. 60 A 192.0.2.80"
	tests := []struct {
		name string
		harm func(n *sim.Internet)
	}{
		{"around a silent server", func(n *sim.Internet) { n.Drop(oneAddr) }},
		{"around an unreachable server", func(n *sim.Internet) { n.Unreachable(oneAddr) }},
		{"around a server that refuses", func(n *sim.Internet) { n.Refuse(oneAddr) }},
		{"around a server that fails", func(n *sim.Internet) { n.ServFail(oneAddr) }},
		{"around a server that refers upwards", func(n *sim.Internet) { n.Lame(oneAddr) }},
		{"around a family that is dead", func(n *sim.Internet) { n.Unreachable(tldAddr6, oneAddr6) }},
		{"to servers that know no EDNS", func(n *sim.Internet) { n.NoEDNS(oneAddr, oneAddr6) }},
		{"to servers that cut every datagram", func(n *sim.Internet) { n.Truncate(oneAddr, oneAddr6) }},
		{"to slow servers", func(n *sim.Internet) { n.Delay(oneAddr, time.Second); n.Delay(oneAddr6, time.Second) }},
		{"around a server that answers something else", func(n *sim.Internet) {
			n.Spoof(oneAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
				honest.Question[0].Name = "other.example."
				return honest
			})
		}},
		{"around a resolver that stands where a server should", func(n *sim.Internet) {
			n.Spoof(oneAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
				for _, rr := range honest.Answer {
					rr.(*dns.A).A = net.IPv4(192, 0, 2, 66)
				}
				return asResolver(q, honest, false)
			})
		}},
		{"to resolvers, if there are no others", func(n *sim.Internet) {
			n.Spoof(oneAddr, asResolver)
			n.Spoof(oneAddr6, asResolver)
		}},
		{"through servers that err on short names", func(n *sim.Internet) {
			n.Spoof(tldAddr, errOnShort)
			n.Spoof(tldAddr6, errOnShort)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				tt.harm(n)
				w := mustWalker(t, n, nil)
				began := time.Now()
				if got := mustAsk(t, w, "www.one.example. A"); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// asResolver sets the flags of a resolver.
func asResolver(_, honest *dns.Msg, _ bool) *dns.Msg {
	honest.Authoritative, honest.RecursionAvailable = false, true
	return honest
}

// errOnShort denies what is not asked in full, as some servers do.
func errOnShort(q, honest *dns.Msg, _ bool) *dns.Msg {
	if dns.CountLabel(q.Question[0].Name) < 3 {
		honest.Rcode, honest.Answer, honest.Ns = dns.RcodeServerFailure, nil, nil
	}
	return honest
}

func TestWalker_failsWithAReason(t *testing.T) {
	tests := []struct {
		name string
		harm func(n *sim.Internet)
		want string
	}{
		{"silence", func(n *sim.Internet) { n.Drop(oneAddr, oneAddr6) }, "error 22 no reply in"},
		{"no network", func(n *sim.Internet) { n.Unreachable(oneAddr, oneAddr6) }, "error 23 network error in 6 tries at one.example."},
		{"refusal", func(n *sim.Internet) { n.Refuse(oneAddr, oneAddr6) }, "error 22 2 of 2 tries at one.example. failed with: REFUSED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				tt.harm(n)
				w := mustWalker(t, n, nil)
				if got := mustAsk(t, w, "www.one.example. A"); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

func TestWalker_learnsCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		w := mustWalker(t, n, nil)
		mustAsk(t, w, "www.one.example. A")
		n.Forget()
		mustAsk(t, w, "none.one.example. A")
		if got := n.Exchanges(); got != 1 {
			t.Errorf("%d exchanges for another name of a known zone, want 1", got)
		}
	})
}

func TestWalker_forgetsWithTheLease(t *testing.T) {
	// A child that keeps answering after its parent took it away is a ghost.
	synctest.Test(t, func(t *testing.T) {
		const lease = 900 * time.Second // of one.example.
		n, tld := testInternetAndTLD()
		w := mustWalker(t, n, nil)
		mustAsk(t, w, "www.one.example. A")
		began := time.Now()
		tld.Remove("one.example.", dns.TypeNS)
		for time.Since(began) < lease-time.Second {
			time.Sleep(10 * time.Second)
			mustAsk(t, w, fmt.Sprintf("x%d.one.example. A", time.Now().Unix()))
			mustAsk(t, w, "one.example. NS")
		}
		time.Sleep(2 * time.Second)
		if got, want := mustAsk(t, w, "www.one.example. A"), "NXDOMAIN; soa example. 300"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestWalker_boundsLeasesBelowALease(t *testing.T) {
	// A ghost's own delegations die with it.
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		w := mustWalker(t, n, nil)
		mustAsk(t, w, "www.one.example. A")
		time.Sleep(899 * time.Second)
		tld.Remove("one.example.", dns.TypeNS)
		if got, want := mustAsk(t, w, "www.deeper.one.example. A"), "NOERROR; www.deeper.one.example. 60 A 192.0.2.80"; got != want {
			t.Fatalf("before: got %s, want %s", got, want)
		}
		time.Sleep(2 * time.Second)
		if got, want := mustAsk(t, w, "www.deeper.one.example. A"), "NXDOMAIN; soa example. 300"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestWalker_neverAsks(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
	}{
		{"denied addresses", func(o *Options) {
			o.Deny = []netip.Prefix{netip.PrefixFrom(oneAddr, 32), netip.PrefixFrom(oneAddr6, 128)}
		}},
		{"its own service", func(o *Options) { o.Own = []netip.Addr{oneAddr, oneAddr6} }},
		{"its own service, even for a configured zone", func(o *Options) {
			o.Own = []netip.Addr{oneAddr, oneAddr6}
			o.Zones = []Zone{{Name: "one.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(oneAddr, 53)}}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				w := mustWalker(t, n, tt.change)
				if got, want := mustAsk(t, w, "www.one.example. A"), "error 22 no address for the servers of one.example."; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := len(n.Asked(oneAddr)) + len(n.Asked(oneAddr6)); got != 0 {
					t.Errorf("asked %d times", got)
				}
			})
		})
	}
}

func TestWalker_asksOnlyFamiliesThatAreOn(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		off    []netip.Addr
	}{
		{"IPv4", func(o *Options) { o.IPv4 = true }, []netip.Addr{tldAddr6, oneAddr6}},
		{"IPv6", func(o *Options) {
			o.IPv6 = true
			o.Hints[0].Addrs = append(o.Hints[0].Addrs, rootAddr6)
		}, []netip.Addr{rootAddr, tldAddr, oneAddr}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				w := mustWalker(t, n, tt.change)
				if got, want := mustAsk(t, w, "www.one.example. A"), "NOERROR; www.one.example. 60 A 192.0.2.80"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				for _, addr := range tt.off {
					if got := len(n.Asked(addr)); got != 0 {
						t.Errorf("asked %s %d times", addr, got)
					}
				}
			})
		})
	}
}

func TestWalker_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.Drop(oneAddr, oneAddr6)
		w := mustWalker(t, n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.Lookup(ctx, mustQuestion(t, "www.one.example. A"), NewBudget())
		var e *Error
		if !errors.As(err, &e) || e.Code != 22 || time.Since(began) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

func TestWalker_Stats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := mustWalker(t, testInternet(), nil)
		mustAsk(t, w, "www.two.example. A")
		mustAsk(t, w, "self.one.example. A")
		got := w.Stats()
		if got.Limits["alias loop"] != 1 || len(got.Limits) != int(limit.Count) {
			t.Errorf("limits %v", got.Limits)
		}
		got.Limits = nil
		want := Stats{Stats: dialogue.Stats{Exchanges: 7, Remembered: 4}, Lookups: 2, Failures: 1, Referrals: 3, Aliases: 1, Servers: 1, Primes: 1, Cuts: 3}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestWalker_configuredZones(t *testing.T) {
	server := []netip.AddrPort{netip.AddrPortFrom(otherAddr, 5353)}
	tests := []struct {
		name     string
		zone     Zone
		down     bool
		question string
		want     string
	}{
		{"a stub zone is asked there", Zone{Name: "One.example", Servers: server}, false, "www.one.example. A", "NOERROR; www.one.example. 300 A 192.0.2.180"},
		{"a zone below a stub zone is found there", Zone{Name: "example", Servers: server}, false, "www.one.example. A", "NOERROR; www.one.example. 300 A 192.0.2.180"},
		{"a forward zone is asked there", Zone{Name: "one.example.", Servers: server, Recursive: true}, false, "www.one.example. A", "NOERROR; www.one.example. 300 A 192.0.2.180"},
		{"a forward zone that is down fails", Zone{Name: "one.example.", Servers: server, Recursive: true}, true, "www.one.example. A", "error 23 network error in 3 tries at one.example."},
		{"a forward zone may fall back to walking", Zone{Name: "one.example.", Servers: server, Recursive: true, First: true}, true, "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80"},
		{"an alias out of a forward zone is walked", Zone{Name: "one.example.", Servers: server, Recursive: true}, false, "alias.one.example. A", "NOERROR; alias.one.example. 300 CNAME www.two.example.; www.two.example. 60 A 192.0.2.90"},
		{"everything may be forwarded", Zone{Name: ".", Servers: server, Recursive: true}, false, "www.one.example. A", "NOERROR; www.one.example. 300 A 192.0.2.180"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.Zone("one.example.", "www 300 A 192.0.2.180\nalias 300 CNAME www.two.example.\nns2 A 192.0.2.12\n", otherAddr)
				recursion := false
				n.Spoof(otherAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					recursion = q.RecursionDesired
					if tt.zone.Recursive {
						honest.Authoritative, honest.RecursionAvailable = false, true
					}
					return honest
				})
				if tt.down {
					n.Unreachable(otherAddr)
				}
				w := mustWalker(t, n, func(o *Options) { o.Zones = []Zone{tt.zone} })
				if got := mustAsk(t, w, tt.question); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if !tt.down && recursion != tt.zone.Recursive {
					t.Errorf("RD = %t, want %t", recursion, tt.zone.Recursive)
				}
			})
		})
	}
}

func TestWalker_Prime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		var told [][]Server
		w := mustWalker(t, n, func(o *Options) { o.OnPrime = func(servers []Server) { told = append(told, servers) } })
		if err := w.Prime(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cut := w.primed.Load(); cut.Expires != time.Now().Add(time.Hour) || len(cut.Servers) != 1 {
			t.Errorf("primed with %+v", cut)
		}
		n.Unreachable(rootAddr)
		if err := w.Prime(t.Context()); err == nil {
			t.Error("primed without a network")
		}
		if len(told) != 1 || !reflect.DeepEqual(told[0], w.primed.Load().Servers) {
			t.Errorf("told of %v, want once of what was learned", told)
		}
	})
}

func TestWalker_hintsServeWhenPrimingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.Spoof(rootAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
			if q.Question[0].Name == "." {
				honest.Rcode = dns.RcodeServerFailure
			}
			return honest
		})
		w := mustWalker(t, n, nil)
		if got, want := mustAsk(t, w, "www.one.example. A"), "NOERROR; www.one.example. 60 A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestNew_namesTheField(t *testing.T) {
	n := sim.New(1)
	server := []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}
	tests := []struct {
		name   string
		change func(*Options)
	}{
		{"Exchanger", func(o *Options) { o.Exchanger = nil }},
		{"Selection", func(o *Options) { o.Selection = nil }},
		{"Cache", func(o *Options) { o.Cache = nil }},
		{"Minimize", func(o *Options) { o.Minimize = 9 }},
		{"MaxTTL", func(o *Options) { o.MaxTTL = 8 * 24 * time.Hour }},
		{"MinTTL", func(o *Options) { o.MinTTL = 25 * time.Hour }},
		{"Stale", func(o *Options) { o.Stale = -1 }},
		{"Zones", func(o *Options) {
			o.Zones = []Zone{{Name: "a.example.", Servers: server}, {Name: "A.example", Servers: server}}
		}},
		{"Zones", func(o *Options) { o.Zones = []Zone{{Name: "a..example.", Servers: server}} }},
		{"Zones", func(o *Options) { o.Zones = []Zone{{Name: "a.example."}} }},
		{"Zones", func(o *Options) { o.Zones = []Zone{{Name: "a.example.", Servers: server, First: true}} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, err := cache.New(cache.Options{})
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Exchanger: n, Selection: selection.New(0), Cache: store}
			tt.change(&o)
			if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "iterate: "+tt.name+": ") {
				t.Errorf("error %v, want one that names %s", err, tt.name)
			}
		})
	}
}
