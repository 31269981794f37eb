package dnssec

import (
	"math/rand/v2"
	"testing"

	"github.com/miekg/dns"
)

// parsed is a name that a world has made.
func parsed(s string) name {
	n, err := canonical(s)
	if err != nil {
		panic("dnssec: " + err.Error())
	}
	return n
}

func FuzzNoData(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.noData(q.name, q.typ) && len(w[q.name]) > 0 },
		nsec:  func(s nsecs, q question) Status { return s.noData(parsed(q.name), q.typ) },
	}.fuzz(f)
}

func FuzzNoData_hashed(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.noData(q.name, q.typ) },
		nsec3: func(c *chain, q question) Status { return c.noData(parsed(q.name), q.typ) },
	}.fuzz(f)
}

func FuzzEmptyNonTerminal(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.emptyNonTerminal(q.name) },
		nsec:  func(s nsecs, q question) Status { return s.emptyNonTerminal(parsed(q.name)) },
		nsec3: func(c *chain, q question) Status { return c.emptyNonTerminal(parsed(q.name)) },
	}.fuzz(f)
}

func FuzzNoName(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.noName(q.name) },
		nsec:  func(s nsecs, q question) Status { return s.noName(parsed(q.name)) },
		nsec3: func(c *chain, q question) Status { return c.noName(parsed(q.name)) },
	}.fuzz(f)
}

func FuzzWildcardNoData(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.wildcardNoData(q.name, q.typ) },
		nsec:  func(s nsecs, q question) Status { return s.wildcardNoData(parsed(q.name), q.typ) },
		nsec3: func(c *chain, q question) Status { return c.wildcardNoData(parsed(q.name), q.typ) },
	}.fuzz(f)
}

func FuzzWildcardExpansion(f *testing.F) {
	// The wildcard is known: its records came. Without one there is no question.
	known := func(q question, prove func(n, encloser name) Status) Status {
		if q.encloser == "" {
			return Bogus
		}
		return prove(parsed(q.name), parsed(q.encloser))
	}
	statement{
		truth: func(w world, q question) bool { return q.encloser != "" && w.wildcardExpansion(q.name, q.encloser) },
		nsec:  func(s nsecs, q question) Status { return known(q, s.wildcardExpansion) },
		nsec3: func(c *chain, q question) Status { return known(q, c.wildcardExpansion) },
	}.fuzz(f)
}

func FuzzNoDS(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.noDS(q.name) },
		nsec:  func(s nsecs, q question) Status { return s.noDS(parsed(q.name)) },
		nsec3: func(c *chain, q question) Status { return c.noDS(parsed(q.name)) },
	}.fuzz(f)
}

func FuzzOptOut(f *testing.F) {
	statement{
		truth: func(w world, q question) bool { return w.absent(q.name) },
		must:  func(w, shown world, q question) bool { return shown.absent(q.name) && !w.absent(q.name) },
		nsec3: func(c *chain, q question) Status { return c.optOut(parsed(q.name)) },
	}.fuzz(f)
}

func FuzzReadDenials(f *testing.F) {
	zone := parsed(apex)
	for _, rr := range append(world{apex: {dns.TypeSOA}}.nsecs(), world{apex: {dns.TypeSOA}}.nsec3s(rand.New(rand.NewPCG(1, 2)), false)...) {
		wire := make([]byte, dns.Len(rr))
		if _, err := dns.PackRR(rr, wire, 0, nil, false); err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		rr, _, err := dns.UnpackRR(wire, 0)
		if err != nil {
			t.Skip()
		}
		plain, hashed := readDenials(RRset{RRs: []dns.RR{rr}}, zone)
		for _, r := range plain {
			for _, n := range []name{r.owner, r.next, parsed("test."), parsed(".")} {
				if r.covers(n) {
					t.Errorf("%v covers %s", rr, n)
				}
			}
		}
		for _, r := range hashed {
			if r.covers(r.owner) || r.covers(r.next) {
				t.Errorf("%v covers its own ends", rr)
			}
		}
	})
}
