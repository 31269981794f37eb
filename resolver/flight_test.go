package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/iterate"
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

// mustWait asks beside the test and returns the replies as they come.
func mustWait(t testing.TB, r *Resolver, queries ...string) <-chan string {
	t.Helper()
	replies := make(chan string, len(queries))
	for _, q := range queries {
		go func() { replies <- q + ": " + mustAnswer(t, r, q) }()
		synctest.Wait()
	}
	return replies
}

func TestResolver_jostles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternetWith("slow NS ns.slow\nns.slow A 192.0.2.99\n") // nobody is there
		r := mustResolver(t, n)
		mustAnswer(t, r, "ns.example. A")
		r.mu.Lock()
		r.settled = maxFlights - 2 // as if all but two were taken by those before
		r.mu.Unlock()
		slow := mustWait(t, r, "one.slow.example. A", "two.slow.example. A")
		if got, want := mustAnswer(t, r, "www.example. A"), "SERVFAIL EDE 0"; got != want {
			t.Errorf("while all are young: got %s, want %s", got, want)
		}
		time.Sleep(200 * time.Millisecond)
		if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("when one is old: got %s, want %s", got, want)
		}
		if got, want := <-slow, "one.slow.example. A: SERVFAIL EDE 22"; got != want {
			t.Errorf("the oldest: %s, want %s", got, want)
		}
		if got := r.Stats(); got.Jostled != 1 || got.Busy != 1 || got.Waiters != 1 || got.Flying != 1 {
			t.Errorf("%+v, want one jostled and one waiting", got)
		}
		if r.failures.Get(mustQuery(t, "one.slow.example. A").Name, 1, 1) != nil {
			t.Error("what was jostled is remembered as a failure")
		}
		<-slow
	})
}

func TestResolver_letsTheFirstHalfFly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternetWith("slow NS ns.slow\nns.slow A 192.0.2.99\n")
		r := mustResolver(t, n)
		mustAnswer(t, r, "ns.example. A")
		slow := mustWait(t, r, "settled.slow.example. A")
		r.mu.Lock()
		r.settled += maxFlights/2 - 1
		r.mu.Unlock()
		young := mustWait(t, r, "young.slow.example. A")
		r.mu.Lock()
		r.settled += maxFlights/2 - 1
		r.mu.Unlock()
		time.Sleep(time.Second)
		mustAnswer(t, r, "www.example. A")
		if got, want := <-young, "young.slow.example. A: SERVFAIL EDE 22"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := r.Stats(); got.Waiters != 1 || got.Flying != 1 || got.Jostled != 1 {
			t.Errorf("%+v, want the older flight still under way", got)
		}
		<-slow
	})
}

func TestResolver_servesStaleToTheJostled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "www.example. A")
		time.Sleep(61 * time.Second)
		r.mu.Lock()
		r.settled = maxFlights - 1
		r.mu.Unlock()
		n.Drop(tldAddr)
		began := time.Now()
		old := mustWait(t, r, "www.example. A")
		time.Sleep(time.Second)
		mustWait(t, r, "other.example. A")
		if got, want := <-old, "www.example. A: NOERROR EDE 3; www.example. 30 IN A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v, want no longer than until it was jostled", took)
		}
	})
}

func TestResolver_asksABrokenZoneRarely(t *testing.T) {
	// RESOLVING C15: 100 times a second for 10 s.
	tests := []struct {
		name string
		harm func(*sim.Internet)
	}{
		{"that refuses", func(n *sim.Internet) { n.Refuse(tldAddr) }},
		{"that fails", func(n *sim.Internet) { n.ServFail(tldAddr) }},
		{"that is lame", func(n *sim.Internet) { n.Lame(tldAddr) }},
		{"that is silent", func(n *sim.Internet) { n.Drop(tldAddr) }},
		{"that the network does not reach", func(n *sim.Internet) { n.Unreachable(tldAddr) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				r := mustResolver(t, n)
				mustAnswer(t, r, "ns.example. A")
				n.Forget()
				tt.harm(n)
				var clients sync.WaitGroup
				for range 1000 {
					clients.Go(func() {
						if got := mustAnswer(t, r, "www.example. A"); !strings.HasPrefix(got, "SERVFAIL EDE 2") {
							t.Errorf("got %s", got)
						}
					})
					time.Sleep(10 * time.Millisecond)
				}
				clients.Wait()
				if got := n.Exchanges(); got > 12 {
					t.Errorf("%d exchanges, want 12 at most", got)
				}
			})
		})
	}
}

// A pointing internet has servers that point at the question's name where they
// can, so that they repeat its letter case.
type pointing struct{ *sim.Internet }

func (p pointing) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	m, err := p.Internet.Exchange(ctx, to, q, stream)
	if err != nil {
		return nil, err
	}
	for _, rr := range m.Answer {
		rr.Header().Name = q.Question[0].Name
		if mx, ok := rr.(*dns.MX); ok {
			mx.Mx = "www" + q.Question[0].Name[len("mail"):]
		}
	}
	return m, nil
}

func TestResolver_tellsNobodyHowItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternetWith("alias 60 CNAME dead.other\nmail 60 MX 1 www\n")
		r := mustResolver(t, pointing{n}, iterate.Zone{Name: "other.example.", Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}})
		n.Drop(otherAddr)
		for _, tt := range []struct{ query, want string }{
			{"mail.example. MX", "NOERROR; mail.example. 60 IN MX 1 www.example."},
			{"alias.example. A", "SERVFAIL EDE 22; alias.example. 5 IN CNAME dead.other.example."},
		} {
			if got := mustAnswer(t, r, tt.query); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		}
	})
}
