package iterate

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"proxima/test/sim"

	"github.com/miekg/dns"
)

// A tap is an Internet that shows what is asked of otherAddr.
type tap struct {
	*sim.Internet
	asked []*dns.Msg
	udp   int
}

func (l *tap) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	if to.Addr() == otherAddr {
		l.asked = append(l.asked, q.Copy())
		if !stream {
			l.udp++
		}
	}
	return l.Internet.Exchange(ctx, to, q, stream)
}

func TestWalker_keepsToTheSwitchesOfZones(t *testing.T) {
	const name = "long-name-of-many-letters.in.the.lab.example."
	short := func(l *tap) bool { return len(l.asked[0].Question[0].Name) < len(name) }
	mixed := func(l *tap) bool {
		last := l.asked[len(l.asked)-1].Question[0].Name
		return last != dns.CanonicalName(last)
	}
	datagrams := func(l *tap) bool { return l.udp > 0 }
	tests := []struct {
		name string
		zone Zone
		is   func(*tap) bool
		want bool
	}{
		{"a stub zone's names are shortened", Zone{}, short, true},
		{"but asked in full if the operator wants it", Zone{Full: true}, short, false},
		{"a stub zone's names are in mixed case", Zone{}, mixed, true},
		{"but in lower case if the operator wants it", Zone{Lower: true}, mixed, false},
		{"a forward zone's too", Zone{Recursive: true}, mixed, true},
		{"but in lower case if the operator wants it", Zone{Recursive: true, Lower: true}, mixed, false},
		{"a stub zone is asked over UDP", Zone{}, datagrams, true},
		{"but over TCP alone if the operator wants it", Zone{Stream: true}, datagrams, false},
		{"a forward zone, too", Zone{Recursive: true, Stream: true}, datagrams, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &tap{Internet: testInternet()}
				l.Zone("lab.example.", name+" 60 A 192.0.2.80\n", otherAddr)
				tt.zone.Name, tt.zone.Servers = "lab.example.", []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}
				w := mustWalker(t, l, func(o *Options) { o.Zones = []Zone{tt.zone} })
				if got, want := mustAsk(t, w, name+" A"), "NOERROR; "+name+" 60 A 192.0.2.80"; got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if got := tt.is(l); got != tt.want {
					t.Errorf("it is %t, want %t: %v", got, tt.want, l.asked)
				}
			})
		})
	}
}

func TestWalker_validatesNotWhereTheOperatorDoesNotWantIt(t *testing.T) {
	// The root vouches for one.example., which the operator's server has
	// without signatures.
	tests := []struct {
		name string
		zone Zone
		want string
	}{
		{"a stub zone is validated", Zone{Name: "one.example."}, "error 9 no DNSKEY"},
		{"but not if the operator wants it", Zone{Name: "one.example.", Unvalidated: true}, "NOERROR; www.one.example. 60 A 192.0.2.180"},
		{"nor what is below it", Zone{Name: "example.", Unvalidated: true}, "NOERROR; www.one.example. 60 A 192.0.2.180"},
		{"a forward zone is validated", Zone{Name: "one.example.", Recursive: true}, "error 9 no DNSKEY"},
		{"but not if the operator wants it", Zone{Name: "one.example.", Recursive: true, Unvalidated: true}, "NOERROR; www.one.example. 60 A 192.0.2.180"},
		{"not even everything", Zone{Name: ".", Recursive: true, Unvalidated: true}, "NOERROR; www.one.example. 60 A 192.0.2.180"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				n.Zone(tt.zone.Name, "www.one.example. 60 A 192.0.2.180\n", otherAddr)
				tt.zone.Servers = []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}
				w := mustWalker(t, n, func(o *Options) {
					secured(n)(o)
					o.Zones = []Zone{tt.zone}
				})
				if got := mustAsk(t, w, "www.one.example. A"); got[:min(len(got), len(tt.want))] != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if _, secure := mustProve(t, w, "empty.non.terminal.example. A"); tt.zone.Name == "one.example." && !secure {
					t.Error("another zone is no longer validated")
				}
			})
		})
	}
}

func TestNew_refusesFullRecursiveZones(t *testing.T) {
	o := Options{Zones: []Zone{{Name: "a.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}, Recursive: true, Full: true}}}
	if err := checkZones(o.Zones); err == nil || err.Error() != "iterate: Zones: a.example.: Full is for zones that are not Recursive" {
		t.Errorf("error %v", err)
	}
}
