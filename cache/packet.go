package cache

import (
	"encoding/binary"
	"slices"

	"proxima/wire"
)

// farthest bounds the offsets to which a compression pointer can point: it has
// 14 bits, RFC 1035 section 4.1.4.
const farthest = 1 << 14

// A copier copies records from one message to another. Names that were
// compressed in the first stay so in the second, and nothing is compressed that
// was not: the copier knows where each label went that it has written, and
// spells out a label whose place was left behind.
type copier struct {
	from  []byte
	to    []byte
	ttls  []uint16
	moved []uint16 // for the offset of a label in from, its offset in to; 0 = none
}

// copyPacket copies the header, the question and these records of msg, whose
// index they are. It is false if a name in the data of a record is unsound or
// the copy outgrows a message. TTLs with the top bit become 0.
func copyPacket(msg []byte, records []wire.Record) (packet, bool) {
	c := copier{
		from:  msg,
		to:    make([]byte, wire.HeaderLen, len(msg)),
		ttls:  make([]uint16, 0, len(records)),
		moved: make([]uint16, len(msg)),
	}
	copy(c.to, msg[:6])
	end, _ := wire.SkipName(msg, wire.HeaderLen)
	c.name(wire.HeaderLen)
	c.to = append(c.to, msg[end:end+4]...)
	for _, r := range records {
		if !c.record(r) {
			return packet{}, false
		}
	}
	return packet{msg: slices.Clone(c.to), ttls: slices.Clone(c.ttls)}, true
}

// record copies one record and counts it in its section.
func (c *copier) record(r wire.Record) bool {
	c.name(r.Start)
	fixed := len(c.to)
	c.to = append(c.to, c.from[r.TTL-4:r.RData]...)
	binary.BigEndian.PutUint32(c.to[fixed+4:], readTTL(c.from[r.TTL:]))
	if !c.rdata(r) || len(c.to) > wire.MaxMessage {
		return false
	}
	c.ttls = append(c.ttls, uint16(fixed+4))
	binary.BigEndian.PutUint16(c.to[fixed+8:], uint16(len(c.to)-fixed-10))
	count := c.to[4+2*int(r.Section):]
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
	c.to = append(c.to, c.from[r.RData:off]...)
	for range l.names {
		next, ok := wire.SkipName(c.from, off)
		if !ok || next > r.End {
			return false
		}
		c.name(off)
		off = next
	}
	c.to = append(c.to, c.from[off:r.End]...)
	return true
}

// name copies the name at off, which is known to be sound.
func (c *copier) name(off int) {
	for {
		n := int(c.from[off])
		switch {
		case n == 0:
			c.to = append(c.to, 0)
			return
		case n >= 0xC0:
			off = (n&0x3F)<<8 | int(c.from[off+1])
			continue
		case c.moved[off] != 0:
			c.to = append(c.to, 0xC0|byte(c.moved[off]>>8), byte(c.moved[off]))
			return
		case len(c.to) < farthest:
			c.moved[off] = uint16(len(c.to))
		}
		c.to = append(c.to, c.from[off:off+1+n]...)
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
