package iterate

import (
	"testing"
	"testing/synctest"

	"proxima/cache"
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
