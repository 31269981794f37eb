package resolver

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"proxima/test/sim"

	"github.com/miekg/dns"
)

// A faulty internet panics when names that end in suffix are asked for.
type faulty struct {
	*sim.Internet
	suffix string
}

func (f faulty) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	if dns.IsSubDomain(f.suffix, q.Question[0].Name) {
		panic("a parser's fault")
	}
	return f.Internet.Exchange(ctx, to, q, stream)
}

func TestResolver_survivesPanics(t *testing.T) {
	tests := []struct{ name, suffix, ask string }{
		{"in a flight", "www.example.", "www.example. A"},
		{"in the lookup of a server's address", "ns.sub.example.", "www.glueless.example. A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("glueless NS ns.sub\nsub NS ns\n")
				r := mustResolver(t, faulty{n, tt.suffix})
				began := time.Now()
				for range 2 {
					if got, want := mustAnswer(t, r, tt.ask), "SERVFAIL EDE 0"; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("took %v", took)
				}
				if got := r.Stats(); got.Panics != 1 || got.Recalled != 1 || got.Flying != 0 {
					t.Errorf("%+v, want one panic, remembered", got)
				}
			})
		})
	}
}
