package dnssec

import (
	"bytes"
	"crypto/sha1"

	"github.com/miekg/dns"
)

// An nsec3 is an NSEC3 record of a zone: between owner and next is no hash of
// a name, except, with optOut, of delegations that are not signed.
type nsec3 struct {
	owner, next hash
	params      parameters
	optOut      bool
	types       Types
}

// readNSEC3 reads an NSEC3 record as one of zone. It refuses an algorithm and
// flags that it does not know (RFC 5155 section 8.1 and 8.2), and an owner that
// is not exactly one label below the apex: that label may look like a hash of
// ours and be a child's name (CVE-2026-10723).
func readNSEC3(rr *dns.NSEC3, zone name) (nsec3, bool) {
	owner, err := canonical(rr.Hdr.Name)
	if err != nil || len(owner) == 1 || !owner.parent().equal(zone) || rr.Hash != dns.SHA1 || rr.Flags&^1 != 0 {
		return nsec3{}, false
	}
	params, ok1 := readParameters(rr)
	from, ok2 := readHash(string(owner[1 : 1+int(owner[0])]))
	to, ok3 := readHash(rr.NextDomain)
	r := nsec3{owner: from, next: to, params: params, optOut: rr.Flags&1 != 0, types: rr.TypeBitMap}
	return r, ok1 && ok2 && ok3
}

// ReadNSEC3 returns the hashes between which the record says that nothing is.
// It is not ok if the record is none of zone, or not to be understood.
func ReadNSEC3(rr *dns.NSEC3, zone string) (owner, next [sha1.Size]byte, ok bool) {
	z, err := canonical(zone)
	r, ok := readNSEC3(rr, z)
	return r.owner, r.next, ok && err == nil
}

// covers reports whether h stands between owner and next.
func (r nsec3) covers(h hash) bool {
	after := bytes.Compare(r.owner[:], h[:]) < 0
	before := bytes.Compare(h[:], r.next[:]) < 0
	if bytes.Compare(r.owner[:], r.next[:]) < 0 {
		return after && before
	}
	// The last one leads to the first; the only one leads to itself.
	return after || before
}

// A chain is the NSEC3 records of one zone with valid signatures. Each of its
// methods is a statement about n, a name of that zone, and returns Secure if
// the records prove it, Bogus if not, and Insecure if they prove it except for
// an unsigned delegation that opt-out leaves out.
type chain struct {
	zone    name
	records []nsec3 // all with the same parameters

	work   *Work
	hashed map[string]hash // what has been paid for
	fault  *ProofError     // why nothing is proven, or nothing more
}

// newChain returns the chain of records of zone. It proves nothing if their
// parameters differ, since then they are of several chains, of which none is
// whole, or if they are not affordable.
func newChain(zone name, records []nsec3, w *Work) chain {
	c := chain{zone: zone, records: records, work: w, hashed: make(map[string]hash)}
	for _, r := range records {
		switch p := r.params; {
		case p != records[0].params:
			c.fault = fault(codeBogus, zone.String(), "NSEC3 records of different parameters")
			return c
		case !p.affordable(w.rules):
			c.fault = fault(codeNSEC3Iterations, zone.String(), "NSEC3 with %d iterations and %d octets of salt", p.iterations, len(p.salt))
		}
	}
	return c
}

// noData proves that n exists and has neither records of this type nor an
// alias: RFC 5155 section 8.5 and 8.6. Empty non-terminals have a record of
// their own, with an empty list.
func (c *chain) noData(n name, qtype uint16) Status {
	if r, ok := c.match(n); ok && r.types.Deny(qtype, len(n) == 1) {
		return Secure
	}
	return Bogus
}

// emptyNonTerminal proves that n has no records at all, and exists only because
// there are names below it.
func (c *chain) emptyNonTerminal(n name) Status {
	if r, ok := c.match(n); ok && len(r.types) == 0 {
		return Secure
	}
	return Bogus
}

// noName proves that n does not exist and that there is no wildcard in its
// place: RFC 5155 section 8.4. Opt-out around the wildcard counts too, though
// section 9.2 does not say so: unsigned delegations below it make it exist.
func (c *chain) noName(n name) Status {
	encloser, status := c.closestEncloser(n)
	if status == Bogus {
		return Bogus
	}
	if wild := c.absent(encloser.star()); wild != Secure {
		return wild
	}
	return status
}

// wildcardNoData proves that n does not exist, and that the wildcard in its
// place has neither records of this type nor an alias: RFC 5155 section 8.7.
func (c *chain) wildcardNoData(n name, qtype uint16) Status {
	encloser, status := c.closestEncloser(n)
	if status == Bogus || c.noData(encloser.star(), qtype) != Secure {
		return Bogus
	}
	return status
}

// wildcardExpansion proves that the wildcard below encloser takes the place of
// n, because there is nothing closer to n: RFC 5155 section 8.8. That encloser
// exists is known from the wildcard.
func (c *chain) wildcardExpansion(n, encloser name) Status {
	if !encloser.within(c.zone) || !n.below(encloser) {
		return Bogus
	}
	return c.absent(encloser.towards(n))
}

// optOut proves that n is not signed: it does not exist, or is an unsigned
// delegation, or stands below one, or exists only because of some below it
// (RFC 5155 section 8.6 and 8.9). It is never more than Insecure.
func (c *chain) optOut(n name) Status {
	if _, status := c.closestEncloser(n); status == Insecure {
		return Insecure
	}
	return Bogus
}

// noDS proves that n is a delegation and has no DS, so that what is below is
// insecure: RFC 5155 section 8.9. It takes NS to be one, and no SOA to be the
// parent's side of it (RFC 6840 section 4.4). Where the delegation itself is
// left out, optOut says the same of it.
func (c *chain) noDS(n name) Status {
	if r, ok := c.match(n); ok && r.types.Cut() && r.types.Deny(dns.TypeDS, len(n) == 1) {
		return Secure
	}
	return Bogus
}

// closestEncloser returns the longest ancestor of n that exists, if it is
// proven that n does not: the "closest encloser proof" of RFC 5155 section 8.3.
// The status is that of the name next closer to n.
func (c *chain) closestEncloser(n name) (encloser name, status Status) {
	if _, exists := c.match(n); exists {
		return nil, Bogus
	}
	for next := n; next.below(c.zone); next = next.parent() {
		encloser := next.parent()
		r, exists := c.match(encloser)
		if !exists {
			continue
		}
		if r.types.Silent() {
			return nil, Bogus
		}
		return encloser, c.absent(next)
	}
	return nil, Bogus
}

// absent proves that n does not exist: Insecure if opt-out leaves room for an
// unsigned delegation (RFC 5155 section 9.2).
func (c *chain) absent(n name) Status {
	r, ok := c.cover(n)
	switch {
	case !ok:
		return Bogus
	case r.optOut:
		return Insecure
	default:
		return Secure
	}
}

// match returns the record of n.
func (c *chain) match(n name) (nsec3, bool) {
	return c.find(n, func(r nsec3, h hash) bool { return r.owner == h })
}

// cover returns a record that says that n has none.
func (c *chain) cover(n name) (nsec3, bool) { return c.find(n, nsec3.covers) }

// find returns the first record that has to do with the hash of n.
func (c *chain) find(n name, fits func(nsec3, hash) bool) (nsec3, bool) {
	if h, ok := c.hash(n); ok {
		for _, r := range c.records {
			if fits(r, h) {
				return r, true
			}
		}
	}
	return nsec3{}, false
}

// hash returns the hash of n, paid for once.
func (c *chain) hash(n name) (hash, bool) {
	if c.fault != nil || len(c.records) == 0 {
		return hash{}, false
	}
	if h, known := c.hashed[string(n)]; known {
		return h, true
	}
	p := c.records[0].params
	if !c.work.hash(p.price(n)) {
		c.fault = spent(n.String(), "NSEC3 hashes")
		return hash{}, false
	}
	c.hashed[string(n)] = p.hash(n)
	return c.hashed[string(n)], true
}
