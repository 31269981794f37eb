package iterate

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWalker_leavesRoomBesideASilentZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add("good NS ns.good\nns.good A 192.0.2.66\n")
		n.Zone("good.example.", "www A 192.0.2.80\n", evilAddr)
		w := mustWalker(t, n, nil)
		mustAsk(t, w, "www.one.example. A")
		n.Drop(oneAddr, oneAddr6)
		n.Forget()
		var all sync.WaitGroup
		for i := range 3 * zoneSeats {
			all.Go(func() { mustAsk(t, w, fmt.Sprintf("x%d.one.example. A", i)) })
		}
		time.Sleep(time.Millisecond)
		for _, addr := range []int{len(n.Asked(oneAddr)), len(n.Asked(oneAddr6))} {
			if addr > serverSeats {
				t.Errorf("%d questions under way at one server, want %d at most", addr, serverSeats)
			}
		}
		if got := w.Stats().Limits["questions at one zone"]; got != 2*zoneSeats {
			t.Errorf("%d questions were refused, want %d", got, 2*zoneSeats)
		}
		if got, want := mustAsk(t, w, "www.good.example. A"), "NOERROR; www.good.example. 3600 A 192.0.2.80"; got != want {
			t.Errorf("beside it: got %s, want %s", got, want)
		}
		all.Wait()
		if got := w.zoneSeats.Stats().Places + w.serverSeats.Stats().Places; got != 0 {
			t.Errorf("%d places are still taken", got)
		}
	})
}
