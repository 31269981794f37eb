package iterate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxima/cache"
	"proxima/resolver/anchor"
	"proxima/resolver/selection"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

var (
	rootAddr  = netip.MustParseAddr("192.0.2.1")
	rootAddr6 = netip.MustParseAddr("2001:db8::1")
	tldAddr   = netip.MustParseAddr("192.0.2.2")
	tldAddr6  = netip.MustParseAddr("2001:db8::2")
	oneAddr   = netip.MustParseAddr("192.0.2.11")
	oneAddr6  = netip.MustParseAddr("2001:db8::11")
	twoAddr   = netip.MustParseAddr("192.0.2.12")
	otherAddr = netip.MustParseAddr("192.0.2.99")
)

// testInternet has a root, example., one.example. on two addresses with glue,
// and two.example. whose only server lies in one.example.
func testInternet() *sim.Internet {
	n, _ := testInternetAndTLD()
	return n
}

// testInternetAndTLD returns example. too, so that it can be changed.
func testInternetAndTLD() (n *sim.Internet, tld *sim.Zone) {
	n = sim.New(1)
	n.RoundTrip(10 * time.Millisecond)
	n.Zone(".", `
@ NS a.root-servers.example.
a.root-servers.example. A 192.0.2.1
example. NS ns.example.
ns.example. A 192.0.2.2
ns.example. AAAA 2001:db8::2
`, rootAddr, rootAddr6)
	tld = n.Zone("example.", `
$TTL 3600
@ 600 SOA ns hostmaster 1 7200 3600 1209600 300
@ NS ns
ns A 192.0.2.2
ns AAAA 2001:db8::2
a.root-servers A 192.0.2.1
one 900 NS ns.one
ns.one A 192.0.2.11
ns.one AAAA 2001:db8::11
two NS ns2.one
lost NS ns.nowhere
cycle1 NS ns.cycle2
cycle2 NS ns.cycle1
empty.non.terminal 3600 A 192.0.2.83
`, tldAddr, tldAddr6)
	n.Zone("one.example.", `
@ 600 SOA ns hostmaster 1 7200 3600 1209600 300
@ 3600 NS ns
ns A 192.0.2.11
ns AAAA 2001:db8::11
ns2 A 192.0.2.12
www 60 A 192.0.2.80
alias 30 CNAME www.two.example.
hop 3600 CNAME alias
dangling 3600 CNAME nothing.two.example.
loop 3600 CNAME loop.two.example.
self 3600 CNAME self
old 3600 DNAME new.two.example.
long 3600 DNAME `+strings.Repeat(strings.Repeat("x", 60)+".", 3)+`two.example.
big 3600 TXT `+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 6)+`
deeper 86400 NS ns.deeper
ns.deeper 86400 A 192.0.2.99
forever 4294967295 A 192.0.2.80
long-lived 999999 A 192.0.2.80
`, oneAddr, oneAddr6)
	n.Zone("deeper.one.example.", "www 60 A 192.0.2.80\n", otherAddr)
	n.Zone("two.example.", `
@ NS ns2.one.example.
www 60 A 192.0.2.90
www 60 AAAA 2001:db8::90
loop CNAME loop.one.example.
deep.new 60 A 192.0.2.91
a.very.deep.name.of.many.more.labels.than.ten.in.all 60 A 192.0.2.92
`, twoAddr)
	return n, tld
}

// mustWalker returns a walker for the internet; change may alter its options.
func mustWalker(t testing.TB, n Exchanger, change func(*Options)) *Walker {
	t.Helper()
	store, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Exchanger: n, Selection: selection.New(0), Cache: store,
		Hints: []anchor.Server{{Name: "a.root-servers.example.", Addrs: []netip.Addr{rootAddr}}},
		Rand:  rand.New(rand.NewPCG(1, 2)),
	}
	if change != nil {
		change(&o)
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mustQuestion reads "www.example. A".
func mustQuestion(t testing.TB, s string) dns.Question {
	t.Helper()
	name, typ, _ := strings.Cut(s, " ")
	return dns.Question{Name: name, Qtype: dns.StringToType[typ], Qclass: dns.ClassINET}
}

// mustAsk resolves s and returns a one-line summary of the answer or error.
func mustAsk(t testing.TB, w *Walker, s string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
	defer cancel()
	a, err := w.Lookup(ctx, mustQuestion(t, s), NewBudget())
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("error %v (%T) is no *Error", err, err)
		}
		return "error " + fmt.Sprint(e.Code) + " " + e.Reason
	}
	return summary(t, a)
}

// summary is the rcode, then the records of the answer section without class
// and signatures, and the TTL of the SOA in the authority section.
func summary(t testing.TB, a *cache.Answer) string {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(a.Packet()); err != nil {
		t.Fatal(err)
	}
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			s := strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " ")
			out = append(out, s)
		}
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			out = append(out, fmt.Sprintf("soa %s %d", soa.Hdr.Name, soa.Hdr.Ttl))
		}
	}
	return strings.Join(out, "; ")
}
