package found

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"

	"github.com/miekg/dns"
)

func TestStore_Compose_life(t *testing.T) {
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
			s := mustStore(t)
			s.MinTTL = 10 * time.Second
			r := &Records{Rcode: tt.rcode, Answer: mustRecords(t, tt.answer), Authority: mustRecords(t, tt.authority)}
			at := time.Now()
			a, err := s.Compose(dns.Question{Name: "a.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, r, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Expires().Sub(at); got != tt.want {
				t.Errorf("lives for %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStore_Compose_stale(t *testing.T) {
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
			s := mustStore(t)
			s.Stale = time.Hour
			at := time.Now()
			r := &Records{Rcode: dns.RcodeNameError, Answer: mustRecords(t, tt.answer), Authority: mustRecords(t, tt.authority)}
			a, err := s.Compose(dns.Question{Name: "a.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, r, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.State(at.Add(6 * time.Second)); got != tt.want {
				t.Errorf("State after 6 s = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStore_Get(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustStore(t)
		q := dns.Question{Name: "a.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
		s.Put(q, &Records{Answer: mustRecords(t, "a.example. 60 A 192.0.2.1\n")}, time.Now())
		time.Sleep(20 * time.Second)
		r := s.Get(q, time.Now(), false)
		if r == nil || len(r.Answer) != 1 || r.Answer[0].Header().Ttl != 40 {
			t.Errorf("after 20 of 60 s: %+v", r)
		}
		time.Sleep(40 * time.Second)
		if r := s.Get(q, time.Now(), false); r != nil {
			t.Errorf("after 60 of 60 s: %+v", r)
		}
		caa := dns.Question{Name: "a.example.", Qtype: dns.TypeCAA, Qclass: dns.ClassINET}
		s.Put(caa, &Records{Answer: mustRecords(t, "a.example. 60 CAA 0 issue \"b.example\"\n")}, time.Now())
		if r := s.Get(caa, time.Now(), false); r != nil {
			t.Errorf("a type whose records would change: %+v", r)
		}
		if r := s.Get(dns.Question{Name: "a.example.", Qtype: dns.TypeMX, Qclass: dns.ClassINET}, time.Now(), false); r != nil {
			t.Errorf("another type: %+v", r)
		}
	})
}

func TestStore_Compose_tellsADNAMEOnce(t *testing.T) {
	// a.x.x. becomes a.x. and that a.
	s := mustStore(t)
	r := &Records{Answer: mustRecords(t, "x. 60 DNAME .\na.x.x. 60 CNAME a.x.\nx. 60 DNAME .\na.x. 60 CNAME a.\n")}
	r.Append(&Records{Answer: mustRecords(t, "x. 50 DNAME .\na. 60 A 192.0.2.1\n")})
	s.Put(dns.Question{Name: "a.x.x.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, r, time.Now())
	if got := s.Get(dns.Question{Name: "a.x.x.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, time.Now(), false); got == nil || len(got.Answer) != 4 {
		t.Errorf("got %+v", got)
	}
}

func mustStore(t testing.TB) *Store {
	t.Helper()
	c, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return &Store{Cache: c, MaxTTL: 24 * time.Hour}
}

// mustRecords reads one record a line.
func mustRecords(t testing.TB, text string) []dns.RR {
	t.Helper()
	var out []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	parser.SetDefaultTTL(3600)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		out = append(out, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
