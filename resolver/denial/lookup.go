package denial

import (
	"slices"
	"strings"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// maxHashes bounds the names that one Lookup hashes, from the apex down: 16, an
// eighth of what a query may spend. A proof needs one for each label below the
// apex and one for the wildcard; only reverse names of IPv6 are deeper.
const maxHashes = 16

// An Answer is what the zone would reply, put together from what it has signed.
// It is secure.
type Answer struct {
	Rcode int // NOERROR or NXDOMAIN

	// Answer are the records of a wildcard under the question's name, perhaps
	// an alias for another question, with their signatures. Empty if there are
	// none of the type.
	Answer []dns.RR

	// Authority is the SOA, if nothing was found, and the proofs, each with its
	// signatures.
	Authority []dns.RR

	// Until is when the first record expires. All TTLs say so too.
	Until time.Time
}

// Lookup answers q if the records known of zone, in lower case, prove what the
// zone would reply at the time at. The caller knows that q's name is the zone's
// to answer, unless the zone has delegated it, and that the zone is secure.
// Records are copies, the caller's own.
//
// An opt-out span denies nothing here. NSEC3 hashes are paid from w; there are
// none if their parameters are beyond what is computed.
func (c *Cache) Lookup(q dns.Question, zone string, at time.Time, w *dnssec.Work) (Answer, bool) {
	n, ok := pathOf(q.Name)
	if !ok || q.Qclass != dns.ClassINET || meta(q.Qtype) {
		return Answer{}, false
	}
	z := c.find(zone)
	if z == nil || !n.within(z.apex) {
		return Answer{}, false
	}
	if q.Qtype == dns.TypeDS && n == z.apex { // of the DS the parent speaks, RFC 4035 section 3.1.4.1
		return Answer{}, false
	}
	var f finding
	if z.style.hashed {
		s := hashing{zone: z, at: at, work: w}
		f, ok = s.prove(dns.CanonicalName(q.Name), q.Qtype)
	} else {
		f, ok = z.prove(n, q.Qtype, at)
	}
	if !ok {
		return Answer{}, false
	}
	return z.compose(q.Name, f, at)
}

// meta reports whether records cannot have this type, so that no list names it:
// OPT, and from TKEY to ANY (RFC 6895 section 3.1).
func meta(qtype uint16) bool {
	return qtype == dns.TypeOPT || qtype >= dns.TypeTKEY && qtype <= dns.TypeANY
}

// A finding is what the links prove.
type finding struct {
	rcode    int
	proof    []*link
	expanded *held // the wildcard's records, nil if there are none
}

// noData is the finding that the name, or the wildcard in its place, has nothing.
func noData(proof ...*link) (finding, bool) {
	return finding{rcode: dns.RcodeSuccess, proof: proof}, true
}

// prove finds what NSEC prove of n: RFC 4035 section 5.4.
func (z *zone) prove(n path, qtype uint16, at time.Time) (finding, bool) {
	l, exact, ok := z.search(string(n), at)
	switch {
	case !ok:
		return finding{}, false
	case exact && l.types.Deny(qtype, n == ""):
		return noData(l)
	case exact, l.types.Silent() && n.within(path(l.key)):
		return finding{}, false
	case path(l.next).below(n): // an empty non-terminal
		return noData(l)
	}
	// Of the names that exist, the two at the ends are the closest to n.
	encloser := n.common(path(l.key))
	if other := n.common(path(l.next)); len(other) > len(encloser) {
		encloser = other
	}
	if h, ok := z.expansion(encloser, qtype, at); ok {
		return finding{rcode: dns.RcodeSuccess, proof: []*link{l}, expanded: h}, true
	}
	star := encloser.star()
	s, exact, ok := z.search(string(star), at)
	switch {
	case !ok:
		return finding{}, false
	case exact && s.types.Deny(qtype, false):
		return noData(l, s)
	case exact, s.types.Silent() && star.within(path(s.key)):
		return finding{}, false
	case path(s.next).below(star):
		return noData(l, s)
	}
	return finding{rcode: dns.RcodeNameError, proof: []*link{l, s}}, true
}

// A hashing is one search in a zone with NSEC3.
type hashing struct {
	zone   *zone
	at     time.Time
	work   *dnssec.Work
	like   *dns.NSEC3 // a record with the zone's parameters
	hashed int
}

// prove finds what NSEC3 prove of n: RFC 5155 sections 8.4 to 8.8. It goes from
// the apex towards n until something does not exist, since then nothing below
// does: a long name costs no more than a short one.
func (s *hashing) prove(n string, qtype uint16) (finding, bool) {
	s.like = &dns.NSEC3{Hash: dns.SHA1, Iterations: s.zone.style.iterations, Salt: s.zone.style.salt}
	var encloser *link // of the name one label above, if that exists
	for _, name := range down(s.zone.name, n) {
		l, exact, ok := s.search(name)
		switch {
		case exact && name == n && l.types.Deny(qtype, n == "."):
			return noData(l)
		case exact && (name == n || l.types.Silent()):
			return finding{}, false
		case exact:
			encloser = l
		case ok && !l.optOut:
			return s.wildcard(name, encloser, l, qtype)
		case ok, s.hashed > maxHashes:
			return finding{}, false
		default: // it may exist
			encloser = nil
		}
	}
	return finding{}, false
}

// wildcard finds what the wildcard has in the place of n, given that next, the
// name towards it one label below encloser, is covered.
func (s *hashing) wildcard(next string, encloser, covers *link, qtype uint16) (finding, bool) {
	name := parent(next)
	p, ok := pathOf(name)
	if !ok {
		return finding{}, false
	}
	if h, ok := s.zone.expansion(p, qtype, s.at); ok {
		return finding{rcode: dns.RcodeSuccess, proof: []*link{covers}, expanded: h}, true
	}
	if encloser == nil {
		return finding{}, false
	}
	l, exact, ok := s.search("*." + strings.TrimPrefix(name, "."))
	switch {
	case exact && l.types.Deny(qtype, false):
		return noData(encloser, covers, l)
	case !ok, exact, l.optOut:
		return finding{}, false
	}
	return finding{rcode: dns.RcodeNameError, proof: []*link{encloser, covers, l}}, true
}

// search hashes a name and returns the link from it, or the one that covers it.
func (s *hashing) search(name string) (l *link, exact, ok bool) {
	if s.hashed++; s.hashed > maxHashes {
		return nil, false, false
	}
	h, ok := dnssec.HashName(name, s.like, s.work)
	if !ok {
		s.hashed = maxHashes + 1 // the next would not be either
		return nil, false, false
	}
	return s.zone.search(string(h[:]), s.at)
}

// down returns the names from zone to n, which is within it.
func down(zone, n string) []string {
	names := []string{n}
	for n != zone && n != "." {
		n = parent(n)
		names = append(names, n)
	}
	slices.Reverse(names)
	return names
}

// parent returns a name less its first label; the root has none.
func parent(n string) string {
	next, end := dns.NextLabel(n, 0)
	if end {
		return "."
	}
	return n[next:]
}

// compose makes the Answer of a finding. Links last no longer than the SOA lets
// denials last, RFC 9077 section 3.
func (z *zone) compose(name string, f finding, at time.Time) (Answer, bool) {
	a := Answer{Rcode: f.rcode}
	var parts []*held
	z.mu.Lock()
	soa, negative := z.soa, z.negative
	z.mu.Unlock()
	if f.expanded != nil {
		a.Until = f.expanded.expires
	} else {
		if soa == nil {
			return Answer{}, false
		}
		a.Until = soa.since.Add(negative)
		parts = append(parts, soa)
	}
	for i, l := range f.proof {
		if slices.Contains(f.proof[:i], l) {
			continue
		}
		parts = append(parts, &l.held)
		a.Until = earlier(a.Until, l.expires)
		if f.expanded == nil {
			a.Until = earlier(a.Until, l.since.Add(negative))
		}
	}
	ttl := a.Until.Sub(at) / time.Second
	if ttl < 1 {
		return Answer{}, false
	}
	if f.expanded != nil {
		a.Answer = f.expanded.appendTo(nil, name, uint32(ttl))
	}
	for _, h := range parts {
		a.Authority = h.appendTo(a.Authority, h.set.Name(), uint32(ttl))
	}
	return a, true
}

// appendTo appends copies of the set under a name and with a TTL in seconds.
func (h *held) appendTo(rrs []dns.RR, name string, ttl uint32) []dns.RR {
	first := len(rrs)
	for _, rr := range h.set.RRs {
		rrs = append(rrs, dns.Copy(rr))
	}
	for _, sig := range h.set.Sigs {
		rrs = append(rrs, dns.Copy(sig))
	}
	for _, rr := range rrs[first:] {
		rr.Header().Name, rr.Header().Ttl = name, ttl
	}
	return rrs
}
