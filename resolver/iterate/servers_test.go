package iterate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestWalker_keepsAliasesOfServersToItself(t *testing.T) {
	// The server's name is an alias, which RFC 2181 section 10.3 forbids, to
	// where nobody replies until time is up.
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add("bad NS alias.one\n")
		n.Drop(twoAddr)
		w := mustWalker(t, n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Lookup(ctx, mustQuestion(t, "www.bad.example. A"), NewBudget())
		var e *Error
		if !errors.As(err, &e) || len(e.Chain) != 0 {
			t.Errorf("error %+v, want one without aliases", err)
		}
	})
}

func TestWalker_findsServersThatHaveOnlyIPv6(t *testing.T) {
	for servers := maxEmptyLookups; servers <= maxEmptyLookups+1; servers++ {
		t.Run(fmt.Sprintf("%d servers without glue", servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, tld := testInternetAndTLD()
				n.Zone("six.example.", "www A 192.0.2.86\n", netip.MustParseAddr("2001:db8::66"))
				tld.Add("hosts NS ns.hosts\nns.hosts A 192.0.2.99\n" + repeat(servers, "six NS ns#.hosts"))
				n.Zone("hosts.example.", repeat(servers, "ns# AAAA 2001:db8::66"), otherAddr)
				w := mustWalker(t, n, nil)
				if got, want := mustAsk(t, w, "www.six.example. A"), "NOERROR; www.six.example. 3600 A 192.0.2.86"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}
