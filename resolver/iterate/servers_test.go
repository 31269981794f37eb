package iterate

import (
	"context"
	"errors"
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
