package denial

import (
	"crypto/ed25519"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// today is the date of the tests.
var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// week is when the signatures of the tests end, less their skew.
var week = today.Add(7 * 24 * time.Hour)

// An authority is a zone with one key, which signs it.
type authority struct {
	zone    string
	key     *dns.DNSKEY
	private ed25519.PrivateKey
	keys    dnssec.Keys
}

func mustAuthority(tb testing.TB, zone string) authority {
	tb.Helper()
	a := authority{zone: zone, key: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ED25519,
	}}
	for a.key.KeyTag() == 0 || a.private == nil { // miekg/dns does not sign with a key whose tag is 0
		private, err := a.key.Generate(256)
		if err != nil {
			tb.Fatal(err)
		}
		a.private = private.(ed25519.PrivateKey)
	}
	var err error
	a.keys, err = dnssec.TrustKeys(zone, []*dns.DS{a.key.ToDS(dns.SHA256)}, a.sign(tb, a.key), today, dnssec.NewWork(dnssec.Rules{}))
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// sign signs records; those of a wildcard may be expanded afterwards.
func (a authority) sign(tb testing.TB, rrs ...dns.RR) dnssec.RRset {
	tb.Helper()
	h := rrs[0].Header()
	sig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: h.Class, Ttl: h.Ttl},
		Algorithm:  a.key.Algorithm,
		Inception:  uint32(today.Add(-24 * time.Hour).Unix()),
		Expiration: uint32(week.Unix()),
		KeyTag:     a.key.KeyTag(),
		SignerName: a.zone,
	}
	if err := sig.Sign(a.private, rrs); err != nil {
		tb.Fatal(err)
	}
	return dnssec.RRset{RRs: rrs, Sigs: []*dns.RRSIG{sig}}
}

// set signs a record given as text.
func (a authority) set(tb testing.TB, text string) dnssec.RRset {
	tb.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		tb.Fatal(err)
	}
	return a.sign(tb, rr)
}

// expand gives a wildcard's set another owner.
func expand(set dnssec.RRset, owner string) dnssec.RRset {
	var e dnssec.RRset
	for _, rr := range set.RRs {
		c := dns.Copy(rr)
		c.Header().Name = owner
		e.RRs = append(e.RRs, c)
	}
	for _, sig := range set.Sigs {
		c := dns.Copy(sig).(*dns.RRSIG)
		c.Hdr.Name = owner
		e.Sigs = append(e.Sigs, c)
	}
	return e
}

// denied is a Denial of these sets.
func denied(sets ...dnssec.RRset) dnssec.Denial {
	return dnssec.Denial{Status: dnssec.Secure, Sets: sets, Until: week}
}

func mustCache(tb testing.TB, o Options) *Cache {
	tb.Helper()
	c, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// mustProve fails if what a Lookup gave is not what dnssec would believe.
func mustProve(tb testing.TB, a authority, q dns.Question, got Answer) {
	tb.Helper()
	w := dnssec.NewWork(dnssec.Rules{})
	authority := dnssec.Sets(got.Authority)
	if len(got.Answer) == 0 {
		d, err := dnssec.ProveAbsent(q, got.Rcode, authority, a.keys, today, w)
		if err != nil || d.Status != dnssec.Secure {
			tb.Errorf("%v: %v, %v: %+v", q, d.Status, err, got)
		}
		soa := authority[slices.IndexFunc(authority, func(s dnssec.RRset) bool { return s.Type() == dns.TypeSOA })]
		if _, err := dnssec.VerifyRRset(soa, a.keys, today, w); err != nil {
			tb.Error(err)
		}
		return
	}
	for _, set := range dnssec.Sets(got.Answer) {
		s, err := dnssec.VerifyRRset(set, a.keys, today, w)
		if err != nil {
			tb.Fatal(err)
		}
		d, err := dnssec.ProveWildcard(q.Name, s.Wildcard, authority, a.keys, today, w)
		if err != nil || d.Status != dnssec.Secure {
			tb.Errorf("%v: %v, %v: %+v", q, d.Status, err, got)
		}
	}
}

// A world is the zone example. as its owner knows it, by text alone: slow,
// obvious, and with nothing in common with what it tests. Names are in lower
// case, each with the types that it has.
type world map[string][]uint16

const apex = "example."

// newWorld draws a small zone: some names, of which some are delegations,
// aliases, wildcards or below one another.
func newWorld(r *rand.Rand) world {
	kinds := [][]uint16{
		{dns.TypeA}, {dns.TypeTXT}, {dns.TypeA, dns.TypeTXT}, {dns.TypeCNAME},
		{dns.TypeNS}, {dns.TypeNS, dns.TypeDS}, {dns.TypeDNAME},
	}
	w := world{apex: {dns.TypeNS, dns.TypeSOA}}
	for range r.IntN(9) {
		n, kind := drawName(r, 3), kinds[r.IntN(len(kinds))]
		meaningless := slices.Contains(kind, dns.TypeNS) || slices.Contains(kind, dns.TypeDNAME) // RFC 4592 section 4
		if n != apex && !(strings.HasPrefix(n, "*") && meaningless) {
			w[n] = kind
		}
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

// hidden says that n is another zone's, or renamed.
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

// reply is what the zone says: "NXDOMAIN", "NODATA", "wildcard" or, with what
// is not for this package to know, "other".
func (w world) reply(n string, typ uint16) string {
	source := "other"
	if w.hidden(n) || typ == dns.TypeDS && n == apex {
		return source
	}
	if !w.exists(n) {
		above := ancestors(n)
		n = "*." + above[slices.IndexFunc(above, w.exists)]
		source = "wildcard"
	}
	switch {
	case !w.exists(n):
		return "NXDOMAIN"
	case w.has(n, typ), w.has(n, dns.TypeCNAME):
		return source
	case w.isCut(n) && typ != dns.TypeDS:
		return "other"
	default:
		return "NODATA"
	}
}

// signed returns the zone as an opt-out chain may show it: without unsigned
// delegations.
func (w world) signed() world {
	s := maps.Clone(w)
	maps.DeleteFunc(s, func(n string, _ []uint16) bool { return w.isCut(n) && !w.has(n, dns.TypeDS) })
	return s
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
			TypeBitMap: sorted(w[n], dns.TypeRRSIG, dns.TypeNSEC),
		})
	}
	return chain
}

// sorted is a type bitmap, which packs in order only.
func sorted(a []uint16, b ...uint16) []uint16 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return all
}

// nsec3s returns the NSEC3 chain of the zone, RFC 5155 section 7.1: of all
// nodes, or with opt-out of those that signed shows. A record has the flag if
// it must, for what is left out in its span, and with opt-out by chance besides.
func (w world) nsec3s(r *rand.Rand, optOut bool) (chain []dns.RR) {
	salt, iterations, shown := hex.EncodeToString([]byte("salt")[:r.IntN(5)]), uint16(r.IntN(3)), w
	if optOut {
		shown = w.signed()
	}
	byHash := map[string]string{}
	var left []string // hashes of what is left out
	for n := range w {
		for _, node := range append(ancestors(n), n) {
			if h := dns.HashName(node, dns.SHA1, iterations, salt); shown.exists(node) {
				byHash[h] = node
			} else {
				left = append(left, h)
			}
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
			TypeBitMap: sorted(w[byHash[h]]),
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

// record returns a record of a type that newWorld draws.
func record(n string, typ uint16) dns.RR {
	h := dns.RR_Header{Name: n, Rrtype: typ, Class: dns.ClassINET, Ttl: 600}
	switch typ {
	case dns.TypeA:
		return &dns.A{Hdr: h, A: []byte{192, 0, 2, 1}}
	case dns.TypeTXT:
		return &dns.TXT{Hdr: h, Txt: []string{"hello"}}
	default:
		return &dns.CNAME{Hdr: h, Target: "target.example."}
	}
}
