package dnssec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/miekg/dns"
)

// A form is a set of records in canonical form and order, RFC 4034 section 6,
// less what depends on the signature: its own data, the TTL and, if the set was
// expanded from a wildcard, the owner.
type form struct {
	owner      name
	typ, class uint16
	data       [][]byte // each record's data; sorted, none twice
	ttl        uint32   // the least of the set as it came, in seconds
}

var (
	errNoRecords   = errors.New("no records")
	errManyRecords = errors.New("too many records in a set")
	errMixed       = errors.New("records of different owners, types or classes are no set")
)

// formOf returns the canonical form of a set. It changes no record, so that
// many may judge the same ones at the same time.
func formOf(rrs []dns.RR) (form, error) {
	switch {
	case len(rrs) == 0:
		return form{}, errNoRecords
	case len(rrs) > maxRecords:
		return form{}, errManyRecords
	}
	// A message, since dns.PackRR would write into the records' headers.
	wire, err := (&dns.Msg{Answer: rrs}).Pack()
	if err != nil {
		return form{}, err
	}
	const header = 12 // octets before the first record
	var f form
	for rest, first := wire[header:], true; len(rest) > 0; first = false {
		one, data, after := cutRecord(rest)
		switch {
		case first:
			f = one
		case !bytes.Equal(one.owner, f.owner) || one.typ != f.typ || one.class != f.class:
			return form{}, errMixed
		}
		f.data = append(f.data, data)
		f.ttl = min(f.ttl, one.ttl)
		rest = after
	}
	slices.SortFunc(f.data, bytes.Compare)
	f.data = slices.CompactFunc(f.data, bytes.Equal)
	return f, nil
}

// cutRecord splits the first record, which is uncompressed, off wire. What it
// returns is in lower case where it has to be.
func cutRecord(wire []byte) (one form, data, rest []byte) {
	end := nameEnd(wire)
	fixed := wire[end:] // type, class, TTL and length: RFC 1035 section 3.2.1
	length := int(binary.BigEndian.Uint16(fixed[8:]))
	one = form{
		owner: name(lower(wire[:end])),
		typ:   binary.BigEndian.Uint16(fixed),
		class: binary.BigEndian.Uint16(fixed[2:]),
		ttl:   binary.BigEndian.Uint32(fixed[4:]),
	}
	data = fixed[10 : 10+length]
	LowerNames(one.typ, data)
	return one, data, fixed[10+length:]
}

// nameEnd returns how many octets of wire, at most all, the name at its
// beginning takes.
func nameEnd(wire []byte) int {
	end := 0
	for end < len(wire) && wire[end] != 0 {
		end += 1 + int(wire[end])
	}
	return min(end+1, len(wire))
}

// lowered says where the names are that the canonical form of a type has in
// lower case: after some octets and some character strings. The list is that of
// RFC 4034 section 6.2 as corrected by RFC 6840 section 5.1, which takes out
// NSEC and HINFO. Newer types are not in it: RFC 3597 section 7. A6 and SIG are
// historic and RRSIG is never signed.
var lowered = map[uint16]struct{ octets, strings, names int }{
	dns.TypeNS:    {names: 1},
	dns.TypeMD:    {names: 1},
	dns.TypeMF:    {names: 1},
	dns.TypeCNAME: {names: 1},
	dns.TypeSOA:   {names: 2},
	dns.TypeMB:    {names: 1},
	dns.TypeMG:    {names: 1},
	dns.TypeMR:    {names: 1},
	dns.TypePTR:   {names: 1},
	dns.TypeMINFO: {names: 2},
	dns.TypeMX:    {octets: 2, names: 1},
	dns.TypeRP:    {names: 2},
	dns.TypeAFSDB: {octets: 2, names: 1},
	dns.TypeRT:    {octets: 2, names: 1},
	dns.TypePX:    {octets: 2, names: 2},
	dns.TypeNXT:   {names: 1},
	dns.TypeNAPTR: {octets: 4, strings: 3, names: 1},
	dns.TypeKX:    {octets: 2, names: 1},
	dns.TypeSRV:   {octets: 6, names: 1},
	dns.TypeDNAME: {names: 1},
}

// LowerNames brings the names in a record's data to lower case, in place. Data
// that ends too early is left as it is from there on.
func LowerNames(typ uint16, data []byte) {
	at, ok := lowered[typ]
	if !ok {
		return
	}
	rest := data[min(at.octets, len(data)):]
	for range at.strings {
		if len(rest) > 0 {
			rest = rest[min(1+int(rest[0]), len(rest)):]
		}
	}
	for range at.names {
		end := nameEnd(rest)
		lower(rest[:end])
		rest = rest[end:]
	}
}

// signed returns the octets that sig was made over, RFC 4034 section 3.1.8.1,
// if zone made it and the set's owner, before a wildcard was expanded, was
// owner.
func (f form) signed(sig *dns.RRSIG, zone, owner name) []byte {
	size := 18 + len(zone)
	for _, d := range f.data {
		size += len(owner) + 10 + len(d)
	}
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint16(b, sig.TypeCovered)
	b = append(b, sig.Algorithm, sig.Labels)
	b = binary.BigEndian.AppendUint32(b, sig.OrigTtl)
	b = binary.BigEndian.AppendUint32(b, sig.Expiration)
	b = binary.BigEndian.AppendUint32(b, sig.Inception)
	b = binary.BigEndian.AppendUint16(b, sig.KeyTag)
	b = append(b, zone...)
	for _, d := range f.data {
		b = append(b, owner...)
		b = binary.BigEndian.AppendUint16(b, f.typ)
		b = binary.BigEndian.AppendUint16(b, f.class)
		b = binary.BigEndian.AppendUint32(b, sig.OrigTtl)
		b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
		b = append(b, d...)
	}
	return b
}
