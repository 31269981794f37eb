package iterate

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
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
