package denial

import (
	"slices"
	"strings"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

const (
	// maxLife bounds how long a record is used, whatever its TTL. Three hours,
	// as RFC 2308 section 5 would have denials cached.
	maxLife = 3 * time.Hour

	// maxWeight bounds one set, in octets as weigh counts them. 8 KiB: an NSEC
	// with two RSA-4096 signatures has a third of that.
	maxWeight = 8 << 10

	// fixedWeight is what a set takes beside its data: headers, slices and the
	// places where it is noted.
	fixedWeight = 512
)

// A held set is one that may be given out until it expires. What it points to
// never changes.
type held struct {
	set     dnssec.RRset
	since   time.Time
	expires time.Time
	weight  int

	used int64 // when it last helped, in seconds; guarded by the zone's mu
}

// hold keeps a set with those signatures that are the zone's own, until the
// first that ends of them, the TTL, maxLife and until. It is not ok if there is
// nothing left to keep, or too much.
func hold(set dnssec.RRset, zone string, until, at time.Time) (h held, ok bool) {
	h = held{set: dnssec.RRset{RRs: set.RRs}, since: at, used: at.Unix()}
	ttl := uint32(maxLife / time.Second)
	for _, rr := range set.RRs {
		ttl = min(ttl, ttlOf(rr))
	}
	for _, sig := range set.Sigs {
		if dns.CanonicalName(sig.SignerName) == zone {
			h.set.Sigs = append(h.set.Sigs, sig)
			ttl = min(ttl, ttlOf(sig), sig.OrigTtl)
		}
	}
	h.expires = earlier(at.Add(time.Duration(ttl)*time.Second), until)
	h.weight = weigh(h.set)
	return h, len(h.set.RRs) > 0 && len(h.set.Sigs) > 0 && h.expires.After(at) && h.weight <= maxWeight
}

// weigh estimates the octets that a set takes in memory. Text and structures
// take about twice what the records take in a message.
func weigh(set dnssec.RRset) int {
	n := fixedWeight
	for _, rr := range set.RRs {
		n += 2 * dns.Len(rr)
	}
	for _, sig := range set.Sigs {
		n += 2 * dns.Len(sig)
	}
	return n
}

// ttlOf returns the TTL of a record; one with the top bit set is 0, RFC 2181
// section 8.
func ttlOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return ttl
	}
	return 0
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// A link is an NSEC or NSEC3 record: between key and next is nothing, except,
// with optOut, delegations that are not signed. Of NSEC both are paths, of
// NSEC3 hashes.
type link struct {
	held
	key, next string
	optOut    bool
	types     dnssec.Types
}

// covers reports whether key stands between the two ends. The last link of a
// zone leads to the first.
func (l *link) covers(key string) bool {
	after, before := l.key < key, key < l.next
	if l.key < l.next {
		return after && before
	}
	return after || before
}

// A style is how a zone denies: by NSEC, or by NSEC3 with certain parameters.
type style struct {
	hashed     bool
	iterations uint16
	salt       string // in hexadecimal
}

// readLink reads a set of zone that the zone has signed. It refuses more than
// one record, what was expanded from a wildcard, and what reaches outside the
// zone (CVE-2026-13321).
func readLink(set dnssec.RRset, zone string, until, at time.Time) (*link, style, bool) {
	h, ok := hold(set, zone, until, at)
	if !ok || len(set.RRs) != 1 || set.RRs[0].Header().Class != dns.ClassINET {
		return nil, style{}, false
	}
	owner, ok := pathOf(set.Name())
	if !ok || slices.ContainsFunc(h.set.Sigs, func(s *dns.RRSIG) bool { return int(s.Labels) != owner.labels() }) {
		return nil, style{}, false
	}
	l := &link{held: h}
	switch rr := set.RRs[0].(type) {
	case *dns.NSEC:
		return l, style{}, l.readNSEC(rr, zone)
	case *dns.NSEC3:
		s := style{hashed: true, iterations: rr.Iterations, salt: strings.ToLower(strings.TrimPrefix(rr.Salt, "-"))}
		return l, s, l.readNSEC3(rr, zone)
	default:
		return nil, style{}, false
	}
}

// readNSEC refuses a record that leads back, unless to the apex.
func (l *link) readNSEC(rr *dns.NSEC, zone string) bool {
	apex, ok1 := pathOf(zone)
	owner, ok2 := pathOf(rr.Hdr.Name)
	next, ok3 := pathOf(rr.NextDomain)
	if !ok1 || !ok2 || !ok3 || !owner.within(apex) || !next.within(apex) || (next <= owner && next != apex) {
		return false
	}
	l.key, l.next, l.types = string(owner), string(next), rr.TypeBitMap
	return true
}

// readNSEC3 refuses what dnssec does.
func (l *link) readNSEC3(rr *dns.NSEC3, zone string) bool {
	owner, next, ok := dnssec.ReadNSEC3(rr, zone)
	l.key, l.next = string(owner[:]), string(next[:])
	l.optOut, l.types = rr.Flags&1 != 0, rr.TypeBitMap
	return ok
}
