package dnssec

import (
	"slices"

	"github.com/miekg/dns"
)

// types are the types of a name's records, as its NSEC or NSEC3 lists them.
type types []uint16

// has reports whether the name has records of a type.
func (t types) has(qtype uint16) bool { return slices.Contains(t, qtype) }

// cut reports whether the list is a delegation's, from the parent's side. Then
// it speaks for the DS alone, RFC 6840 section 4.1.
func (t types) cut() bool { return t.has(dns.TypeNS) && !t.has(dns.TypeSOA) }

// silent reports whether the list's owner says nothing of the names below it:
// they are another zone's, or a DNAME renames them (RFC 6840 section 4.1).
func (t types) silent() bool { return t.cut() || t.has(dns.TypeDNAME) }

// deny reports whether the list, which is n's, proves that a question for a
// type finds nothing. It does not if the type is listed; nor if an alias is,
// which would be followed (RFC 6840 section 4.3); nor if the list is that of
// the wrong side of a zone cut, since of the DS the parent speaks and of all
// else the child. The root has no parent.
func (t types) deny(qtype uint16, n name) bool {
	switch {
	case t.has(qtype), t.has(dns.TypeCNAME), meta(qtype):
		return false
	case qtype == dns.TypeDS:
		return !t.has(dns.TypeSOA) || len(n) == 1
	default:
		return !t.cut()
	}
}

// meta reports whether records cannot have this type, so that no list names it:
// OPT, and from TKEY to ANY (RFC 6895 section 3.1).
func meta(qtype uint16) bool {
	return qtype == dns.TypeOPT || qtype >= dns.TypeTKEY && qtype <= dns.TypeANY
}
