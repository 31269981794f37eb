package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/denial"
	"proxima/resolver/iterate"
	"proxima/resolver/trust"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// mustValidator returns a resolver of the signed internet.
func mustValidator(t testing.TB, n *sim.Internet) *Resolver {
	t.Helper()
	n.SignAll()
	return mustResolverWith(t, n, func(o *iterate.Options) {
		o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}}
	})
}

// forge changes the address of www.example.
func forge(_, honest *dns.Msg, _ bool) *dns.Msg {
	if honest == nil {
		return nil
	}
	for _, rr := range honest.Answer {
		if a, ok := rr.(*dns.A); ok && a.Hdr.Name == "www.example." {
			a.A = []byte{192, 0, 2, 66}
		}
	}
	return honest
}

func TestResolver_setsAD(t *testing.T) {
	const data = "www.example. 60 IN A 192.0.2.80"
	tests := []struct{ name, query, want string }{
		{"for a client that sets AD", "www.example. A +ad", "NOERROR AD; " + data},
		{"for one that sets AD, without EDNS", "www.example. A +ad -edns", "NOERROR AD; " + data},
		{"for one that sets DO, who gets signatures too", "www.example. A +do", "NOERROR AD; " + data + "; signature"},
		{"not for one that sets neither", "www.example. A", "NOERROR; " + data},
		{"with CD, too: it is proven", "www.example. A +ad +cd", "NOERROR AD; " + data},
		{"on a denial", "no.example. A +ad", "NXDOMAIN AD; soa example."},
		{"not on what is answered here", "localhost. A +ad", "NOERROR; localhost. 10800 IN A 127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustValidator(t, testInternet())
				for range 2 { // from the walk, and from the cache
					if got := mustAnswer(t, r, tt.query); got != tt.want {
						t.Errorf("got  %s\nwant %s", got, tt.want)
					}
				}
			})
		})
	}
}

func TestResolver_bogus(t *testing.T) {
	const (
		forged = "www.example. 60 IN A 192.0.2.66"
		honest = "www.example. 60 IN A 192.0.2.80"
	)
	steps := []struct {
		name, query, want string
		asks              bool // servers
	}{
		{"is SERVFAIL", "www.example. A +ad", "SERVFAIL EDE 6", true},
		{"is remembered", "www.example. A", "SERVFAIL EDE 6", false},
		{"but given to who sets CD", "www.example. A +cd +ad", "NOERROR; " + forged, true},
		{"which is remembered for those", "www.example. A +cd", "NOERROR; " + forged, false},
		{"and not given to others", "www.example. A +do", "SERVFAIL EDE 6", false},
	}
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustValidator(t, n)
		n.Spoof(tldAddr, forge)
		for _, s := range steps {
			before := n.Exchanges()
			if got := mustAnswer(t, r, s.query); got != s.want || (n.Exchanges() > before) != s.asks {
				t.Errorf("%s: got %s after %d exchanges, want %s", s.name, got, n.Exchanges()-before, s.want)
			}
		}
		n.Heal(tldAddr)
		time.Sleep(59 * time.Second)
		if got := mustAnswer(t, r, "www.example. A +ad"); got != "SERVFAIL EDE 6" {
			t.Errorf("after 59 s: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got, want := mustAnswer(t, r, "www.example. A +ad"), "NOERROR AD; "+honest; got != want {
			t.Errorf("after a minute: got %s, want %s", got, want)
		}
		if got, want := mustAnswer(t, r, "www.example. A +cd +ad"), "NOERROR AD; "+honest; got != want {
			t.Errorf("with CD: got %s, want %s", got, want)
		}
	})
}

func TestResolver_givesCDWhatItProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustValidator(t, n)
		n.Spoof(tldAddr, forge)
		if got, want := mustAnswer(t, r, "www.example. A +cd"), "NOERROR; www.example. 60 IN A 192.0.2.66"; got != want {
			t.Errorf("CD first: got %s, want %s", got, want)
		}
		if got := mustAnswer(t, r, "www.example. A"); got != "SERVFAIL EDE 6" {
			t.Errorf("then without: %s", got)
		}
	})
}

func TestResolver_servesNothingStaleForBogus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustValidator(t, n)
		if got := mustAnswer(t, r, "www.example. A +ad"); got != "NOERROR AD; www.example. 60 IN A 192.0.2.80" {
			t.Fatal(got)
		}
		time.Sleep(2 * time.Minute)
		n.Spoof(tldAddr, forge)
		for range 2 {
			if got := mustAnswer(t, r, "www.example. A +ad"); got != "SERVFAIL EDE 6" {
				t.Errorf("got %s", got)
			}
		}
		time.Sleep(2 * time.Minute)
		n.Drop(tldAddr)
		if got := mustAnswer(t, r, "www.example. A +ad"); got != "NOERROR EDE 3; www.example. 30 IN A 192.0.2.80" {
			t.Errorf("of a silent server: %s", got)
		}
	})
}

func TestResolver_spendsOnePurse(t *testing.T) {
	tests := []struct {
		name string
		left int // exchanges after the flight that failed
		want string
	}{
		{"what is left is enough", 1, "NOERROR; www.example. 60 IN A 192.0.2.66"},
		{"nothing is left", 0, "SERVFAIL EDE 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.Spoof(tldAddr, forge)
				first := mustValidator(t, n)
				mustAnswer(t, first, "ns.example. A")
				n.Forget()
				mustAnswer(t, first, "www.example. A")
				price := n.Exchanges()

				r := mustValidator(t, n)
				mustAnswer(t, r, "ns.example. A")
				n.Forget()
				purse := iterate.NewBudget()
				purse.Exchanges = price + tt.left
				key := question{name: "\x03www\x07example\x00", typ: dns.TypeA}
				if _, why := r.board(key, purse); why != nil {
					t.Fatal(why)
				}
				defer r.leave()
				if got := mustAnswer(t, r, "www.example. A +cd"); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if got := n.Exchanges(); got != price+tt.left {
					t.Errorf("%d exchanges, want %d", got, price+tt.left)
				}
			})
		})
	}
}

// mustReply asks as the server does and returns the whole reply.
func mustReply(t testing.TB, r *Resolver, s string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(r.Answer(t.Context(), nil, mustQuery(t, s), time.Now())); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestResolver_vouchesForNothingUnverified(t *testing.T) {
	nsec := &dns.NSEC{Hdr: dns.RR_Header{Name: "forged.example.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 60}, NextDomain: "zzz.example.", TypeBitMap: []uint16{1}}
	tests := []struct {
		name   string
		query  string
		proofs int // in the authority section, with signatures
	}{
		{"beside a wildcard's answer stands its proof alone", "a.wild.example. A +do", 2},
		{"beside any other nothing", "www.example. A +do", 0},
		{"a denial has its SOA and proofs", "no.example. A +do", 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("*.wild 60 A 192.0.2.83\n")
				n.Spoof(tldAddr, func(q, m *dns.Msg, _ bool) *dns.Msg {
					if q.Question[0].Qtype == dns.TypeA {
						m.Ns = append(m.Ns, nsec)
					}
					return m
				})
				m := mustReply(t, mustValidator(t, n), tt.query)
				forged := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Name == nsec.Hdr.Name })
				if !m.AuthenticatedData || forged || len(m.Ns) != tt.proofs {
					t.Errorf("AD %t, want %d records and not the forged one: %v", m.AuthenticatedData, tt.proofs, m.Ns)
				}
			})
		})
	}
}

func TestResolver_passesADNAMETwice(t *testing.T) {
	const records = "a 60 DNAME b\nx.b 60 CNAME y.a\ny.b 60 A 192.0.2.83\n"
	const chain = "; a.example. 60 IN DNAME b.example.; x.a.example. 60 IN CNAME x.b.example.; x.b.example. 60 IN CNAME y.a.example.; " +
		"y.a.example. 60 IN CNAME y.b.example.; y.b.example. 60 IN A 192.0.2.83"
	synctest.Test(t, func(t *testing.T) {
		if got, want := mustAnswer(t, mustResolver(t, testInternetWith(records)), "x.a.example. A +ad"), "NOERROR"+chain; got != want {
			t.Errorf("not signed:\ngot  %s\nwant %s", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if got, want := mustAnswer(t, mustValidator(t, testInternetWith(records)), "x.a.example. A +ad"), "NOERROR AD"+chain; got != want {
			t.Errorf("signed:\ngot  %s\nwant %s", got, want)
		}
	})
}

// count returns how often a type was asked of the server of example.
func count(n *sim.Internet, typ uint16) (times int) {
	for _, q := range n.Asked(tldAddr) {
		if q.Qtype == typ {
			times++
		}
	}
	return times
}

func TestResolver_livesByThePresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(1)
		n.RoundTrip(10 * time.Millisecond)
		n.Zone(".", "@ 86400 NS a.root-servers.example.\na.root-servers.example. 86400 A 192.0.2.1\nexample. NS ns.example.\nns.example. A 192.0.2.2\n", rootAddr)
		example := n.Zone("example.", "@ NS ns\nns A 192.0.2.2\n", tldAddr)
		n.SignAll()
		known, err := denial.New(denial.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fixed := time.Now()
		time.Sleep(24 * time.Hour)
		r := mustResolverWith(t, n, func(o *iterate.Options) {
			o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}, Denials: known, Time: fixed}
		})
		for _, q := range []string{"new.example. A +ad", "new.example. MX +ad"} {
			if got := mustAnswer(t, r, q); got != "NXDOMAIN AD; soa example." {
				t.Fatal(q, got)
			}
		}
		if got := r.walker.Stats().Known; got != 1 {
			t.Errorf("%d answers from what was denied, want 1", got)
		}
		example.Add("new 60 A 192.0.2.80")
		time.Sleep(301 * time.Second) // the denial lasts 300 s
		if got, want := mustAnswer(t, r, "new.example. A +ad"), "NOERROR AD; new.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("when the denial is over: got %s, want %s", got, want)
		}
		if got := count(n, dns.TypeDNSKEY); got != 1 {
			t.Errorf("asked for keys %d times, want 1", got)
		}
		time.Sleep(time.Hour)
		mustAnswer(t, r, "new.example. A +ad")
		if got := count(n, dns.TypeDNSKEY); got != 2 {
			t.Errorf("when the keys are over, asked for them %d times, want 2", got)
		}
	})
}

func TestResolver_asksForKeysOnce(t *testing.T) {
	tests := []struct {
		name     string
		ttl, cut uint32 // of the keys, and of the delegation with its DS
		later    time.Duration
		asked    int
	}{
		{"a query uses the keys for all its sets, even with a TTL of 0", 0, 3600, 0, 1},
		{"but a later one does not", 0, 3600, 61 * time.Second, 2},
		{"keys live for their TTL", 3600, 3600, 59 * time.Minute, 1},
		{"though their DS are over", 3600, 600, 59 * time.Minute, 1},
		{"and no longer", 3600, 3600, 61 * time.Minute, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("m0 60 CNAME m1\nm1 60 CNAME m2\nm2 60 CNAME m3\nm3 60 A 192.0.2.83\n")
				n.Spoof(tldAddr, func(q, m *dns.Msg, _ bool) *dns.Msg {
					for _, rr := range m.Answer {
						if q.Question[0].Qtype == dns.TypeDNSKEY {
							rr.Header().Ttl = tt.ttl
						}
					}
					return m
				})
				n.Spoof(rootAddr, func(_, m *dns.Msg, _ bool) *dns.Msg {
					for _, rr := range m.Ns {
						rr.Header().Ttl = min(rr.Header().Ttl, tt.cut)
					}
					return m
				})
				r := mustValidator(t, n)
				for range 2 {
					if got := mustAnswer(t, r, "m0.example. A +ad"); got[:10] != "NOERROR AD" {
						t.Error(got)
					}
					time.Sleep(tt.later)
				}
				if got := count(n, dns.TypeDNSKEY); got != tt.asked {
					t.Errorf("asked for keys %d times, want %d", got, tt.asked)
				}
			})
		})
	}
}

func TestResolver_asksAgainForWhatItCannotJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(1)
		n.RoundTrip(10 * time.Millisecond)
		root := n.Zone(".", "@ 86400 NS a.root-servers.example.\na.root-servers.example. 86400 A 192.0.2.1\nopen. 86400 NS ns.open.\nns.open. 86400 A 192.0.2.99\n", rootAddr)
		n.SignAll()
		n.Zone("open.", "@ NS ns\nns A 192.0.2.99\nwww 60 A 192.0.2.80\n", otherAddr)
		n.Spoof(rootAddr, func(_, m *dns.Msg, _ bool) *dns.Msg {
			if len(m.Ns) > 0 && m.Ns[0].Header().Rrtype == dns.TypeNS {
				m.Ns = append(m.Ns[:1], root.Signed(&dns.NSEC3{
					Hdr:  dns.RR_Header{Name: "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.", Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 86400},
					Hash: dns.SHA1, Iterations: 5000, NextDomain: "2t7b4g4vsa5smi47k61mv5bv1a22bojr", HashLength: 20,
				})...)
			}
			return m
		})
		r := mustResolverWith(t, n, func(o *iterate.Options) { o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}} })
		if got := mustAnswer(t, r, "www.open. A +ad"); got != "NOERROR EDE 27; www.open. 60 IN A 192.0.2.80" {
			t.Fatal(got)
		}
		for _, tt := range []struct {
			later time.Duration
			asks  bool // the parent
		}{{59 * time.Minute, false}, {2 * time.Minute, true}} {
			before := len(n.Asked(rootAddr))
			time.Sleep(tt.later)
			mustAnswer(t, r, "www.open. A +ad")
			if asked := len(n.Asked(rootAddr)) > before; asked != tt.asks {
				t.Errorf("after another %v the parent was asked: %t", tt.later, asked)
			}
		}
	})
}

func TestResolver_keepsASentinelBehindAnAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sentinel := fmt.Sprintf("root-key-sentinel-not-ta-%05d", testInternet().Anchor().KeyTag)
		n := testInternetWith(sentinel + " 60 A 192.0.2.83\nsub NS ns.sub\nns.sub A 192.0.2.99\n")
		n.Zone("sub.example.", "@ NS ns\nns A 192.0.2.99\nalias 60 CNAME "+sentinel+".example.\n", otherAddr)
		r := mustValidator(t, n)
		want := "NOERROR AD; alias.sub.example. 60 IN CNAME " + sentinel + ".example.; " + sentinel + ".example. 60 IN A 192.0.2.83"
		if got := mustAnswer(t, r, "alias.sub.example. A +ad"); got != want {
			t.Errorf("behind an alias it says nothing: got %s, want %s", got, want)
		}
		if got := mustAnswer(t, r, sentinel+".example. A +ad"); got != "SERVFAIL EDE 0" {
			t.Errorf("asked for by its name: %s", got)
		}
	})
}

func TestResolver_saysWhatADSLacks(t *testing.T) {
	tests := []struct{ name, ds, want string }{
		{"its digest", "1 13 200 00000000", "NOERROR EDE 2"},
		{"its algorithm", "1 200 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D", "NOERROR EDE 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("sub NS ns.sub\nns.sub A 192.0.2.99\nsub 3600 DS " + tt.ds + "\n")
				n.SignAll()
				n.Zone("sub.example.", "@ NS ns\nns A 192.0.2.99\nwww 60 A 192.0.2.80\n", otherAddr)
				r := mustResolverWith(t, n, func(o *iterate.Options) { o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}} })
				if got, want := mustAnswer(t, r, "www.sub.example. A +ad"), tt.want+"; www.sub.example. 60 IN A 192.0.2.80"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestResolver_givesNothingUnprovenOfAZoneThatNobodyKnows(t *testing.T) {
	// A forwarder is there, but not who says whether its zone is signed.
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("first=%t", first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				n.Drop(rootAddr)
				r := mustResolverWith(t, n, func(o *iterate.Options) {
					o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}}
					o.Zones = []iterate.Zone{{Name: "example.", Recursive: true, First: first, Servers: []netip.AddrPort{netip.AddrPortFrom(tldAddr, 53)}}}
				})
				const data = "NOERROR; www.example. 60 IN A 192.0.2.80"
				for _, s := range []struct{ name, query, want string }{
					{"who sets CD gets it, without AD", "www.example. A +cd +ad", data},
					{"again", "www.example. A +cd +ad", data},
					{"who does not, does not", "www.example. A +ad", "SERVFAIL EDE 22"},
					{"nor for another name", "ns.example. A", "SERVFAIL EDE 22"},
				} {
					if got := mustAnswer(t, r, s.query); got != s.want {
						t.Errorf("%s: got %s, want %s", s.name, got, s.want)
					}
				}
				n.Heal(rootAddr)
				time.Sleep(minFailureTTL)
				if got, want := mustAnswer(t, r, "www.example. A +ad"), "NOERROR AD; www.example. 60 IN A 192.0.2.80"; got != want {
					t.Errorf("healed: got %s, want %s", got, want)
				}
			})
		})
	}
}
