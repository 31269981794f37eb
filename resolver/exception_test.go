package resolver

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/iterate"
	"proxima/resolver/trust"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// exceptionLife is how long the Exceptions of TestResolver_endsWithTheException
// stand. It is shorter than all TTLs.
const exceptionLife = 50 * time.Second

// exceptionInternet has zones that lie: www.example. and www.sub.example. have a
// forged address, and an alias in other. leads to the first.
func exceptionInternet() *sim.Internet {
	n := sim.New(1)
	n.RoundTrip(10 * time.Millisecond)
	n.Zone(".", "@ 86400 NS a.root-servers.example.\na.root-servers.example. 86400 A 192.0.2.1\nexample. NS ns.example.\nns.example. A 192.0.2.2\n", rootAddr)
	n.Zone("example.", "@ NS ns\nns A 192.0.2.2\nwww 3600 A 192.0.2.80\nbad NS ns\nopen NS ns\nsub NS ns.sub\nns.sub A 192.0.2.99\n", tldAddr)
	n.Zone("sub.example.", "@ NS ns\nns A 192.0.2.99\nwww 3600 A 192.0.2.80\n", otherAddr)
	n.Zone("other.", "@ NS ns\nns A 192.0.2.99\nalias 3600 CNAME www.example.\n", otherAddr)
	n.Zone("bad.example.", "@ NS ns.example.\nalias 3600 CNAME www.open.example.\n", tldAddr)
	n.SignAll()
	n.Zone("open.example.", "@ NS ns.example.\nwww 3600 A 192.0.2.90\n", tldAddr)
	n.Spoof(tldAddr, lie)
	n.Spoof(otherAddr, lie)
	return n
}

// lie changes addresses of signed names, and follows an alias without signing it.
func lie(_, honest *dns.Msg, _ bool) *dns.Msg {
	if honest == nil {
		return nil
	}
	for _, rr := range honest.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			if rr.Hdr.Name == "www.example." || rr.Hdr.Name == "www.sub.example." {
				rr.A = []byte{192, 0, 2, 66}
			}
		case *dns.CNAME:
			if rr.Hdr.Name == "alias.bad.example." {
				open, _ := dns.NewRR("www.open.example. 3600 IN A 192.0.2.90")
				honest.Answer = []dns.RR{rr, open}
				return honest
			}
		}
	}
	return honest
}

func TestResolver_endsWithTheException(t *testing.T) {
	const bogus = "SERVFAIL EDE 6"
	to := func(zone string, at netip.Addr, unvalidated bool) iterate.Zone {
		return iterate.Zone{Name: zone, Servers: []netip.AddrPort{netip.AddrPortFrom(at, 53)}, Unvalidated: unvalidated}
	}
	tests := []struct {
		name   string
		zone   string // of the Exception
		change func(*iterate.Options)
		before []string // asked while it stands
		query  string
		want   string // when it is over
	}{
		{"an answer of the zone", "example.", nil, nil, "www.example. A", bogus},
		{"one that goes on into a zone that is insecure for ever", "bad.example.", nil, nil, "alias.bad.example. A", "SERVFAIL EDE 10"},
		{"zones below the root, if it stands there", ".", nil, nil, "www.example. A", bogus},
		{"and those below these", ".", nil, nil, "www.sub.example. A", bogus},
		{"zones that the operator has named", "example.", func(o *iterate.Options) {
			o.Zones = []iterate.Zone{to("sub.example.", otherAddr, false)}
		}, nil, "www.sub.example. A", bogus},
		{"what is taken from the cache behind an alias", "example.", func(o *iterate.Options) {
			o.MinTTL = 5 * time.Minute
			o.Zones = []iterate.Zone{to("other.", otherAddr, true)}
		}, []string{"www.example. A"}, "alias.other. A", bogus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := exceptionInternet()
				r := mustResolverWith(t, n, func(o *iterate.Options) {
					o.Trust = trust.Options{Anchors: []*dns.DS{n.Anchor()}}
					o.Trust.Exceptions = []trust.Exception{{Zone: tt.zone, Until: time.Now().Add(exceptionLife)}}
					if tt.change != nil {
						tt.change(o)
					}
				})
				for _, q := range append(tt.before, tt.query) {
					if got := mustAnswer(t, r, q); got[:7] != "NOERROR" {
						t.Fatalf("while it stands, %s: %s", q, got)
					}
				}
				time.Sleep(exceptionLife + time.Second)
				if got := mustAnswer(t, r, tt.query); len(got) < len(tt.want) || got[:len(tt.want)] != tt.want {
					t.Errorf("when it is over: %s, want %s", got, tt.want)
				}
			})
		})
	}
}
