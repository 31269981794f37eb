package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
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

// A busy internet is one for which there are no sockets until a time.
type busy struct {
	*sim.Internet
	until time.Time
}

func (b *busy) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	if time.Now().Before(b.until) {
		return nil, fmt.Errorf("upstream: %w", syscall.EMFILE)
	}
	return b.Internet.Exchange(ctx, to, q, stream)
}

func TestResolver_forgetsItsOwnFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &busy{Internet: testInternet()}
		r := mustResolver(t, b)
		mustAnswer(t, r, "ns.example. A")
		b.until = time.Now().Add(time.Millisecond)
		if got, want := mustAnswer(t, r, "www.example. A"), "SERVFAIL EDE 0"; got != want {
			t.Errorf("without sockets: got %s, want %s", got, want)
		}
		time.Sleep(time.Millisecond)
		if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("with sockets again: got %s, want %s", got, want)
		}
	})
}
