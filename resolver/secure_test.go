package resolver

import (
	"testing"
	"testing/synctest"
	"time"

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
