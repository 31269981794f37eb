package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/test/sim"
	"proxima/wire"

	"github.com/miekg/dns"
)

// mustKnow asks and fails unless the answer is there at once.
func mustKnow(t testing.TB, r *Resolver, s string) string {
	t.Helper()
	reply, ok := r.AnswerNow(nil, mustQuery(t, s), time.Now())
	if !ok {
		t.Fatalf("%s is not known", s)
	}
	return summary(t, reply)
}

func TestResolver_refreshes(t *testing.T) {
	tests := []struct {
		name      string
		ask       string
		every     time.Duration // between two questions
		exchanges int           // in five minutes, after the first answer
	}{
		{"what is asked for every second, once in a life", "www.example. A", time.Second, 5},
		{"denials too", "absent.example. A", time.Second, 5},
		{"not what is not asked for near its end", "www.example. A", 35 * time.Second, 4},
		{"not what lives for a few seconds", "short.example. A", 500 * time.Millisecond, 33},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("short 9 A 192.0.2.82\n@ 60 SOA ns nobody 1 3600 600 86400 60\n")
				r := mustResolver(t, n)
				mustAnswer(t, r, tt.ask)
				n.Forget()
				for began := time.Now(); time.Since(began) < 5*time.Minute; time.Sleep(tt.every) {
					mustAnswer(t, r, tt.ask)
				}
				if got := n.Exchanges(); got != tt.exchanges {
					t.Errorf("%d exchanges, want %d", got, tt.exchanges)
				}
			})
		})
	}
}

func TestResolver_letsNothingInDemandEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustResolver(t, testInternet())
		mustAnswer(t, r, "www.example. A")
		for range 300 {
			mustKnow(t, r, "www.example. A")
			time.Sleep(time.Second)
		}
		if got := r.Stats(); got.Refreshed != 5 || got.RefreshFailed != 0 || got.RefreshShed != 0 || got.Refreshing != 0 {
			t.Errorf("%+v, want 5 refreshed", got)
		}
	})
}

func TestResolver_refreshesAliasesToTheirEnd(t *testing.T) {
	tests := []struct{ name, ask string }{
		{"an alias that lives longer than its target", "long.example. A"},
		{"an alias that lives shorter", "short.example. A"},
		{"an alias of an alias", "far.sub.example. A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith("sub NS ns.sub\nns.sub A 192.0.2.99\nlong 600 CNAME www.sub\nshort 25 CNAME www.sub\n")
				n.Zone("sub.example.", "@ NS ns\nns A 192.0.2.99\nwww 60 A 192.0.2.80\nfar 600 CNAME short.example.\n", otherAddr)
				r := mustResolver(t, n)
				mustAnswer(t, r, "www.sub.example. A")
				time.Sleep(10 * time.Second) // so that they do not end together
				mustAnswer(t, r, tt.ask)
				for range 1200 {
					mustKnow(t, r, tt.ask)
					time.Sleep(time.Second / 2)
				}
			})
		})
	}
}

func TestResolver_refreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "www.example. A")
		time.Sleep(59 * time.Second)
		n.Forget()
		n.Delay(tldAddr, 40*time.Millisecond)
		for range 100 {
			mustKnow(t, r, "www.example. A")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := n.Exchanges(); got != 1 {
			t.Errorf("%d exchanges for one answer, want 1", got)
		}
	})
}

func TestResolver_clientsJoinRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "www.example. A")
		time.Sleep(59980 * time.Millisecond)
		n.Forget()
		n.Delay(tldAddr, 40*time.Millisecond)
		mustKnow(t, r, "www.example. A")
		time.Sleep(30 * time.Millisecond)
		if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := n.Exchanges(); got != 1 {
			t.Errorf("%d exchanges, want the refresher's alone", got)
		}
	})
}

func TestResolver_keepsWhatItCannotRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "www.example. A")
		time.Sleep(58 * time.Second)
		n.Unreachable(tldAddr)
		mustKnow(t, r, "www.example. A")
		time.Sleep(time.Second)
		if got, want := mustKnow(t, r, "www.example. A"), "NOERROR; www.example. 1 IN A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		if got, want := mustKnow(t, r, "www.example. A"), "NOERROR EDE 3; www.example. 30 IN A 192.0.2.80"; got != want {
			t.Errorf("after its life: got %s, want %s", got, want)
		}
		if got := r.Stats(); got.RefreshFailed != 1 || got.Refreshed != 0 {
			t.Errorf("%+v, want one refresh, failed", got)
		}
	})
}

func TestResolver_refreshingKeepsNoGhostAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(1)
		root := n.Zone(".", `
@ 86400 NS a.root-servers.example.
a.root-servers.example. 86400 A 192.0.2.1
ghost 120 NS ns.ghost
ns.ghost 120 A 192.0.2.2
`, rootAddr)
		n.Zone("ghost.", "@ 86400 NS ns\nns 86400 A 192.0.2.2\nwww 20 A 192.0.2.80\n", tldAddr)
		r := mustResolver(t, n)
		began := time.Now()
		mustAnswer(t, r, "www.ghost. A")
		root.Remove("ghost.", dns.TypeANY)
		root.Remove("ns.ghost.", dns.TypeANY)
		for time.Since(began) < 141*time.Second { // the lease, and the answer that was learned just before its end
			if got := mustAnswer(t, r, "www.ghost. A"); !strings.HasPrefix(got, "NOERROR; ") && time.Since(began) < 120*time.Second {
				t.Fatalf("after %v: %s", time.Since(began), got)
			}
			time.Sleep(time.Second)
		}
		if got, want := mustAnswer(t, r, "www.ghost. A"), "NXDOMAIN; soa ."; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := r.Stats().Refreshed; got < 5 {
			t.Errorf("refreshed %d times, so that nothing was tested", got)
		}
	})
}

// What the cache has moved while it waited for the refresher is refreshed, and
// what a newer answer has replaced is not.
func TestResolver_refreshesWhatHasMoved(t *testing.T) {
	for name, tt := range map[string]struct {
		since time.Duration // the answer in the cache was learned so much later
		want  uint64
	}{
		"moved":    {0, 1},
		"replaced": {time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustResolver(t, testInternet())
				learned := func(at time.Time) *cache.Answer {
					a, err := cache.NewAnswer(mustPacket(t, "www.example. A"), cache.Meta{At: at, TTL: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					return a
				}
				now := time.Now()
				r.cache.Put(learned(now.Add(tt.since)))
				r.handOver(learned(now))
				synctest.Wait()
				time.Sleep(time.Second)
				if got := r.Stats().Refreshed; got != tt.want {
					t.Errorf("%d refreshed, want %d", got, tt.want)
				}
			})
		})
	}
}

// A crowded internet knows how many questions were with it at once.
type crowded struct {
	*sim.Internet
	now, most atomic.Int64
}

func (c *crowded) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return c.Internet.Exchange(ctx, to, q, stream)
}

func TestResolver_boundsRefreshes(t *testing.T) {
	// RESOLVING A11: names that end together, under load.
	const names, atOnce = 10_000, 1_000
	synctest.Test(t, func(t *testing.T) {
		c := &crowded{Internet: testInternetWith("*.many 60 A 192.0.2.83\n")}
		r := mustResolver(t, c)
		mustAnswer(t, r, "ns.example. A")
		for i := 0; i < names; i += atOnce {
			var clients sync.WaitGroup
			for j := range atOnce {
				clients.Go(func() { mustAnswer(t, r, fmt.Sprintf("n%d.many.example. A", i+j)) })
			}
			clients.Wait()
		}
		time.Sleep(55 * time.Second)
		c.most.Store(0)
		for range 4 {
			for i := range names {
				r.AnswerNow(nil, mustQuery(t, fmt.Sprintf("n%d.many.example. A", i)), time.Now())
			}
			time.Sleep(time.Second)
		}
		if got := c.most.Load(); got != maxRefreshes {
			t.Errorf("%d exchanges at once, want %d", got, maxRefreshes)
		}
		got := r.Stats()
		if got.Refreshed+got.RefreshShed > names || got.Refreshed < maxDue {
			t.Errorf("%d of %d names refreshed, and %d shed", got.Refreshed, names, got.RefreshShed)
		}
	})
}

func TestResolver_refreshesOutOfStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustResolver(t, testInternetWith("*.many 1000 A 192.0.2.83\n"))
		var moments []int
		for i := range 100 {
			name := fmt.Sprintf("n%d.many.example.", i)
			mustAnswer(t, r, name+" A")
			a := r.cache.Get(mustQuery(t, name+" A").Name, dns.TypeA, wire.ClassIN)
			left := 1000
			for !r.ends(a, a.Expires().Add(-time.Duration(left)*time.Second)) {
				left--
			}
			moments = append(moments, left)
		}
		slices.Sort(moments)
		if moments[0] < 50 || moments[99] > 100 || len(slices.Compact(moments)) < 25 {
			t.Errorf("left of 1,000 s: %v, want 50 to 100 and few alike", moments)
		}
	})
}

func TestResolver_AnswerNow_handsOverWithoutAllocating(t *testing.T) {
	const runs = 2 * maxDue // more than there is room for
	r := mustResolver(t, testInternetWith("*.many 60 A 192.0.2.83\n"))
	queries := make([]*wire.Query, runs+1) // AllocsPerRun runs once more
	for i := range queries {
		name := fmt.Sprintf("n%d.many.example. A", i)
		queries[i] = mustQuery(t, name)
		a, err := cache.NewAnswer(mustPacket(t, name), cache.Meta{At: time.Now(), TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r.cache.Put(a)
	}
	r.Close() // so that nobody takes them
	at, next, dst := time.Now().Add(59*time.Second), 0, make([]byte, 0, 4096)
	allocs := testing.AllocsPerRun(runs, func() {
		if _, ok := r.AnswerNow(dst, queries[next], at); !ok {
			t.Fatal("not answered")
		}
		next++
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if got := len(r.due); got != maxDue || r.Stats().RefreshShed != runs+1-maxDue {
		t.Errorf("%d handed over, %d shed, want %d and %d", got, r.Stats().RefreshShed, maxDue, runs+1-maxDue)
	}
}

// mustPacket returns a reply that has no records to a question.
func mustPacket(t testing.TB, s string) []byte {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(mustQuery(t, s+" -edns").Packet); err != nil {
		t.Fatal(err)
	}
	m.Response = true
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}
