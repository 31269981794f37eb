package iterate

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestWalker_remembersFailuresWithinATree(t *testing.T) {
	// Many zones have their only server's name in a zone whose server fails. The
	// first walk finds that out; the others need not.
	const zones = 40
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		n.ServFail(twoAddr)
		tld.Add(repeat(zones, "z# NS ns.two"))
		w := mustWalker(t, n, nil)
		ask := func(i int) (exchanges int) {
			n.Forget()
			if got, want := mustAsk(t, w, fmt.Sprintf("www.z%d.example. A", i)), "error 22 no address for the servers of"; got[:len(want)] != want {
				t.Errorf("got %s, want %s", got, want)
			}
			return n.Exchanges()
		}
		if got := ask(0); got < 4 {
			t.Fatalf("the first walk took %d exchanges: it did not try", got)
		}
		for i := 1; i < zones/2; i++ {
			if got := ask(i); got > 1 {
				t.Fatalf("walk %d took %d exchanges, want the referral alone", i, got)
			}
		}
		if got := w.Stats().Recalled; got == 0 {
			t.Error("not counted")
		}
		time.Sleep(minFailureLife)
		if got := ask(zones / 2); got < 2 {
			t.Error("not tried again when the failure was over")
		}
		time.Sleep(minFailureLife + time.Second)
		if got := ask(zones/2 + 1); got > 1 {
			t.Errorf("took %d exchanges: the second failure was not remembered for longer", got)
		}
	})
}

func TestWalker_doesNotBlameTheServersForItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add("z NS ns2.one\n")
		n.Zone("z.example.", "www A 192.0.2.80\n", twoAddr)
		w := mustWalker(t, n, nil)
		b := NewBudget()
		b.Exchanges = 3
		if _, err := w.Lookup(t.Context(), mustQuestion(t, "www.z.example. A"), b); err == nil {
			t.Fatal("no error")
		}
		if got, want := mustAsk(t, w, "www.z.example. A"), "NOERROR; www.z.example. 3600 A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
