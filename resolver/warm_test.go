package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/iterate"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// mustKeepWarm returns a resolver that keeps questions warm until the test ends.
func mustKeepWarm(t testing.TB, n *sim.Internet, questions ...dns.Question) *Resolver {
	t.Helper()
	r := mustResolver(t, n)
	var err error
	if r.warm, err = warmths(questions, r.special); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.KeepWarm(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// inet returns a question of class IN.
func inet(name string, typ uint16) dns.Question {
	return dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET}
}

func TestResolver_KeepWarm(t *testing.T) {
	const records = "@ 60 SOA ns nobody 1 3600 600 86400 60\nshort 9 A 192.0.2.82\n"
	tests := []struct {
		name    string
		keep    dns.Question
		harm    func(*sim.Internet)
		flights int // in five minutes, after the first second
	}{
		{"refreshes before the end", inet("www.example.", dns.TypeA), nil, 5},
		{"in any letter case", inet("WWW.example.", dns.TypeA), nil, 5},
		{"a denial, too", inet("absent.example.", dns.TypeAAAA), nil, 5},
		{"a short life when it is over", inet("short.example.", dns.TypeA), nil, 30},
		{"what may not be kept every 5 s", inet("never.example.", dns.TypeA), nil, 60},
		{"a failure as clients would: after 5, 10, 20, 40 and 60 s", inet("www.example.", dns.TypeA),
			func(n *sim.Internet) { n.Refuse(tldAddr) }, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternetWith(records)
				r := mustKeepWarm(t, n, tt.keep)
				time.Sleep(time.Second / 2)
				before := r.Stats().Flights
				if tt.harm != nil {
					tt.harm(n)
				}
				for range 300 {
					time.Sleep(time.Second)
					if tt.flights == 5 {
						mustKnow(t, r, tt.keep.Name+" "+dns.TypeToString[tt.keep.Qtype])
					}
				}
				if got := int(r.Stats().Flights - before); got != tt.flights {
					t.Errorf("%d flights, want %d", got, tt.flights)
				}
			})
		})
	}
}

func TestResolver_KeepWarm_asksForEachQuestionOnce(t *testing.T) {
	const mine = "10.in-addr.arpa."
	private := iterate.Zone{Name: mine, Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}}
	tests := []struct {
		name  string
		zones []iterate.Zone
		keep  []dns.Question
		want  int
	}{
		{"a name twice", nil, []dns.Question{inet("www.example.", dns.TypeA), inet("ns.example.", dns.TypeA), inet("WWW.example", dns.TypeA)}, 2},
		{"of two types", nil, []dns.Question{inet("www.example.", dns.TypeA), inet("www.example.", dns.TypeAAAA)}, 2},
		{"names that are answered here", nil, []dns.Question{inet("localhost.", dns.TypeA), inet("www.INVALID.", dns.TypeA),
			inet("x.onion.", dns.TypeAAAA), inet("1.10.in-addr.arpa.", dns.TypePTR), inet("home.arpa.", dns.TypeSOA)}, 0},
		{"but the DS of one belongs to its parent", nil, []dns.Question{inet("home.arpa.", dns.TypeDS)}, 1},
		{"and the operator's zones are not special", []iterate.Zone{private}, []dns.Question{inet("1."+mine, dns.TypePTR)}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			known := mustResolver(t, sim.New(1), tt.zones...)
			r, err := New(Options{Walker: known.walker, Cache: known.cache, Failures: known.failures, Unproven: known.unproven, Warm: tt.keep})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := len(r.warm); got != tt.want {
				t.Errorf("%d questions are kept warm, want %d: %v", got, tt.want, r.warm)
			}
		})
	}
}

func TestResolver_KeepWarm_asksWithoutClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustKeepWarm(t, testInternet(), inet("www.example.", dns.TypeA), inet("ns.example.", dns.TypeA))
		time.Sleep(10 * time.Minute)
		mustKnow(t, r, "www.example. A")
		mustKnow(t, r, "ns.example. A")
		if got := r.Stats(); got.Refreshed < 10 || got.Flights != got.Refreshed || got.Refreshing != 0 {
			t.Errorf("%+v, want flights of the refresher alone", got)
		}
	})
}

func TestResolver_KeepWarm_comesBackAfterABlackout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustKeepWarm(t, n, inet("www.example.", dns.TypeA))
		time.Sleep(time.Second)
		n.Drop(tldAddr)
		time.Sleep(10 * time.Minute)
		if got, want := mustKnow(t, r, "www.example. A"), "NOERROR EDE 3; www.example. 30 IN A 192.0.2.80"; got != want {
			t.Errorf("during it: got %s, want %s", got, want)
		}
		n.Heal(tldAddr)
		time.Sleep(61 * time.Second)
		if got := mustKnow(t, r, "www.example. A"); !strings.HasPrefix(got, "NOERROR; ") {
			t.Errorf("after it: got %s", got)
		}
	})
}

func TestNew_checksWarm(t *testing.T) {
	many := make([]dns.Question, maxWarm+1)
	for i := range many {
		many[i] = inet(fmt.Sprintf("n%d.example.", i), dns.TypeA)
	}
	tests := []struct {
		name string
		warm []dns.Question
		good bool
	}{
		{"as many as may be", many[1:], true},
		{"one too many", many, false},
		{"a name that is none", []dns.Question{inet("a..example.", dns.TypeA)}, false},
		{"a label that is too long", []dns.Question{inet(strings.Repeat("x", 64)+".example.", dns.TypeA)}, false},
		{"every type", []dns.Question{inet("www.example.", dns.TypeANY)}, false},
		{"another class", []dns.Question{{Name: "www.example.", Qtype: dns.TypeA, Qclass: dns.ClassCHAOS}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			known := mustResolver(t, sim.New(1))
			r, err := New(Options{Walker: known.walker, Cache: known.cache, Failures: known.failures, Unproven: known.unproven, Warm: tt.warm})
			if r != nil {
				r.Close()
			}
			if tt.good != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), "resolver: Warm: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
