package denial

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

func TestCache_isBounded(t *testing.T) {
	t.Run("by zone, of which what is used stays", func(t *testing.T) {
		a := mustAuthority(t, apex)
		c := mustCache(t, Options{Memory: minMemory})
		set := a.set(t, "n00000.example. 3000 NSEC n000001.example. A")
		for i := range 2000 {
			rr := *set.RRs[0].(*dns.NSEC)
			rr.Hdr.Name, rr.NextDomain = fmt.Sprintf("n%05d.example.", i), fmt.Sprintf("n%05d1.example.", i)
			at := today.Add(time.Duration(i) * time.Second)
			c.Put(apex, a.set(t, soaText), dnssec.Signed{Until: week}, denied(dnssec.RRset{RRs: []dns.RR{&rr}, Sigs: set.Sigs}), at)
			if _, ok := c.look("n00000.example. TXT", today.Add(time.Second)); !ok && i < 299 {
				t.Fatalf("what was used last was forgotten after %d others", i)
			}
			c.find(apex).links[0].used = at.Unix()
		}
		z := c.find(apex)
		mustBeWhole(t, z)
		if z.weight > minMemory/maxShare || z.weight < minMemory/maxShare/2 {
			t.Errorf("weight %d of %d", z.weight, minMemory/maxShare)
		}
		if z.links[0].key != string(mustPath(t, "n00000.example.")) {
			t.Error("what was used all the time was forgotten")
		}
	})
	t.Run("in all, of which the zone used last stays", func(t *testing.T) {
		c := mustCache(t, Options{Memory: minMemory})
		for i := range 1000 {
			zone := fmt.Sprintf("z%d.example.", i)
			a := mustAuthority(t, zone)
			c.Put(zone, a.set(t, strings.ReplaceAll(soaText, apex, zone)), dnssec.Signed{Until: week}, denied(a.set(t, zone+" 300 NSEC "+zone+" NS SOA")), today)
			if _, ok := c.Lookup(ask("a.z0.example. A"), "z0.example.", today, nil); !ok {
				t.Fatalf("the zone that was used was forgotten after %d others", i)
			}
		}
		if zones, octets := c.Size(); zones == 1000 || zones < 100 || octets > minMemory {
			t.Errorf("%d zones with %d octets", zones, octets)
		}
	})
	t.Run("in sets of wildcards", func(t *testing.T) {
		a := mustAuthority(t, apex)
		c := mustCache(t, Options{})
		for i := range 3 * maxExpansions {
			star := fmt.Sprintf("*.w%d.example.", i)
			c.PutWildcard(apex, expand(a.set(t, star+" 600 A 192.0.2.1"), "x"+star[1:]), dnssec.Signed{Wildcard: star, Until: week},
				denied(a.set(t, "example. 300 NSEC a.example. NS SOA")), today)
		}
		if n := len(c.find(apex).expansions); n != maxExpansions {
			t.Errorf("%d sets, want %d", n, maxExpansions)
		}
		mustBeWhole(t, c.find(apex))
	})
}

func TestCache_manyAtOnce(t *testing.T) {
	a := mustAuthority(t, apex)
	c := mustCache(t, Options{Memory: minMemory})
	hash := dns.HashName(apex, dns.SHA1, 0, "")
	soa := a.set(t, soaText)
	styles := []dnssec.RRset{
		a.set(t, "example. 300 NSEC m.example. NS SOA"),
		a.set(t, "m.example. 300 NSEC example. A"),
		a.set(t, fmt.Sprintf("%s.example. 300 NSEC3 1 0 0 - %s NS SOA", strings.ToLower(hash), hash)),
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				c.Put(apex, soa, dnssec.Signed{Until: week}, denied(styles[(i*j)%3]), today)
				c.Put(fmt.Sprintf("z%d.", j), dnssec.RRset{}, dnssec.Signed{}, denied(styles[0]), today)
				if got, ok := c.look("m.example. AAAA", today); ok && tells(got, ok) == "wildcard" {
					t.Error("told of a wildcard that is none")
				}
				if j%50 == 0 {
					c.Drop(apex)
				}
				c.Size()
			}
		})
	}
	wg.Wait()
	if z := c.find(apex); z != nil {
		mustBeWhole(t, z)
	}
}

func BenchmarkCache_Lookup(b *testing.B) {
	a := mustAuthority(b, apex)
	for _, hashed := range []bool{false, true} {
		b.Run(fmt.Sprintf("hashed=%t", hashed), func(b *testing.B) {
			c := mustCache(b, Options{})
			w := world{apex: {dns.TypeNS, dns.TypeSOA}}
			for i := range 1500 {
				w[fmt.Sprintf("n%d.example.", i)] = []uint16{dns.TypeA}
			}
			chain := w.nsecs()
			if hashed {
				chain = w.nsec3s(rand.New(rand.NewPCG(1, 1)), false)
			}
			for _, rr := range chain {
				c.Put(apex, a.set(b, soaText), dnssec.Signed{Until: week}, denied(a.sign(b, rr)), today)
			}
			q := ask("nobody.n7x.example. A")
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := c.Lookup(q, apex, today, dnssec.NewWork(dnssec.Rules{})); !ok {
					b.Fatal("told nothing")
				}
			}
		})
	}
}

func BenchmarkCache_Put(b *testing.B) {
	a := mustAuthority(b, apex)
	c := mustCache(b, Options{})
	set := a.set(b, "n.example. 3000 NSEC n0.example. A")
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		rr := *set.RRs[0].(*dns.NSEC)
		rr.Hdr.Name, rr.NextDomain = fmt.Sprintf("n%08d.example.", i*7919%1e8), fmt.Sprintf("n%08d0.example.", i*7919%1e8)
		c.Put(apex, dnssec.RRset{}, dnssec.Signed{}, denied(dnssec.RRset{RRs: []dns.RR{&rr}, Sigs: set.Sigs}), today)
	}
}
