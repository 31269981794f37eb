package denial

import (
	"math/rand/v2"
	"strings"
	"testing"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// FuzzCache_neverTellsWhatIsNot draws zones, and subsets of their records to be
// remembered. Whatever is answered must be what the zone would reply, and the
// proof must convince who verifies it; what can be answered must be, if all
// records are there.
func FuzzCache_neverTellsWhatIsNot(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed, uint64(0))
	}
	a := mustAuthority(f, apex)
	soa := a.set(f, "example. 300 SOA ns.example. host.example. 1 2 3 4 300")
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		w := newWorld(r)
		style := r.IntN(3) // NSEC, NSEC3, opt-out
		chain := w.nsecs()
		if style > 0 {
			chain = w.nsec3s(r, style == 2)
		}
		share := []int{25, 50, 80, 100}[r.IntN(4)] // percent of the records that are put
		c := mustCache(t, Options{})
		for _, i := range r.Perm(len(chain)) {
			if r.IntN(100) < share {
				c.Put(apex, soa, dnssec.Signed{Until: week}, denied(a.sign(t, chain[i])), today)
			}
		}
		expansions := w.expand(t, a, r, c, chain)
		for range 30 {
			q := drawQuestion(r)
			truth := w.reply(q.Name, q.Qtype)
			got, ok := c.Lookup(q, apex, today, dnssec.NewWork(dnssec.Rules{}))
			if told := tells(got, ok); told != "nothing" && told != truth {
				t.Errorf("%s %s: told %s, is %s\nzone %v\nrecords %v", q.Name, dns.Type(q.Qtype), told, truth, w, chain)
			}
			if ok {
				mustProve(t, a, q, got)
			}
			must := share == 100 && style < 2 && (truth == "NXDOMAIN" || truth == "NODATA" || truth == "wildcard" && expansions)
			if must && !ok {
				t.Errorf("%s %s: told nothing, is %s\nzone %v\nrecords %v", q.Name, dns.Type(q.Qtype), truth, w, chain)
			}
		}
	})
}

// expand puts all that the zone's wildcards have, or sometimes nothing.
func (w world) expand(t *testing.T, a authority, r *rand.Rand, c *Cache, chain []dns.RR) bool {
	if r.IntN(2) == 0 {
		return false
	}
	for n, types := range w {
		encloser, ok := strings.CutPrefix(n, "*.")
		if !ok {
			continue
		}
		for _, typ := range types {
			set := expand(a.sign(t, record(n, typ)), "nobody."+encloser)
			some := a.sign(t, chain[r.IntN(len(chain))])
			c.PutWildcard(apex, set, dnssec.Signed{Wildcard: n, Until: week}, denied(some), today)
		}
	}
	return true
}

func drawQuestion(r *rand.Rand) dns.Question {
	types := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeDS, dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypeAAAA}
	return dns.Question{Name: drawName(r, 4), Qtype: types[r.IntN(len(types))], Qclass: dns.ClassINET}
}

// tells says what an Answer is, in the words of reply.
func tells(a Answer, ok bool) string {
	switch {
	case !ok:
		return "nothing"
	case a.Rcode == dns.RcodeNameError:
		return "NXDOMAIN"
	case len(a.Answer) > 0:
		return "wildcard"
	default:
		return "NODATA"
	}
}

// TestZone_staysDisjoint puts links of different versions of a zone.
func TestZone_staysDisjoint(t *testing.T) {
	a := mustAuthority(t, apex)
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := mustCache(t, Options{})
		hashed := seed%2 == 1
		for range 6 {
			w := newWorld(r)
			chain := w.nsecs()
			if hashed {
				chain = w.nsec3s(rand.New(rand.NewPCG(seed, 2)), false)
			}
			for _, i := range r.Perm(len(chain))[:(len(chain)+1)/2] {
				c.Put(apex, dnssec.RRset{}, dnssec.Signed{}, denied(a.sign(t, chain[i])), today)
			}
			mustBeWhole(t, c.find(apex))
		}
	}
}

// mustBeWhole fails if a zone's links are out of order or contradict each other,
// or if what they weigh is not what is noted.
func mustBeWhole(t *testing.T, z *zone) {
	t.Helper()
	weight := 0
	for i, l := range z.links {
		weight += l.weight
		if i > 0 && z.links[i-1].key >= l.key {
			t.Errorf("links %d and %d are out of order", i-1, i)
		}
		for _, m := range z.links {
			if l.covers(m.key) {
				t.Errorf("%q to %q covers %q", l.key, l.next, m.key)
			}
		}
	}
	if z.soa != nil {
		weight += z.soa.weight
	}
	for _, h := range z.expansions {
		weight += h.weight
	}
	if z.weight != weight || z.total.Load() != int64(weight) {
		t.Errorf("weight %d, in all %d, want %d", z.weight, z.total.Load(), weight)
	}
}
