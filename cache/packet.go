package cache

import (
	"encoding/binary"
	"slices"
	"sync"

	"proxima/wire"
)

// farthest bounds the offsets to which a compression pointer can point: it has
// 14 bits, RFC 1035 section 4.1.4.
const farthest = 1 << 14

// A packet is a message and the offsets of the TTL fields in it.
type packet struct {
	msg  []byte
	ttls []uint16
}

// A copier makes of a message what an Answer keeps of it: the full message, and
// the plain one for clients that did not set DO. It copies records from one
// message to another. Names that were compressed in the first stay so in the
// second, and nothing is compressed that was not: the copier knows where each
// label went that it has written, and spells out a label whose place was left
// behind. Its memory is used again.
type copier struct {
	from    []byte
	records []wire.Record // the index of from
	moved   []uint16      // for the offset of a label in from, its offset in to; 0 = none

	full, plain packet
	to          *packet // that of both which is being written
	shared      int     // octets after the header with which both begin
	sharedTTLs  int     // TTLs in those
}

var copiers = sync.Pool{New: func() any { return new(copier) }}

// copy writes full and plain. It is false if a name in the data of a record is
// unsound or the copy outgrows a message.
func (c *copier) copy(typ uint16) bool {
	first := slices.IndexFunc(c.records, func(r wire.Record) bool { return authenticates(r.Type, typ) })
	if first < 0 {
		first = len(c.records)
	}
	c.begin(&c.full)
	if !c.append(c.records[:first]) {
		return false
	}
	c.shared, c.sharedTTLs = len(c.full.msg), len(c.full.ttls)
	c.plain.msg = append(c.plain.msg[:0], c.full.msg...)
	c.plain.ttls = append(c.plain.ttls[:0], c.full.ttls...)
	rest := c.records[first:]
	if !c.append(rest) {
		return false
	}
	if !slices.ContainsFunc(rest, func(r wire.Record) bool { return !authenticates(r.Type, typ) }) {
		return true
	}
	// A label that first stood in what is left out moves, and so do those that
	// come after it: all is to be written once more.
	c.begin(&c.plain)
	if !c.append(slices.DeleteFunc(c.records, func(r wire.Record) bool { return authenticates(r.Type, typ) })) {
		c.plain = packet{append(c.plain.msg[:0], c.full.msg...), append(c.plain.ttls[:0], c.full.ttls...)}
		c.shared, c.sharedTTLs = len(c.full.msg), len(c.full.ttls) // rather signatures than nothing
	}
	return true
}

// begin starts a message with the header, the question in lower case and no
// records yet.
func (c *copier) begin(to *packet) {
	c.to = to
	c.moved = slices.Grow(c.moved[:0], len(c.from))[:len(c.from)]
	clear(c.moved)
	to.msg, to.ttls = append(to.msg[:0], c.from[:6]...), to.ttls[:0]
	to.msg = append(to.msg, 0, 0, 0, 0, 0, 0)
	c.name(wire.HeaderLen)
	end := len(to.msg)
	for i, octet := range to.msg[wire.HeaderLen:] {
		to.msg[wire.HeaderLen+i] = wire.Lower(octet)
	}
	to.msg = append(to.msg, c.from[end:end+4]...)
}

// append copies records.
func (c *copier) append(records []wire.Record) bool {
	for _, r := range records {
		if !c.record(r) {
			return false
		}
	}
	return true
}

// record copies one record and counts it in its section. A TTL with the top bit
// becomes 0.
func (c *copier) record(r wire.Record) bool {
	to := c.to
	c.name(r.Start)
	fixed := len(to.msg)
	to.msg = append(to.msg, c.from[r.TTL-4:r.RData]...)
	binary.BigEndian.PutUint32(to.msg[fixed+4:], readTTL(c.from[r.TTL:]))
	if !c.rdata(r) || len(to.msg) > wire.MaxMessage {
		return false
	}
	to.ttls = append(to.ttls, uint16(fixed+4))
	binary.BigEndian.PutUint16(to.msg[fixed+8:], uint16(len(to.msg)-fixed-10))
	count := to.msg[4+2*int(r.Section):]
	binary.BigEndian.PutUint16(count, binary.BigEndian.Uint16(count)+1)
	return true
}

// rdata copies the data of a record.
func (c *copier) rdata(r wire.Record) bool {
	l := layoutOf(r.Type)
	off := r.RData + l.octets
	for range l.strings {
		if off >= r.End {
			return false
		}
		off += 1 + int(c.from[off])
	}
	if off > r.End {
		return false
	}
	c.to.msg = append(c.to.msg, c.from[r.RData:off]...)
	for range l.names {
		next, ok := wire.SkipName(c.from, off)
		if !ok || next > r.End {
			return false
		}
		c.name(off)
		off = next
	}
	c.to.msg = append(c.to.msg, c.from[off:r.End]...)
	return true
}

// name copies the name at off, which is known to be sound.
func (c *copier) name(off int) {
	for {
		n := int(c.from[off])
		switch {
		case n == 0:
			c.to.msg = append(c.to.msg, 0)
			return
		case n >= 0xC0:
			off = (n&0x3F)<<8 | int(c.from[off+1])
			continue
		case c.moved[off] != 0:
			c.to.msg = append(c.to.msg, 0xC0|byte(c.moved[off]>>8), byte(c.moved[off]))
			return
		case len(c.to.msg) < farthest:
			c.moved[off] = uint16(len(c.to.msg))
		}
		c.to.msg = append(c.to.msg, c.from[off:off+1+n]...)
		off += 1 + n
	}
}

// A layout says where the data of a record has names that may be compressed:
// after so many octets and so many character strings. What follows the names
// is copied as it is.
type layout struct{ octets, strings, names int }

// layoutOf returns the layout of a type. Only the types of RFC 1035 may be
// sent with compressed names, but others were, and RFC 3597 section 4 names
// those to be read so; RRSIG and NSEC have the shape of SIG and NXT, and the
// same servers in the field. In all newer types a name is never compressed.
func layoutOf(typ uint16) layout {
	switch typ {
	case wire.TypeNS, wire.TypeMD, wire.TypeMF, wire.TypeCNAME, wire.TypeMB, wire.TypeMG,
		wire.TypeMR, wire.TypePTR, wire.TypeDNAME, wire.TypeNXT, wire.TypeNSEC:
		return layout{names: 1}
	case wire.TypeSOA, wire.TypeMINFO, wire.TypeRP:
		return layout{names: 2}
	case wire.TypeMX, wire.TypeAFSDB, wire.TypeRT, wire.TypeKX:
		return layout{octets: 2, names: 1}
	case wire.TypePX:
		return layout{octets: 2, names: 2}
	case wire.TypeSRV:
		return layout{octets: 6, names: 1}
	case wire.TypeNAPTR:
		return layout{octets: 4, strings: 3, names: 1}
	case wire.TypeSIG, wire.TypeRRSIG:
		return layout{octets: 18, names: 1}
	}
	return layout{}
}
