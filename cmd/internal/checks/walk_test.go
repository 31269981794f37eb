package checks

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/bgpctl/check"
	"proxima/cache"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/resolver/trust"
	"proxima/test/sim"
)

// mustWalk returns parts with a walker over an Internet with a signed zone, one
// that is not signed, and one whose DS is another's.
func mustWalk(t *testing.T) Parts {
	t.Helper()
	root, good, plain, bad := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")
	n := sim.New(1)
	zone := func(name string, at netip.Addr) *sim.Zone {
		return n.Zone(name, "@ 300 IN SOA ns hostmaster 1 2 3 4 5\n@ 300 IN NS ns\nns 300 IN A "+at.String()+"\n", at)
	}
	r := n.Zone(".", "@ 300 IN SOA ns. hostmaster. 1 2 3 4 5\n@ 300 IN NS ns.\nns. 300 IN A 192.0.2.1\n"+
		"good. 300 IN NS ns.good.\nns.good. 300 IN A 192.0.2.2\nplain. 300 IN NS ns.plain.\nns.plain. 300 IN A 192.0.2.3\n"+
		"bad. 300 IN NS ns.bad.\nns.bad. 300 IN A 192.0.2.4\n", root)
	zone("good.", good).Sign()
	zone("plain.", plain)
	zone("bad.", bad)
	r.Vouch("good.")
	r.Add("bad. 300 IN DS 1 13 2 " + strings.Repeat("AB", 32) + "\n")
	r.Sign()
	store, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w, err := iterate.New(iterate.Options{
		Exchanger: n, Selection: selection.New(0), Cache: store, IPv4: true,
		Hints: []anchor.Server{{Name: "ns.", Addrs: []netip.Addr{root}}},
		Trust: trust.Options{Anchors: []*dns.DS{n.Anchor()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Parts{Walker: w}
}

func TestParts_judge(t *testing.T) {
	p := mustWalk(t)
	for name, want := range map[string]check.Verdict{
		"good.": check.Secure, "gone.good.": check.Absent, "plain.": check.Insecure, "gone.plain.": check.Unjudged, "bad.": check.Bogus,
	} {
		if got := p.judge(t.Context(), name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestParts_window(t *testing.T) {
	p := mustWalk(t)
	now := time.Now()
	if w := p.window(t.Context(), "good."); !w.From.Before(now) || !w.To.After(now) {
		t.Errorf("the signature of good. is valid from %v to %v, and not now", w.From, w.To)
	}
	if w := p.window(t.Context(), "plain."); w != (check.Window{}) {
		t.Errorf("the signature of a zone without any is valid from %v to %v", w.From, w.To)
	}
}

func TestParts_askAnew(t *testing.T) {
	p := mustWalk(t)
	for _, name := range []string{"www.good.", "www.plain.", "www.bad.", "nowhere."} {
		if err := p.askAnew(t.Context(), name); err != nil {
			t.Errorf("%s: %v, although its zone said something", name, err)
		}
	}
}
