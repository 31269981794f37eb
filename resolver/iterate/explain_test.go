package iterate

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/record"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// mustExplain asks and returns what is told of it.
func mustExplain(t testing.TB, w *Walker, question string, purse *Budget) string {
	t.Helper()
	q := mustQuestion(t, question)
	note := record.Begin(q.Name, dns.Type(q.Qtype).String(), clock.Now)
	_, _ = w.Explain(t.Context(), q, purse, note, false)
	var b strings.Builder
	if err := note.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWalker_Explain(t *testing.T) {
	tests := []struct {
		name     string
		harm     func(n *sim.Internet)
		question string
		want     []string // in this order
	}{
		{"zones, servers without glue, the answer", nil, "www.two.example. A", []string{
			"www.two.example. A  (asked)",
			"ask      192.0.2.1:53 . NS over udp: NOERROR",
			"zone     . (hints or priming), 1 servers, 1 addresses known, insecure, lease ",
			"ask      192.0.2.1:53 example. A over udp: NOERROR, 0+1+3 records, ",
			"worth  referral to example.",
			"zone     example. (referral), 1 servers, 2 addresses known, unchecked, lease 1h0m0s",
			"zone     two.example. (referral), 1 servers, 0 addresses known, unchecked",
			"ns2.one.example. A  (address of a server of two.example.)",
			"zone     example. (memory)",
			"end      NOERROR, insecure, after 20ms",
			"ns2.one.example. 3600 IN A 192.0.2.12",
			"ask      192.0.2.12:53 www.two.example. A over udp: NOERROR, 1+0+1 records",
			"worth  answer",
			"end      NOERROR, insecure, after ",
			"www.two.example. 60 IN A 192.0.2.90",
		}},
		{"an alias", nil, "alias.one.example. A", []string{
			"worth  alias of www.two.example.",
			"www.two.example. A  (what alias.one.example. is an alias of)",
			"end      NOERROR", "alias.one.example. 30 IN CNAME www.two.example.",
		}},
		{"silence", func(n *sim.Internet) { n.Drop(oneAddr, oneAddr6) }, "www.one.example. A", []string{": no reply, 400ms", "end      SERVFAIL, EDE 22"}},
		{"a server that knows no EDNS", func(n *sim.Internet) { n.NoEDNS(oneAddr, oneAddr6) }, "www.one.example. A", []string{
			"over udp: FORMERR", "over udp without EDNS: NOERROR", "worth  answer", "end      NOERROR",
		}},
		{"a limit", nil, "self.one.example. A", []string{"limit    alias loop", "end      SERVFAIL, EDE 0, self.one.example.: work limit: alias loop"}},
		{"a lame server", func(n *sim.Internet) { n.Refuse(oneAddr, oneAddr6) }, "www.one.example. A", []string{
			"REFUSED", "worth  lame: REFUSED", "end      SERVFAIL, EDE 22"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				if tt.harm != nil {
					tt.harm(n)
				}
				mustTell(t, mustExplain(t, mustWalker(t, n, nil), tt.question, NewBudget()), tt.want)
			})
		})
	}
}

// mustTell fails unless the texts are in what was told, in this order.
func mustTell(t testing.TB, got string, want []string) {
	t.Helper()
	rest := got
	for _, w := range want {
		_, after, found := strings.Cut(rest, w)
		if !found {
			t.Fatalf("%q is not where it should be in\n%s", w, got)
		}
		rest = after
	}
}

func TestWalker_Explain_proofsStandBelowWhatTheyProve(t *testing.T) {
	tests := []struct {
		name, question string
		want           []string
	}{
		{"an answer", "www.one.example. A", []string{
			"ask      192.0.2.11:53 www.one.example. A over udp: NOERROR",
			"\n  one.example. DNSKEY  (to prove what www.one.example. came to)\n",
			" one.example. DNSKEY over udp: NOERROR", "\n       70ms    worth  answer\n       70ms  end      NOERROR, after ", " IN DNSKEY ",
			"\n     70ms    worth  answer\n     70ms  end      NOERROR, secure, after ", "www.one.example. 60 IN A 192.0.2.80\n",
		}},
		{"signatures that were asked for", "www.one.example. RRSIG", []string{"  end      NOERROR, ", " IN RRSIG A "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				mustTell(t, mustExplain(t, mustWalker(t, n, secured(n)), tt.question, NewBudget()), tt.want)
			})
		})
	}
}

func TestWalker_Explain_namesTheLimits(t *testing.T) {
	poor := NewBudget()
	poor.Work = new(dnssec.Work)
	breaks := NewBudget()
	breaks.Breaks = 0
	tests := []struct {
		name string
		harm func(n *sim.Internet, w *Walker)
		b    *Budget
		want string
	}{
		{"nothing left to verify with", nil, poor, "limit    work limit: digests\n"},
		{"no seat at a server", func(_ *sim.Internet, w *Walker) {
			for range serverSeats {
				w.serverSeats.Take(oneAddr)
				w.serverSeats.Take(oneAddr6)
			}
		}, NewBudget(), "limit    questions at one server, 192.0.2.11\n"},
		{"no seat at a zone", func(_ *sim.Internet, w *Walker) {
			for range zoneSeats {
				w.zoneSeats.Take("one.example.")
			}
		}, NewBudget(), "limit    questions at one zone\n"},
		{"a connection that comes to nothing", func(n *sim.Internet, _ *Walker) {
			n.Truncate(oneAddr, oneAddr6)
			n.NoStream(oneAddr, oneAddr6)
		}, NewBudget(), "limit    a connection that came to nothing is not tried again\n"},
		{"no connection left", func(n *sim.Internet, _ *Walker) { n.Truncate(oneAddr, oneAddr6) }, breaks,
			"limit    connections that came to nothing\n"},
		{"silence", func(n *sim.Internet, _ *Walker) { n.Drop(tldAddr, tldAddr6) }, NewBudget(), "limit    tries for one question: 3\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				w := mustWalker(t, n, secured(n))
				if tt.harm != nil {
					tt.harm(n, w)
				}
				mustTell(t, mustExplain(t, w, "www.one.example. A", tt.b), []string{tt.want})
			})
		})
	}
}

func TestServers_tellThatThereAreMore(t *testing.T) {
	s := servers{t: &task{w: mustWalker(t, testInternet(), nil)}, cut: &Cut{}}
	addr := netip.MustParseAddr("198.51.100.1")
	for range maxZoneAddresses {
		s.add([]netip.AddrPort{netip.AddrPortFrom(addr, 53)})
		addr = addr.Next()
	}
	s.add(s.addrs[:1])
	if s.cropped {
		t.Errorf("%d addresses are too many, want one more", len(s.addrs))
	}
	if s.add([]netip.AddrPort{netip.AddrPortFrom(addr, 53)}); !s.cropped || len(s.addrs) != maxZoneAddresses {
		t.Errorf("%d addresses, cropped %t, after one more", len(s.addrs), s.cropped)
	}
}
