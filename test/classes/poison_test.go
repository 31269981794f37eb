package classes

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"proxima/resolver/iterate"

	"github.com/miekg/dns"
)

// lie is where poison points.
const lie = "192.0.2.66"

// TestC8_recordsThatNobodyAskedFor puts records about others into every kind of
// reply, and wants later questions to go to the true server.
func TestC8_recordsThatNobodyAskedFor(t *testing.T) {
	forged := func() []dns.RR { return []dns.RR{rr("victim.example. 86400 NS ns.evil.example.")} }
	glue := func() []dns.RR {
		return []dns.RR{rr("ns.victim.example. 86400 A %s", lie), rr("www.victim.example. 86400 A %s", lie), rr("ns.evil.example. 86400 A %s", lie)}
	}
	soa := rr("evil.example. 60 SOA ns.victim.example. host.evil.example. 1 2 3 4 60")
	tests := []struct {
		name  string
		ask   string
		spoof func(m *dns.Msg)
	}{
		{"NS of another zone in authority of an answer", "www.evil.example. A", func(m *dns.Msg) { m.Ns = forged() }},
		{"and its addresses in additional", "www.evil.example. A", func(m *dns.Msg) { m.Ns, m.Extra = forged(), glue() }},
		{"in answer, beside the true one", "www.evil.example. A", func(m *dns.Msg) { m.Answer = append(m.Answer, glue()...) }},
		{"in a denial of the type", "www.evil.example. TXT", func(m *dns.Msg) { m.Ns, m.Extra = append(forged(), soa), glue() }},
		{"in a denial of the name", "no.evil.example. A", func(m *dns.Msg) { m.Ns, m.Extra = append(forged(), soa), glue() }},
		{"in YXDOMAIN", "yx.evil.example. A", func(m *dns.Msg) { m.Rcode, m.Answer, m.Ns, m.Extra = dns.RcodeYXDomain, nil, forged(), glue() }},
		{"at the end of an alias", "www.evil.example. AAAA", func(m *dns.Msg) {
			m.Answer = append([]dns.RR{rr("www.evil.example. 60 CNAME www.victim.example.")}, rr("www.victim.example. 86400 AAAA 2001:db8::66"), rr("www.victim.example. 86400 A %s", lie))
		}},
		{"of a sibling, as though it were below", "www.evil.example. A", func(m *dns.Msg) {
			m.Authoritative, m.Answer, m.Ns, m.Extra = false, nil, forged(), glue()
		}},
		{"of the parent", "www.evil.example. A", func(m *dns.Msg) {
			m.Ns, m.Extra = []dns.RR{rr("example. 86400 NS ns.evil.example.")}, glue()
		}},
		{"of the root", "www.evil.example. A", func(m *dns.Msg) {
			m.Ns, m.Extra = []dns.RR{rr(". 86400 NS ns.evil.example.")}, glue()
		}},
		{"the address of a mail server", "evil.example. MX", func(m *dns.Msg) {
			m.Rcode, m.Answer, m.Ns = dns.RcodeSuccess, []dns.RR{rr("evil.example. 60 MX 1 www.victim.example.")}, nil
			m.Extra = glue()
		}},
		{"the address of an SOA's server", "no.evil.example. A", func(m *dns.Msg) { m.Ns, m.Extra = []dns.RR{soa}, glue() }},
		{"a DNAME above", "www.evil.example. A", func(m *dns.Msg) {
			m.Answer = append([]dns.RR{rr("example. 86400 DNAME evil.example.")}, m.Answer...)
		}},
		{"addresses of the victim's server in a true referral", "www.sub.evil.example. A", func(m *dns.Msg) {
			m.Authoritative, m.Rcode, m.Answer = false, dns.RcodeSuccess, nil
			m.Ns, m.Extra = []dns.RR{rr("sub.evil.example. 86400 NS ns.victim.example.")}, glue()
		}},
		{"a type that lets no address in", "www.evil.example. A", func(m *dns.Msg) {
			m.Ns, m.Extra = []dns.RR{rr("victim.example. 86400 TXT evil"), rr("evil.example. 86400 MX 1 ns.victim.example.")}, glue()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spoof := func(q, honest *dns.Msg, _ bool) *dns.Msg {
				if q.Question[0].Name+" "+dns.TypeToString[q.Question[0].Qtype] == tt.ask {
					tt.spoof(honest)
				}
				return honest
			}
			inWorld(t, "", "", spoof, nil, func(t *testing.T, w *world) {
				w.ask(t, tt.ask)
				w.mustBeTrue(t)
			})
			t.Run("with the victim's zone known", func(t *testing.T) {
				inWorld(t, "", "", spoof, nil, func(t *testing.T, w *world) {
					w.mustBeTrue(t)
					w.ask(t, tt.ask)
					w.mustBeTrue(t)
				})
			})
		})
	}
}

func TestC9_aForwarderSpeaksForItsZoneAlone(t *testing.T) {
	spoof := func(q, honest *dns.Msg, _ bool) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		m.Answer = []dns.RR{rr("%s 86400 A %s", q.Question[0].Name, lie), rr("www.victim.example. 86400 A %s", lie)}
		m.Ns = []dns.RR{rr("example. 86400 NS ns.evil.example."), rr("victim.example. 86400 NS ns.evil.example.")}
		m.Extra = []dns.RR{rr("ns.evil.example. 86400 A %s", lie), rr("ns.victim.example. 86400 A %s", lie)}
		return m
	}
	forward := func(o *iterate.Options) {
		o.Zones = []iterate.Zone{{Name: "corp.example.", Recursive: true, Servers: []netip.AddrPort{netip.AddrPortFrom(evilAt, 53)}}}
	}
	inWorld(t, "", "", spoof, forward, func(t *testing.T, w *world) {
		if m, _ := w.ask(t, "www.corp.example. A"); text(m) != "NOERROR; www.corp.example. 86400 A "+lie {
			t.Fatalf("got %s", text(m))
		}
		w.mustBeTrue(t)
	})
}

func TestC14_timesToLive(t *testing.T) {
	for _, tt := range []struct {
		ttl  uint32
		want uint32
	}{{0, 0}, {1, 1}, {1<<31 - 1, 86400}, {1 << 31, 0}, {1<<32 - 1, 0}} {
		t.Run(fmt.Sprint(tt.ttl), func(t *testing.T) {
			spoof := func(q, honest *dns.Msg, _ bool) *dns.Msg {
				for _, r := range honest.Answer {
					r.Header().Ttl = tt.ttl
				}
				return honest
			}
			inWorld(t, "", "", spoof, nil, func(t *testing.T, w *world) {
				last := tt.want
				for range 50 {
					m, _ := w.ask(t, "www.evil.example. A")
					if len(m.Answer) != 1 {
						t.Fatalf("got %s", text(m))
					}
					if got := m.Answer[0].Header().Ttl; got > last && tt.want > 1 || got > tt.want {
						t.Errorf("TTL %d after %d", got, last)
					} else {
						last = got
					}
					time.Sleep(1100 * time.Millisecond)
				}
			})
		})
	}
}

func TestC18_clientSubnetsAreNobodysBusiness(t *testing.T) {
	const clients = 200
	leaks := 0
	var mu sync.Mutex
	spoof := func(q, honest *dns.Msg, _ bool) *dns.Msg {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range q.IsEdns0().Option {
			if o.Option() == dns.EDNS0SUBNET {
				leaks++
			}
		}
		return honest
	}
	inWorld(t, "", "", spoof, nil, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				w.ask(t, "www.evil.example. A", &dns.EDNS0_SUBNET{
					Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{198, 51, byte(i), 0},
				})
			})
		}
		all.Wait()
		asked := 0
		for _, q := range w.Asked(evilAt) {
			if q.Name == "www.evil.example." {
				asked++
			}
		}
		if asked != 1 || leaks > 0 {
			t.Errorf("asked %d times for %d clients, %d times with a subnet; want once and without", asked, clients, leaks)
		}
	})
}

func TestC19_aliasesStayInOrder(t *testing.T) {
	// The middle of the chain expires before its ends.
	evil := "a 300 CNAME b.hop.example.\nc 300 CNAME www.victim.example.\n"
	inWorld(t, evil, "hop NS ns.hop\nns.hop A 192.0.2.100\n", nil, nil, func(t *testing.T, w *world) {
		w.Zone("hop.example.", "@ NS ns\nns A 192.0.2.100\nb 5 CNAME c.evil.example.\n", netip.MustParseAddr("192.0.2.100"))
		for range 10 {
			m, _ := w.ask(t, "a.evil.example. A")
			var owners []string
			for _, r := range m.Answer {
				owners = append(owners, r.Header().Name)
			}
			if got, want := strings.Join(owners, " "), "a.evil.example. b.hop.example. c.evil.example. www.victim.example."; got != want {
				t.Fatalf("order %s, want %s", got, want)
			}
			time.Sleep(1700 * time.Millisecond)
		}
	})
}
