package iterate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"

	"github.com/miekg/dns"
)

func TestWalker_leavesSilentForwardersInTime(t *testing.T) {
	for servers := 1; servers <= 3; servers++ {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				z := Zone{Name: ".", Recursive: true, First: true}
				for i := range servers {
					addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
					n.Drop(addr)
					z.Servers = append(z.Servers, netip.AddrPortFrom(addr, 53))
				}
				w := mustWalker(t, n, func(o *Options) { o.Zones = []Zone{z} })
				began := time.Now()
				if got, want := mustAsk(t, w, "www.one.example. A"), "NOERROR; www.one.example. 60 A 192.0.2.80"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestWalker_asksForwardersWhoseZoneNobodyKnows(t *testing.T) {
	const unknown = "error 22 nobody says whether the configured zone is signed"
	const data = "NOERROR; www.one.example. 60 A 192.0.2.80"
	tests := []struct {
		name      string
		first     bool
		mute      bool // the forwarder, too
		want      string
		asked     bool   // the forwarder was
		unchecked string // to who does not mind
	}{
		{"a zone that is first: it is asked", true, false, unknown, true, data},
		{"another: what it says could not be given to anybody", false, false, unknown, false, data},
		{"it is mute as well: walked to, in vain", true, true, "error 22", true, "error 22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := signedInternet()
				n.Zone("one.example.", "www 60 A 192.0.2.80\n", otherAddr)
				n.Drop(rootAddr, rootAddr6, tldAddr, tldAddr6)
				if tt.mute {
					n.Drop(otherAddr)
				}
				l := &tap{Internet: n}
				w := mustWalker(t, l, func(o *Options) {
					secured(n)(o)
					o.Zones = []Zone{{Name: "one.example.", Recursive: true, First: tt.first, Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}}}
				})
				_, err := w.Lookup(t.Context(), mustQuestion(t, "www.one.example. A"), NewBudget())
				var e *Error
				if !errors.As(err, &e) || e.Bogus == tt.mute || e.Unsure == tt.mute || (len(l.asked) > 0) != tt.asked {
					t.Errorf("got %+v, asked the forwarder %d times", err, len(l.asked))
				}
				if got := mustAsk(t, w, "www.one.example. A"); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				a, err := w.LookupUnchecked(t.Context(), mustQuestion(t, "www.one.example. A"), NewBudget())
				switch {
				case tt.mute && err == nil:
					t.Errorf("unchecked: got %s", summary(t, a))
				case !tt.mute && (err != nil || a.Security() == cache.Secure || summary(t, a) != tt.unchecked):
					t.Errorf("unchecked: got %v, error %v, want %s", a, err, tt.unchecked)
				}
			})
		})
	}
}

func TestWalker_givesForwardersTimeBesideTheDS(t *testing.T) {
	// The question for the DS is answered late. What time it took is not the forwarder's.
	synctest.Test(t, func(t *testing.T) {
		n := signedInternet()
		for _, addr := range []netip.Addr{rootAddr, rootAddr6, tldAddr, tldAddr6} {
			n.Delay(addr, 240*time.Millisecond)
		}
		n.Delay(otherAddr, 350*time.Millisecond)
		n.Zone("lost.example.", "www 60 A 192.0.2.81\n", otherAddr)
		w := mustWalker(t, n, func(o *Options) {
			secured(n)(o)
			o.Zones = []Zone{{Name: "lost.example.", Recursive: true, First: true, Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}}}
		})
		if got, want := mustAsk(t, w, "www.lost.example. A"), "NOERROR; www.lost.example. 60 A 192.0.2.81"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestWalker_keepsWhatIsBrokenFromWhatLedThere(t *testing.T) {
	// Why a zone's keys cannot be had is remembered for all, the aliases of one
	// question are not.
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.SignAll()
		n.Spoof(twoAddr, without(func(_ dns.Question, rr dns.RR) bool { return covers(rr, dns.TypeDNSKEY) }))
		w := mustWalker(t, n, secured(n))
		for _, name := range []string{"dangling.one.example.", "alias.one.example.", "hop.one.example."} {
			_, err := w.Lookup(t.Context(), mustQuestion(t, name+" A"), NewBudget())
			var e *Error
			if !errors.As(err, &e) || !e.Bogus || len(e.Chain) == 0 {
				t.Fatalf("%s: error %v, want one that is bogus, behind aliases", name, err)
			}
			owner := name
			for _, rr := range e.Chain {
				if cname, ok := rr.(*dns.CNAME); ok {
					if cname.Hdr.Name != owner {
						t.Errorf("%s: the chain has %v, of another question", name, cname)
					}
					owner = cname.Target
				}
			}
		}
	})
}
