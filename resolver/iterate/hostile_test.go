package iterate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/limit"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// evilAddr serves evil.example., whatever a case makes of it.
var evilAddr = netip.MustParseAddr("192.0.2.66")

// repeat joins n lines made from their number.
func repeat(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, strings.ReplaceAll(line, "#", "%[1]d"), i)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestWalker_staysCheap(t *testing.T) {
	tests := []struct {
		name     string
		evil     string // zone text of evil.example.
		harm     func(n *sim.Internet)
		question string
		most     int // exchanges
		within   time.Duration
	}{
		{
			"100 servers without glue in a victim's zone (NXNS)",
			repeat(100, "sub NS ns#.one.example."), nil,
			"www.sub.evil.example. A", 20, time.Second,
		},
		{
			"1,500 servers without glue in a victim's zone (NXNS)",
			repeat(1500, "sub NS ns#.one.example."), nil,
			"www.sub.evil.example. A", 20, time.Second,
		},
		{
			"100 servers with long names in a victim's zone (NXNS)",
			repeat(100, "sub NS a.b.c.d.e.f.g.ns#.one.example."), nil,
			"www.sub.evil.example. A", 20, time.Second,
		},
		{
			"200 servers in a silent zone (NRDelegation)",
			repeat(200, "sub NS ns#.one.example."),
			func(n *sim.Internet) { n.Drop(oneAddr, oneAddr6) },
			"www.sub.evil.example. A", 20, 4500 * time.Millisecond,
		},
		{
			"10 servers on the same 20 silent addresses",
			repeat(10, "sub NS ns#.sub") + sharedGlue(10, 20), nil,
			"www.sub.evil.example. A", 20, 7 * time.Second,
		},
		{
			"an endless chain of aliases",
			"", func(n *sim.Internet) { n.Spoof(evilAddr, endlessAliases) },
			"c0.evil.example. A", 15, time.Second,
		},
		{
			"aliases, each to a zone with servers that do not exist (CAMP)",
			"", func(n *sim.Internet) { n.Spoof(evilAddr, camp) },
			"c.z0.evil.example. A", 60, 4500 * time.Millisecond,
		},
		{
			"two zones whose servers lie in each other",
			"", nil,
			"www.cycle1.example. A", 10, time.Second,
		},
		{
			"a name of 120 labels",
			"", nil,
			strings.Repeat("a.", 118) + "evil.example. A", 16, time.Second,
		},
		{
			"a name of 120 labels below a server that answers by streams only",
			strings.Repeat("a.", 117) + "a A 192.0.2.80", func(n *sim.Internet) { n.Truncate(evilAddr) },
			strings.Repeat("a.", 118) + "evil.example. A", 7, time.Second,
		},
		{
			"a server that refers to itself, up and sideways for ever",
			"", func(n *sim.Internet) {
				n.Spoof(evilAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					honest.Authoritative, honest.Answer, honest.Rcode = false, nil, dns.RcodeSuccess
					honest.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "evil.example.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.evil.example."}}
					return honest
				})
			},
			"www.evil.example. A", 6, time.Second,
		},
		{
			"a server that cuts streams too",
			"", func(n *sim.Internet) {
				n.Spoof(evilAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					honest.Truncated = true
					return honest
				})
			},
			"www.evil.example. A", 8, time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, tld := testInternetAndTLD()
				tld.Add("evil NS ns.evil\nns.evil A 192.0.2.66\n")
				n.Zone("evil.example.", "@ NS ns\nns A 192.0.2.66\n"+tt.evil, evilAddr)
				if tt.harm != nil {
					tt.harm(n)
				}
				w := mustWalker(t, n, nil)
				began := time.Now()
				got := mustAsk(t, w, tt.question)
				t.Logf("%d exchanges, %v: %.120s", n.Exchanges(), time.Since(began), got)
				if n.Exchanges() > tt.most {
					t.Errorf("%d exchanges, want %d at most", n.Exchanges(), tt.most)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("took %v, want %v at most", took, tt.within)
				}
				if got := len(n.Asked(oneAddr)) + len(n.Asked(oneAddr6)); got > 15 {
					t.Errorf("the victim was asked %d times, want 15 at most", got)
				}
			})
		})
	}
}

// sharedGlue gives each of so many servers the same silent addresses.
func sharedGlue(servers, addresses int) string {
	var b strings.Builder
	for s := range servers {
		for a := range addresses {
			fmt.Fprintf(&b, "ns%d.sub A 198.51.100.%d\n", s, a)
		}
	}
	return b.String()
}

// mustRR reads one record.
func mustRR(format string, args ...any) dns.RR {
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic("iterate: " + err.Error())
	}
	return rr
}

// endlessAliases makes each cN an alias of the next.
func endlessAliases(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	name := q.Question[0].Name
	if _, err := fmt.Sscanf(name, "c%d.", &n); err == nil {
		honest.Rcode, honest.Ns = dns.RcodeSuccess, nil
		honest.Answer = []dns.RR{mustRR("%s CNAME c%d.evil.example.", name, n+1)}
	}
	return honest
}

// camp makes each c.zN an alias of the next, and refers to each zN with nine
// servers, of which only the last exists.
func camp(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	name := q.Question[0].Name
	labels := dns.SplitDomainName(name)
	if len(labels) < 3 {
		return honest
	}
	if _, err := fmt.Sscanf(labels[len(labels)-3], "z%d", &n); err != nil {
		return honest
	}
	honest.Rcode, honest.Ns, honest.Answer = dns.RcodeSuccess, nil, nil
	if labels[0] == "c" {
		honest.Answer = []dns.RR{mustRR("%s CNAME c.z%d.evil.example.", name, n+1)}
		return honest
	}
	honest.Authoritative = false
	for i := range 8 {
		honest.Ns = append(honest.Ns, mustRR("z%d.evil.example. NS ns%d-%d.two.example.", n, n, i))
	}
	honest.Ns = append(honest.Ns, mustRR("z%d.evil.example. NS ns.evil.example.", n))
	honest.Extra = append(honest.Extra, mustRR("ns.evil.example. A 192.0.2.66"))
	return honest
}

func TestWalker_paysForRecalledAliases(t *testing.T) {
	// Asked from the end, each step would find the rest of the chain in the cache.
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add("evil NS ns.evil\nns.evil A 192.0.2.66\nevil2 NS ns.evil2\nns.evil2 A 192.0.2.67\n")
		n.Zone("evil.example.", repeat(20, "c# CNAME c#.evil2.example."), evilAddr)
		var back strings.Builder
		for i := range 20 {
			fmt.Fprintf(&back, "c%d CNAME c%d.evil.example.\n", i, i+1)
		}
		n.Zone("evil2.example.", back.String(), netip.MustParseAddr("192.0.2.67"))
		w := mustWalker(t, n, nil)
		for i := 20; i >= 14; i-- { // c20 does not exist; six pairs of aliases lead there
			q := mustQuestion(t, fmt.Sprintf("c%d.evil.example. A", i))
			a, err := w.Lookup(t.Context(), q, NewBudget())
			if failed := err != nil; failed != (i == 14) {
				t.Fatalf("c%d: error %v", i, err)
			}
			if err == nil {
				w.store.Cache.Put(a)
			}
		}
		if got := w.Stats().Limits["aliases"]; got != 1 {
			t.Errorf("the limit was counted %d times", got)
		}
	})
}

func TestWalker_boundsNesting(t *testing.T) {
	// Each zone's only server lies in the next one; the last one has glue.
	const deep = limit.MaxDepth + 2 // the last two zones need no question of their own
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		for i := range deep {
			tld.Add(fmt.Sprintf("n%d NS ns.n%d\n", i, i+1))
			n.Zone(fmt.Sprintf("n%d.example.", i), "www A 192.0.2.80\nns A 192.0.2.66\n", evilAddr)
		}
		last := fmt.Sprintf("n%d", deep)
		tld.Add(last + " NS ns." + last + "\nns." + last + " A 192.0.2.66\n")
		n.Zone(last+".example.", "ns A 192.0.2.66\n", evilAddr)
		w := mustWalker(t, n, nil)
		if got, want := mustAsk(t, w, "www.n0.example. A"), "error 22 no address for the servers of n0.example."; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := w.Stats().Limits["nesting"]; got == 0 {
			t.Error("the limit was not counted")
		}
		if got, want := mustAsk(t, w, "www.n1.example. A"), "NOERROR; www.n1.example. 3600 A 192.0.2.80"; got != want {
			t.Errorf("one zone less: got %s, want %s", got, want)
		}
	})
}

func TestWalker_triesFewConnections(t *testing.T) {
	// Each server of the zone cuts every datagram, and breaks off every stream
	// (CVE-2023-46317).
	const servers, most = 12, 4
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add(repeat(servers, "evil NS ns#.evil") + repeat(servers, "ns#.evil A 198.51.100.#"))
		for i := range servers {
			addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			n.Zone("evil.example.", "www A 192.0.2.80\n", addr)
			n.Truncate(addr)
			n.NoStream(addr)
		}
		w := mustWalker(t, n, nil)
		if got, want := mustAsk(t, w, "www.evil.example. A"), "error 22 6 of 10 tries at evil.example. failed with: truncated, and no connection left to try"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := w.Stats().Streams; got != most {
			t.Errorf("%d connections, want %d", got, most)
		}
	})
}
