package iterate

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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
