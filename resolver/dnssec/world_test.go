package dnssec

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A world is the zone example. as its owner knows it, by text alone: slow,
// obvious, and with nothing in common with what it tests. Names are in lower
// case, each with the types that it has.
type world map[string][]uint16

const apex = "example."

// newWorld draws a small zone: some names, of which some are delegations,
// aliases, wildcards or below one another.
func newWorld(r *rand.Rand) world {
	kinds := [][]uint16{
		{dns.TypeA}, {dns.TypeAAAA}, {dns.TypeA, dns.TypeAAAA}, {dns.TypeCNAME},
		{dns.TypeNS}, {dns.TypeNS}, {dns.TypeNS, dns.TypeDS}, {dns.TypeDNAME},
	}
	w := world{apex: {dns.TypeNS, dns.TypeSOA}}
	for range r.IntN(8) {
		n, kind := drawName(r, 3), kinds[r.IntN(len(kinds))]
		if n == apex || strings.HasPrefix(n, "*") && (slices.Contains(kind, dns.TypeNS) || slices.Contains(kind, dns.TypeDNAME)) {
			continue // such wildcards mean nothing, RFC 4592 section 4
		}
		w[n] = kind
	}
	whole := maps.Clone(w)
	maps.DeleteFunc(w, func(n string, _ []uint16) bool { return whole.hidden(n) })
	return w
}

// drawName draws a name of the zone, so many labels deep at most.
func drawName(r *rand.Rand, depth int) string {
	n := apex
	for range r.IntN(depth + 1) {
		n = []string{"a.", "b.", "c.", "*."}[r.IntN(4)] + n
	}
	return n
}

// ancestors returns the names above n up to the apex, the nearest first.
func ancestors(n string) (above []string) {
	for n != apex {
		_, n, _ = strings.Cut(n, ".")
		above = append(above, n)
	}
	return above
}

func (w world) has(n string, typ uint16) bool { return slices.Contains(w[n], typ) }

func (w world) isCut(n string) bool { return w.has(n, dns.TypeNS) && n != apex }

// hidden says that n is another zone's, or renamed: the zone cannot deny it.
func (w world) hidden(n string) bool {
	return slices.ContainsFunc(ancestors(n), func(a string) bool { return w.isCut(a) || w.has(a, dns.TypeDNAME) })
}

// exists says that n has records, or something below it has.
func (w world) exists(n string) bool {
	for m := range w {
		if m == n || strings.HasSuffix(m, "."+n) {
			return true
		}
	}
	return false
}

// encloser returns the nearest name above n that exists.
func (w world) encloser(n string) string {
	above := ancestors(n)
	return above[slices.IndexFunc(above, w.exists)]
}

func (w world) noData(n string, typ uint16) bool {
	if w.hidden(n) || !w.exists(n) || w.has(n, typ) || w.has(n, dns.TypeCNAME) {
		return false
	}
	if typ == dns.TypeDS {
		return n != apex
	}
	return !w.isCut(n)
}

func (w world) emptyNonTerminal(n string) bool {
	return !w.hidden(n) && w.exists(n) && len(w[n]) == 0
}

func (w world) absent(n string) bool { return !w.hidden(n) && !w.exists(n) }

func (w world) noName(n string) bool {
	return w.absent(n) && !w.exists("*."+w.encloser(n))
}

func (w world) wildcardNoData(n string, typ uint16) bool {
	return w.absent(n) && w.noData("*."+w.encloser(n), typ)
}

func (w world) wildcardExpansion(n, encloser string) bool {
	return w.absent(n) && w.encloser(n) == encloser
}

func (w world) noDS(n string) bool { return !w.hidden(n) && w.isCut(n) && !w.has(n, dns.TypeDS) }

// signed returns the zone as an opt-out chain may show it: without unsigned
// delegations.
func (w world) signed() world {
	s := maps.Clone(w)
	maps.DeleteFunc(s, func(n string, _ []uint16) bool { return w.noDS(n) })
	return s
}

// nodes returns all names that exist, empty ones included.
func (w world) nodes() []string {
	all := map[string]bool{}
	for n := range w {
		for _, a := range append(ancestors(n), n) {
			all[a] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// nsecs returns the NSEC chain of the zone, RFC 4034 section 4.
func (w world) nsecs() (chain []dns.RR) {
	names := slices.SortedFunc(maps.Keys(w), func(a, b string) int {
		la, lb := dns.SplitDomainName(a), dns.SplitDomainName(b)
		slices.Reverse(la)
		slices.Reverse(lb)
		return slices.Compare(la, lb)
	})
	for i, n := range names {
		chain = append(chain, &dns.NSEC{
			Hdr:        dns.RR_Header{Name: n, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: names[(i+1)%len(names)],
			TypeBitMap: append(slices.Clone(w[n]), dns.TypeRRSIG, dns.TypeNSEC),
		})
	}
	return chain
}

// nsec3s returns the NSEC3 chain of the zone, RFC 5155 section 7.1: of all
// nodes, or with opt-out of those that signed shows. A record has the flag if
// it must, for what is left out in its span, and with opt-out by chance besides.
func (w world) nsec3s(r *rand.Rand, optOut bool) (chain []dns.RR) {
	salt, iterations := hex.EncodeToString([]byte("salt")[:r.IntN(5)]), uint16(r.IntN(3))
	shown := w
	if optOut {
		shown = w.signed()
	}
	byHash := map[string]string{}
	var left []string // hashes of what is left out
	for _, n := range w.nodes() {
		if h := dns.HashName(n, dns.SHA1, iterations, salt); shown.exists(n) {
			byHash[h] = n
		} else {
			left = append(left, h)
		}
	}
	hashes := slices.Sorted(maps.Keys(byHash))
	for i, h := range hashes {
		rr := &dns.NSEC3{
			Hdr:        dns.RR_Header{Name: strings.ToLower(h) + "." + apex, Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 300},
			Hash:       dns.SHA1,
			Iterations: iterations,
			SaltLength: uint8(len(salt) / 2),
			Salt:       salt,
			HashLength: 20,
			NextDomain: hashes[(i+1)%len(hashes)],
			TypeBitMap: slices.Clone(w[byHash[h]]),
		}
		must := slices.ContainsFunc(left, func(l string) bool {
			return h < l && l < rr.NextDomain || rr.NextDomain <= h && (h < l || l < rr.NextDomain)
		})
		if must || optOut && r.IntN(2) == 0 {
			rr.Flags = 1
		}
		chain = append(chain, rr)
	}
	return chain
}

// A question is one about a world.
type question struct {
	name     string
	typ      uint16
	encloser string // of a wildcard that exists
}

// ask draws a question, often about what is there.
func (w world) ask(r *rand.Rand) question {
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeDS, dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypeDNAME, dns.TypeTXT}
	q := question{name: drawName(r, 4), typ: types[r.IntN(len(types))]}
	if nodes := w.nodes(); r.IntN(2) == 0 {
		q.name = nodes[r.IntN(len(nodes))]
	}
	for _, n := range slices.Sorted(maps.Keys(w)) {
		if parent, ok := strings.CutPrefix(n, "*."); ok && dns.IsSubDomain(parent, q.name) && parent != q.name {
			q.encloser = parent
		}
	}
	return q
}

// A statement is a proof function for NSEC, one for NSEC3, and what is true.
type statement struct {
	truth func(world, question) bool
	nsec  func(nsecs, question) Status
	nsec3 func(*chain, question) Status

	// must is what the whole chain has to prove. If nil, it is what is true of
	// the world as the chain shows it.
	must func(w, shown world, q question) bool
}

// fuzz draws zones, questions and subsets of the zone's records. What is proven
// must hold whatever is left of the records; what is true must be proven if all
// are there.
func (s statement) fuzz(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed, uint64(0))
	}
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		w := newWorld(r)
		optOut := r.IntN(2) == 0
		plain, hashed := w.nsecs(), w.nsec3s(r, optOut)
		shown := w
		if optOut {
			shown = w.signed()
		}
		for range 20 {
			q := w.ask(r)
			share := []int{25, 50, 80, 100}[r.IntN(4)] // percent of the records that came
			if s.nsec != nil {
				some := subset(r, plain, share)
				e := readAll(t, some)
				s.check(t, w, w, q, some, s.nsec(e.nsecs, q), share == 100)
			}
			if s.nsec3 != nil {
				some := subset(r, hashed, share)
				e := readAll(t, some)
				s.check(t, w, shown, q, some, s.nsec3(&e.chain, q), share == 100)
				if e.chain.fault != nil {
					t.Fatalf("a small zone is too much: %v", e.chain.fault)
				}
			}
		}
	})
}

// check fails if got is not what may be said of q in w, of which the chain
// shows so much.
func (s statement) check(t *testing.T, w, shown world, q question, rrs []dns.RR, got Status, whole bool) {
	t.Helper()
	must := s.truth(shown, q)
	if s.must != nil {
		must = s.must(w, shown, q)
	}
	var wrong string
	switch {
	case got == Secure && !s.truth(w, q):
		wrong = "is false, and secure"
	case got == Insecure && !s.truth(shown, q):
		wrong = "is false whatever is left out, and insecure"
	case got == Bogus && whole && must:
		wrong = "is true, and nothing is missing, but bogus"
	default:
		return
	}
	t.Errorf("the statement about %s %s (%s) %s\nzone %v\nrecords %s",
		q.name, dns.Type(q.typ), q.encloser, wrong, w, fmt.Sprint(rrs))
}

// subset draws a share of the records, in percent, in any order.
func subset(r *rand.Rand, rrs []dns.RR, share int) (some []dns.RR) {
	for _, i := range r.Perm(len(rrs)) {
		if r.IntN(100) < share {
			some = append(some, rrs[i])
		}
	}
	return some
}

// readAll makes evidence of records as if all were verified.
func readAll(t *testing.T, rrs []dns.RR) evidence {
	t.Helper()
	zone := mustName(t, apex)
	plain, hashed := readDenials(RRset{RRs: rrs}, zone)
	if len(plain)+len(hashed) != len(rrs) {
		t.Fatalf("%d of %d genuine records were read", len(plain)+len(hashed), len(rrs))
	}
	return evidence{nsecs: plain, chain: newChain(zone, hashed, NewWork(Rules{}))}
}
