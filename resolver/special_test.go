package resolver

import (
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
)

func TestResolver_asksNobodyAboutSpecialNames(t *testing.T) {
	tests := []struct {
		name string
		ask  string
		want string
	}{
		{"an alias of an onion", "onion.example. A", "NXDOMAIN; onion.example. 60 IN CNAME hidden.onion.; soa onion."},
		{"an alias of a private address's name", "reverse.example. PTR", "NXDOMAIN; reverse.example. 60 IN CNAME 1.0.0.10.in-addr.arpa.; soa 10.in-addr.arpa."},
		{"an alias of localhost", "local.example. A", "NOERROR; local.example. 60 IN CNAME localhost.; localhost. 10800 IN A 127.0.0.1"},
		{"a server with a special name", "www.sub.example. A", "SERVFAIL EDE 22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith(`
onion 60 CNAME hidden.onion.
reverse 60 CNAME 1.0.0.10.in-addr.arpa.
local 60 CNAME localhost.
sub NS ns.printer.local.
`)
				r := mustResolver(t, n)
				if got := mustAnswer(t, r, tt.ask); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				for _, q := range n.Asked(rootAddr) {
					if q.Name != "." && !dns.IsSubDomain("example.", q.Name) {
						t.Errorf("the root was asked about %s", q.Name)
					}
				}
			})
		})
	}
}
