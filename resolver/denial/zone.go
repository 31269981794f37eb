package denial

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// maxExpansions bounds the sets of wildcards that a zone may have here. 16:
// zones have one or two wildcards, with a few types each.
const maxExpansions = 16

// An expansion names a set of a wildcard: the path of the name that it stands
// below, and a type.
type expansion struct {
	encloser path
	typ      uint16
}

// A zone is what is known of one. If it changes its style, it is another.
type zone struct {
	// Immutable.
	name  string
	apex  path
	style style
	total *atomic.Int64 // the Cache's weight

	mu         sync.Mutex
	links      []*link // by key; disjoint
	expansions map[expansion]*held
	soa        *held
	negative   time.Duration // how long the SOA lets a denial last
	weight     int
	closed     bool // the Cache has forgotten it: nothing is added any more
}

// search returns the link from key, or else the one that covers it. What has
// expired does not count.
func (z *zone) search(key string, at time.Time) (l *link, exact, ok bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.links) == 0 {
		return nil, false, false
	}
	i, exact := z.index(key)
	if !exact {
		i = z.before(i)
	}
	l = z.links[i]
	if !at.Before(l.expires) || !exact && !l.covers(key) {
		return nil, false, false
	}
	l.used = at.Unix()
	return l, exact, true
}

// index returns where the link from key is, or would be.
func (z *zone) index(key string) (int, bool) {
	return slices.BinarySearchFunc(z.links, key, func(l *link, key string) int { return cmp.Compare(l.key, key) })
}

// before returns the index before i; before the first is the last.
func (z *zone) before(i int) int { return (i + len(z.links) - 1) % len(z.links) }

// add puts a link in the place of all that it contradicts: one that begins where
// it does, one that covers where it begins, and those that begin where it says
// that nothing is.
func (z *zone) add(l *link, at time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return
	}
	i, exact := z.index(l.key)
	if !exact && len(z.links) > 0 {
		if b := z.before(i); z.links[b].covers(l.key) {
			z.remove(b, b+1)
			i, _ = z.index(l.key)
		}
	}
	end := i
	for end < len(z.links) && (z.links[end].key == l.key || l.covers(z.links[end].key)) {
		end++
	}
	z.remove(i, end)
	z.links = slices.Insert(z.links, i, l)
	z.weigh(l.weight)
	if l.next <= l.key { // it goes on at the beginning
		end = 0
		for end < i && l.covers(z.links[end].key) {
			end++
		}
		z.remove(0, end)
	}
}

// remove takes out the links from i up to end.
func (z *zone) remove(i, end int) {
	for _, l := range z.links[i:end] {
		z.weigh(-l.weight)
	}
	z.links = slices.Delete(z.links, i, end)
}

// weigh notes that the zone weighs more by so much.
func (z *zone) weigh(by int) {
	z.weight += by
	z.total.Add(int64(by))
}

// putSOA remembers the SOA, which lets denials last so long.
func (z *zone) putSOA(h *held, negative time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return
	}
	if z.soa != nil {
		z.weigh(-z.soa.weight)
	}
	z.soa, z.negative = h, negative
	z.weigh(h.weight)
}

// putExpansion remembers a set of a wildcard. If there are too many, any one
// that has expired, or else any one at all, makes place.
func (z *zone) putExpansion(key expansion, h *held) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return
	}
	if z.expansions == nil {
		z.expansions = make(map[expansion]*held)
	}
	z.drop(key)
	if len(z.expansions) >= maxExpansions {
		victim := expansion{}
		for k, other := range z.expansions {
			if victim = k; !h.since.Before(other.expires) {
				break
			}
		}
		z.drop(victim)
	}
	z.expansions[key] = h
	z.weigh(h.weight)
}

// drop forgets a set of a wildcard.
func (z *zone) drop(key expansion) {
	if h, ok := z.expansions[key]; ok {
		z.weigh(-h.weight)
		delete(z.expansions, key)
	}
}

// expansion returns what the wildcard below encloser has for a type: records of
// it, or an alias.
func (z *zone) expansion(encloser path, qtype uint16, at time.Time) (*held, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, typ := range []uint16{qtype, dns.TypeCNAME} {
		if h, ok := z.expansions[expansion{encloser, typ}]; ok && at.Before(h.expires) {
			return h, true
		}
	}
	return nil, false
}

// trim brings the zone down to three quarters of limit if it weighs more. What
// has expired goes first, then the links that have not helped for longest.
func (z *zone) trim(limit int, at time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.weight <= limit {
		return
	}
	gone := func(l *link) int64 {
		if !at.Before(l.expires) {
			return 0
		}
		return l.used
	}
	oldest := slices.SortedFunc(slices.Values(z.links), func(a, b *link) int { return cmp.Compare(gone(a), gone(b)) })
	const forgotten = -1
	for _, l := range oldest {
		if z.weight <= limit/4*3 {
			break
		}
		l.used = forgotten
		z.weigh(-l.weight)
	}
	z.links = slices.DeleteFunc(z.links, func(l *link) bool { return l.used == forgotten })
}

// close ends the zone.
func (z *zone) close() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.closed = true
	z.weigh(-z.weight)
	z.links, z.expansions, z.soa = nil, nil, nil
}

// readSOA reads an SOA set of the zone, with how long it lets a denial last: its
// own TTL or its MINIMUM, whichever is less (RFC 2308 section 5).
func readSOA(set dnssec.RRset, zone string, signed dnssec.Signed, at time.Time) (h *held, negative time.Duration, ok bool) {
	if len(set.RRs) != 1 || signed.Wildcard != "" || dns.CanonicalName(set.Name()) != zone {
		return nil, 0, false
	}
	soa, ok := set.RRs[0].(*dns.SOA)
	if !ok {
		return nil, 0, false
	}
	kept, ok := hold(set, zone, signed.Until, at)
	negative = min(time.Duration(min(ttlOf(soa), soa.Minttl))*time.Second, kept.expires.Sub(at))
	return &kept, negative, ok
}

// readExpansion reads a set that signed says was expanded from a wildcard of
// the zone. Wildcards that delegate or rename mean nothing, RFC 4592 section 4.
func readExpansion(set dnssec.RRset, zone string, signed dnssec.Signed, at time.Time) (h *held, key expansion, ok bool) {
	wildcard, ok1 := pathOf(signed.Wildcard)
	owner, ok2 := pathOf(set.Name())
	apex, ok3 := pathOf(zone)
	encloser, isStar := cutStar(wildcard)
	if !ok1 || !ok2 || !ok3 || !isStar || !encloser.within(apex) || !owner.below(encloser) {
		return nil, expansion{}, false
	}
	if set.RRs[0].Header().Class != dns.ClassINET {
		return nil, expansion{}, false
	}
	switch set.Type() {
	case dns.TypeNS, dns.TypeDNAME, dns.TypeSOA, dns.TypeDS, dns.TypeNSEC, dns.TypeNSEC3:
		return nil, expansion{}, false
	}
	kept, ok := hold(set, zone, signed.Until, at)
	for _, sig := range kept.set.Sigs {
		ok = ok && int(sig.Labels) == wildcard.labels()
	}
	return &kept, expansion{encloser, set.Type()}, ok
}
