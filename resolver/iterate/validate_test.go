package iterate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/resolver/denial"
	"proxima/resolver/trust"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// secured are Options that begin a chain of trust at the root of n.
func secured(n *sim.Internet) func(*Options) {
	return func(o *Options) { o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}} }
}

// mustProve resolves s and returns its summary, and whether it is secure.
func mustProve(t testing.TB, w *Walker, s string) (string, bool) {
	t.Helper()
	got := mustAsk(t, w, s)
	a, err := w.Lookup(t.Context(), mustQuestion(t, s), NewBudget())
	return got, err == nil && a.Security() == cache.Secure
}

func TestWalker_Lookup_validates(t *testing.T) {
	tests := []struct {
		name     string
		question string
		want     string
		secure   bool
	}{
		{"an answer two zones below the root", "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80", true},
		{"the root's keys", ". NS", "NOERROR; . 3600 NS a.root-servers.example.", true},
		{"an alias into another zone", "alias.one.example. A", "NOERROR; alias.one.example. 30 CNAME www.two.example.; www.two.example. 60 A 192.0.2.90", true},
		{"an alias to nothing", "dangling.one.example. A", "NXDOMAIN; dangling.one.example. 3600 CNAME nothing.two.example.; soa two.example. 300", true},
		{"a DNAME with its CNAME", "deep.old.one.example. A", "NOERROR; old.one.example. 3600 DNAME new.two.example.; deep.old.one.example. 3600 CNAME deep.new.two.example.; deep.new.two.example. 60 A 192.0.2.91", true},
		{"no such name", "none.one.example. A", "NXDOMAIN; soa one.example. 300", true},
		{"no such type", "www.one.example. MX", "NOERROR; soa one.example. 300", true},
		{"no such top-level domain", "www.none. A", "NXDOMAIN; soa . 300", true},
		{"an empty name", "non.terminal.example. A", "NOERROR; soa example. 300", true},
		{"DS of an insecure zone", "lost.example. DS", "NOERROR; soa example. 300", true},
		{"a loop of aliases", "loop.one.example. A", "error 0 work limit: alias loop", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				got, secure := mustProve(t, mustWalker(t, n, secured(n)), tt.question)
				if got != tt.want || secure != tt.secure {
					t.Errorf("got  %s, %t\nwant %s, %t", got, secure, tt.want, tt.secure)
				}
			})
		})
	}
}

// signedInternet has a signed root and example., and below example.: one., which
// is signed and has a second server; bare., which is not; hidden. and open.,
// signed and not, on the servers of example.; and strange., signed by an unknown
// algorithm.
func signedInternet() *sim.Internet {
	n := sim.New(1)
	n.RoundTrip(10 * time.Millisecond)
	zones := []*sim.Zone{
		n.Zone(".", `
@ NS a.root-servers.example.
a.root-servers.example. A 192.0.2.1
example. NS ns.example.
ns.example. A 192.0.2.2
`, rootAddr),
		n.Zone("example.", `
@ NS ns
ns A 192.0.2.2
a.root-servers A 192.0.2.1
one NS ns.one
one NS ns2.one
ns.one A 192.0.2.11
ns2.one A 192.0.2.12
bare NS ns.bare
ns.bare A 192.0.2.99
hidden NS ns
open NS ns
strange NS ns.bare
strange 3600 DS 1 200 2 0000000000000000000000000000000000000000000000000000000000000000
old DNAME one.example.
*.wild A 192.0.2.83
empty.non.terminal A 192.0.2.84
`, tldAddr),
		n.Zone("one.example.", `
@ NS ns
@ NS ns2
ns A 192.0.2.11
ns2 A 192.0.2.12
www 60 A 192.0.2.80
to-bare 60 CNAME www.bare.example.
to-hidden 60 CNAME www.hidden.example.
*.wild 60 A 192.0.2.81
`, oneAddr, twoAddr),
		n.Zone("hidden.example.", "@ NS ns.example.\nwww 60 A 192.0.2.82\n", tldAddr),
		n.Zone("below.hidden.example.", "@ NS ns.example.\nwww 60 A 192.0.2.85\n", tldAddr),
	}
	n.Zone("open.example.", "@ NS ns.example.\nwww 60 A 192.0.2.86\nto-one 60 CNAME www.one.example.\n", tldAddr)
	n.Zone("bare.example.", "@ NS ns\nns A 192.0.2.99\nwww 60 A 192.0.2.90\nto-one 60 CNAME www.one.example.\n", otherAddr)
	n.Zone("strange.example.", "@ NS ns.bare.example.\nwww 60 A 192.0.2.91\n", otherAddr)
	zones[3].Add("below NS ns.example.")
	for _, z := range zones {
		z.Sign()
	}
	return n
}

func TestWalker_Lookup_findsTheZoneOfEachRecord(t *testing.T) {
	tests := []struct {
		name     string
		question string
		want     string
		secure   bool
	}{
		{"a signed zone", "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80", true},
		{"a zone without DS", "www.bare.example. A", "NOERROR; www.bare.example. 60 A 192.0.2.90", false},
		{"a denial of a zone without DS", "no.bare.example. A", "NXDOMAIN; soa bare.example. 300", false},
		{"an alias out of trust", "to-bare.one.example. A", "NOERROR; to-bare.one.example. 60 CNAME www.bare.example.; www.bare.example. 60 A 192.0.2.90", false},
		{"an alias into trust", "to-one.bare.example. A", "NOERROR; to-one.bare.example. 60 CNAME www.one.example.; www.one.example. 60 A 192.0.2.80", false},
		{"a zone on its parent's server", "www.hidden.example. A", "NOERROR; www.hidden.example. 60 A 192.0.2.82", true},
		{"two zones on their parent's server", "www.below.hidden.example. A", "NOERROR; www.below.hidden.example. 60 A 192.0.2.85", true},
		{"a denial there", "no.below.hidden.example. A", "NXDOMAIN; soa below.hidden.example. 300", true},
		{"the other type there", "www.below.hidden.example. MX", "NOERROR; soa below.hidden.example. 300", true},
		{"the keys there", "hidden.example. SOA", "NOERROR; hidden.example. 3600 SOA ns.hidden.example. hostmaster.hidden.example. 1 7200 3600 1209600 300", true},
		{"a zone without DS on its parent's server", "www.open.example. A", "NOERROR; www.open.example. 60 A 192.0.2.86", false},
		{"a denial there, too", "no.open.example. A", "NXDOMAIN; soa open.example. 300", false},
		{"the DS of a zone on its parent's server", "open.example. DS", "NOERROR; soa example. 300", true},
		{"a zone of an algorithm that nobody knows", "www.strange.example. A", "NOERROR; www.strange.example. 60 A 192.0.2.91", false},
		{"a wildcard", "a.wild.one.example. A", "NOERROR; a.wild.one.example. 60 A 192.0.2.81", true},
		{"a wildcard's other type", "a.wild.one.example. MX", "NOERROR; soa one.example. 300", true},
		{"an empty name", "non.terminal.example. A", "NOERROR; soa example. 300", true},
		{"a DNAME", "www.old.example. A", "NOERROR; old.example. 3600 DNAME one.example.; www.old.example. 3600 CNAME www.one.example.; www.one.example. 60 A 192.0.2.80", true},
		{"an alias to a zone on its parent's server", "to-hidden.one.example. A", "NOERROR; to-hidden.one.example. 60 CNAME www.hidden.example.; www.hidden.example. 60 A 192.0.2.82", true},
		{"the root's DS", ". DS", "NOERROR; soa . 300", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				got, secure := mustProve(t, mustWalker(t, n, secured(n)), tt.question)
				if got != tt.want || secure != tt.secure {
					t.Errorf("got  %s, %t\nwant %s, %t", got, secure, tt.want, tt.secure)
				}
			})
		})
	}
}

func TestWalker_Lookup_answersFromWhatIsDenied(t *testing.T) {
	tests := []struct {
		name          string
		first, second string
		want          string // of the second
		exchanges     int    // for the second
	}{
		{"a name beside one that does not exist", "n1.one.example. A", "n2.one.example. A", "NXDOMAIN; soa one.example. 300", 0},
		{"a name below it", "n1.one.example. A", "a.n1.one.example. A", "NXDOMAIN; soa one.example. 300", 0},
		{"another type", "www.one.example. MX", "www.one.example. TXT", "NOERROR; soa one.example. 300", 0},
		{"another name of a wildcard", "a.wild.one.example. A", "b.wild.one.example. A", "NOERROR; b.wild.one.example. 60 A 192.0.2.81", 0},
		{"another top-level domain", "www.none. A", "www.nono. A", "NXDOMAIN; soa . 300", 0},
		{"not of a zone that proves nothing", "n1.bare.example. A", "n2.bare.example. A", "NXDOMAIN; soa bare.example. 300", 1},
		{"not what is there", "n1.one.example. A", "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				denials, err := denial.New(denial.Options{})
				if err != nil {
					t.Fatal(err)
				}
				w := mustWalker(t, n, func(o *Options) {
					secured(n)(o)
					o.Trust.Denials = denials
				})
				mustAsk(t, w, tt.first)
				before := n.Exchanges()
				if got := mustAsk(t, w, tt.second); got != tt.want || n.Exchanges()-before != tt.exchanges {
					t.Errorf("got %s after %d exchanges, want %s after %d", got, n.Exchanges()-before, tt.want, tt.exchanges)
				}
			})
		})
	}
}

func TestWalker_Lookup_isASentinel(t *testing.T) {
	tests := []struct {
		name  string
		label string // %05d is the tag of the root's key
		typ   string
		want  string
	}{
		{"is it trusted? it is", "root-key-sentinel-is-ta-%05d", "A", "NOERROR"},
		{"is it not? it is", "root-key-sentinel-not-ta-%05d", "A", "error 0"},
		{"is another? it is not", "root-key-sentinel-is-ta-00001", "A", "error 0"},
		{"is another not? so it is", "root-key-sentinel-not-ta-00001", "A", "NOERROR"},
		{"of other types it is no question", "root-key-sentinel-is-ta-00001", "TXT", "NOERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				label := strings.ReplaceAll(tt.label, "%05d", fmt.Sprintf("%05d", n.Anchor().KeyTag))
				w := mustWalker(t, n, secured(n))
				if got := mustAsk(t, w, label+".wild.example. "+tt.typ); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestWalker_tellsTheRootWhichKeyItTrusts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		var told []string
		note := func(q, honest *dns.Msg, _ bool) *dns.Msg {
			for _, o := range q.IsEdns0().Option {
				told = append(told, fmt.Sprintf("%s %d %x", q.Question[0].Name, o.Option(), o.(*dns.EDNS0_LOCAL).Data))
			}
			return honest
		}
		n.Spoof(rootAddr, note)
		n.Spoof(tldAddr, note)
		mustAsk(t, mustWalker(t, n, secured(n)), "www.one.example. A")
		if want := fmt.Sprintf(". 14 %04x", n.Anchor().KeyTag); len(told) != 1 || told[0] != want {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestWalker_Lookup_forgetsWithTheException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		w := mustWalker(t, n, func(o *Options) {
			secured(n)(o)
			o.Stale = time.Hour
			o.Trust.Exceptions = []trust.Exception{{Zone: "one.example", Until: time.Now().Add(20 * time.Second)}}
		})
		a, err := w.Lookup(t.Context(), mustQuestion(t, "www.one.example. A"), NewBudget())
		if err != nil {
			t.Fatal(err)
		}
		if at := time.Now().Add(20 * time.Second); a.State(at) != cache.Dead {
			t.Errorf("it is %v when the exception ends, and expires in %v", a.State(at), time.Until(a.Expires()))
		}
	})
}

func TestWalker_Lookup_trustsNoConfiguredZoneWithoutItsDS(t *testing.T) {
	// Who keeps the question for the DS from being answered must not turn
	// validation off.
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		n.Drop(rootAddr, rootAddr6, tldAddr, tldAddr6)
		w := mustWalker(t, n, func(o *Options) {
			secured(n)(o)
			o.Zones = []Zone{{Name: "one.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(oneAddr, 53)}}}
		})
		const want = "error 22 nobody says whether the configured zone is signed"
		if got := mustAsk(t, w, "www.one.example. A"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		before := n.Exchanges()
		if got := mustAsk(t, w, "ns.one.example. A"); got != want || n.Exchanges() > before {
			t.Errorf("the next name: got %s after %d exchanges, want none", got, n.Exchanges()-before)
		}
		n.Heal(rootAddr, rootAddr6, tldAddr, tldAddr6)
		time.Sleep(minFailureLife)
		if got, secure := mustProve(t, w, "www.one.example. A"); !secure {
			t.Errorf("healed: got %s", got)
		}
	})
}
