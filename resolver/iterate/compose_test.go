package iterate

import (
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

func TestWalker_compose_life(t *testing.T) {
	tests := []struct {
		name      string
		rcode     int
		answer    string
		authority string
		want      time.Duration
	}{
		{"an answer lives as long as its shortest record", 0, "a.example. 60 A 192.0.2.1\na.example. 30 A 192.0.2.2\n", "", 30 * time.Second},
		{"never longer than a day", 0, "a.example. 172800 A 192.0.2.1\n", "", 24 * time.Hour},
		{"nor shorter than the floor", 0, "a.example. 1 A 192.0.2.1\n", "", 10 * time.Second},
		{"a denial lives as long as the SOA's MINIMUM", 3, "", "example. 600 SOA a. b. 1 2 3 4 300\n", 300 * time.Second},
		{"or as the SOA's own TTL", 3, "", "example. 200 SOA a. b. 1 2 3 4 300\n", 200 * time.Second},
		{"but not longer than an hour", 3, "", "example. 86400 SOA a. b. 1 2 3 4 86400\n", time.Hour},
		{"nor than its proofs", 0, "", "example. 600 SOA a. b. 1 2 3 4 300\nexample. 100 NSEC b.example. A\n", 100 * time.Second},
		{"without SOA it lives for 5 s", 3, "", "", 5 * time.Second},
		{"behind an alias too", 3, "a.example. 60 CNAME b.example.\n", "", 5 * time.Second},
		{"and if only the type is denied", 0, "a.example. 60 CNAME b.example.\n", "", 5 * time.Second},
		{"a DNAME that makes the name too long denies nothing", 6, "example. 60 DNAME b.example.\n", "", 60 * time.Second},
		{"a denial behind an alias ends with the alias", 3, "a.example. 60 CNAME b.example.\n", "example. 600 SOA a. b. 1 2 3 4 300\n", 60 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := mustWalker(t, sim.New(1), func(o *Options) { o.MinTTL = 10 * time.Second })
			r := &finding{rcode: tt.rcode, answer: mustRecords(t, tt.answer), authority: mustRecords(t, tt.authority)}
			at := time.Now()
			a, err := w.compose(mustQuestion(t, "a.example. A"), r, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Expires().Sub(at); got != tt.want {
				t.Errorf("lives for %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWalker_compose_stale(t *testing.T) {
	tests := []struct {
		name      string
		answer    string
		authority string
		want      cache.State
	}{
		{"a denial with SOA", "", "example. 5 SOA a. b. 1 2 3 4 5\n", cache.Stale},
		{"none without", "", "", cache.Dead},
		{"nor behind an alias", "a.example. 60 CNAME b.example.\n", "", cache.Dead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := mustWalker(t, sim.New(1), func(o *Options) { o.Stale = time.Hour })
			at := time.Now()
			r := &finding{rcode: dns.RcodeNameError, answer: mustRecords(t, tt.answer), authority: mustRecords(t, tt.authority)}
			a, err := w.compose(mustQuestion(t, "a.example. A"), r, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.State(at.Add(6 * time.Second)); got != tt.want {
				t.Errorf("State after 6 s = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWalker_recall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := mustWalker(t, sim.New(1), nil)
		q := mustQuestion(t, "a.example. A")
		w.remember(q, &finding{answer: mustRecords(t, "a.example. 60 A 192.0.2.1\n")}, time.Now())
		time.Sleep(20 * time.Second)
		r := w.recall(q, time.Now())
		if r == nil || len(r.answer) != 1 || r.answer[0].Header().Ttl != 40 {
			t.Errorf("after 20 of 60 s: %+v", r)
		}
		time.Sleep(40 * time.Second)
		if r := w.recall(q, time.Now()); r != nil {
			t.Errorf("after 60 of 60 s: %+v", r)
		}
		caa := dns.Question{Name: "a.example.", Qtype: dns.TypeCAA, Qclass: dns.ClassINET}
		w.remember(caa, &finding{answer: mustRecords(t, "a.example. 60 CAA 0 issue \"b.example\"\n")}, time.Now())
		if r := w.recall(caa, time.Now()); r != nil {
			t.Errorf("a type whose records would change: %+v", r)
		}
		if r := w.recall(dns.Question{Name: "a.example.", Qtype: dns.TypeMX, Qclass: dns.ClassINET}, time.Now()); r != nil {
			t.Errorf("another type: %+v", r)
		}
	})
}
