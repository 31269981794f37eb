package dnssec

import (
	"slices"

	"github.com/miekg/dns"
)

// An nsec is an NSEC record of a zone: between owner and next is no name.
type nsec struct {
	owner, next name
	types       Types
}

// readNSEC reads an NSEC record as one of zone. It refuses a record that
// reaches outside: the owner would be somebody else's, and a next name there
// would deny what is not the zone's to deny (CVE-2026-13321). It refuses one
// that leads back, unless it is the last of the zone, which leads to the apex.
func readNSEC(rr *dns.NSEC, zone name) (nsec, bool) {
	owner, err1 := canonical(rr.Hdr.Name)
	next, err2 := canonical(rr.NextDomain)
	if err1 != nil || err2 != nil || !owner.within(zone) || !next.within(zone) {
		return nsec{}, false
	}
	on := owner.before(next) || next.equal(zone)
	return nsec{owner: owner, next: next, types: rr.TypeBitMap}, on
}

// covers reports whether n stands between owner and next, where nobody's
// records are but perhaps names below n.
func (r nsec) covers(n name) bool {
	if n.within(r.owner) && r.types.Silent() {
		return false
	}
	if !r.owner.before(r.next) { // the last one: next is the apex
		return r.owner.before(n) && n.within(r.next)
	}
	return r.owner.before(n) && n.before(r.next)
}

// nsecs are NSEC records of one zone with valid signatures. Each of its
// methods is a statement about n, a name of that zone, and returns Secure if
// the records prove it, Bogus if not.
type nsecs []nsec

// noData proves that n exists and has neither records of this type nor an
// alias: RFC 4035 section 5.4.
func (s nsecs) noData(n name, qtype uint16) Status {
	for _, r := range s {
		if r.owner.equal(n) && r.types.Deny(qtype, len(n) == 1) {
			return Secure
		}
	}
	return Bogus
}

// emptyNonTerminal proves that n has no records at all, and exists only because
// there are names below it, of which next is one.
func (s nsecs) emptyNonTerminal(n name) Status {
	for _, r := range s {
		if r.covers(n) && r.next.below(n) {
			return Secure
		}
	}
	return Bogus
}

// noName proves that n does not exist and that there is no wildcard in its
// place: RFC 4035 section 5.4.
func (s nsecs) noName(n name) Status {
	encloser, ok := s.closestEncloser(n)
	if !ok {
		return Bogus
	}
	if _, ok := s.closestEncloser(encloser.star()); ok {
		return Secure
	}
	return Bogus
}

// wildcardNoData proves that n does not exist, and that the wildcard in its
// place has neither records of this type nor an alias.
func (s nsecs) wildcardNoData(n name, qtype uint16) Status {
	encloser, ok := s.closestEncloser(n)
	if !ok {
		return Bogus
	}
	if s.emptyNonTerminal(encloser.star()) == Secure {
		return Secure
	}
	return s.noData(encloser.star(), qtype)
}

// wildcardExpansion proves that the wildcard below encloser takes the place of
// n, because there is nothing closer to n: RFC 4035 section 5.3.4.
func (s nsecs) wildcardExpansion(n, encloser name) Status {
	if closest, ok := s.closestEncloser(n); ok && closest.equal(encloser) {
		return Secure
	}
	return Bogus
}

// noDS proves that n is a delegation and has no DS, so that what is below is
// insecure. It takes NS to be one, and no SOA to be the parent's side of it:
// RFC 6840 section 4.4.
func (s nsecs) noDS(n name) Status {
	for _, r := range s {
		if r.owner.equal(n) && r.types.Cut() && r.types.Deny(dns.TypeDS, len(n) == 1) {
			return Secure
		}
	}
	return Bogus
}

// closestEncloser returns the longest ancestor of n that exists, if it is
// proven that n does not. The owner and the next name of the record around n
// exist with all their ancestors; nobody else is as close to n as these two.
func (s nsecs) closestEncloser(n name) (encloser name, ok bool) {
	for _, r := range s {
		if !r.covers(n) || r.next.below(n) {
			continue
		}
		encloser = n.common(r.owner)
		if other := n.common(r.next); len(other) > len(encloser) {
			encloser = other
		}
		return encloser, true
	}
	return nil, false
}

// Types are the types of a name's records, as its NSEC or NSEC3 lists them.
type Types []uint16

// Has reports whether the name has records of a type.
func (t Types) Has(qtype uint16) bool { return slices.Contains(t, qtype) }

// Cut reports whether the list is a delegation's, from the parent's side. Then
// it speaks for the DS alone, RFC 6840 section 4.1.
func (t Types) Cut() bool { return t.Has(dns.TypeNS) && !t.Has(dns.TypeSOA) }

// Silent reports whether the list's owner says nothing of the names below it:
// they are another zone's, or a DNAME renames them (RFC 6840 section 4.1).
func (t Types) Silent() bool { return t.Cut() || t.Has(dns.TypeDNAME) }

// Deny reports whether the list, which is that of the name asked for, proves
// that a question for a type finds nothing. It does not if the type is listed;
// nor if an alias is, which would be followed (RFC 6840 section 4.3); nor if the
// list is that of the wrong side of a zone cut, since of the DS the parent
// speaks and of all else the child. The root has no parent. Nor does it of OPT,
// and of TKEY to ANY, which no list names (RFC 6895 section 3.1).
func (t Types) Deny(qtype uint16, root bool) bool {
	switch {
	case t.Has(qtype), t.Has(dns.TypeCNAME), qtype == dns.TypeOPT, qtype >= dns.TypeTKEY && qtype <= dns.TypeANY:
		return false
	case qtype == dns.TypeDS:
		return !t.Has(dns.TypeSOA) || root
	default:
		return !t.Cut()
	}
}
