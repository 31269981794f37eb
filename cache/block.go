package cache

import (
	"encoding/binary"
	"math"
	"unsafe"

	"proxima/wire"
)

const (
	// unitOctets is the unit in which blocks are allocated: that of their
	// alignment.
	unitOctets = 8

	// headOctets is what the head of a block takes.
	headOctets = int(unsafe.Sizeof(Answer{}))

	// countsOctets is what the three counts of records in a header take.
	countsOctets = 6
)

// newBlock returns the head of a block for parts of so many octets. This, copyTo,
// Copy and octets are all that knows how a block lies in memory.
func newBlock(octets int) *Answer {
	units := make([]uint64, (headOctets+octets+unitOctets-1)/unitOctets)
	a := (*Answer)(unsafe.Pointer(unsafe.SliceData(units)))
	a.units = uint16(len(units))
	return a
}

// copyTo makes of so many units another block that says the same.
func (a *Answer) copyTo(units []uint64) {
	b := (*Answer)(unsafe.Pointer(unsafe.SliceData(units)))
	b.at, b.life, b.stale = a.at, a.life, a.stale
	b.claimed.Store(a.claimed.Load()) // by others, at any time
	b.units, b.full, b.shared, b.tail = a.units, a.full, a.shared, a.tail
	b.ttls, b.sharedTTLs, b.tailTTLs = a.ttls, a.sharedTTLs, a.tailTTLs
	b.reason, b.name, b.security = a.reason, a.name, a.security
	copy(b.octets(), a.octets())
}

// Copy returns a copy that lies apart, for who keeps an answer for long: what Get
// returns keeps the memory of hundreds of others, too. It can be claimed on its own.
func (a *Answer) Copy() *Answer {
	units := make([]uint64, a.units)
	a.copyTo(units)
	return (*Answer)(unsafe.Pointer(unsafe.SliceData(units)))
}

// octets returns the parts behind the head, in this order, and what is spare:
//
//   - the message
//   - if the plain message, for clients that did not set DO, is another one: the
//     counts of its header, and its tail, which stands instead of all that comes
//     after the shared octets of the message
//   - the offsets of the TTLs in the message, and of those in the tail in the
//     plain message, two octets each
//   - the code and the text of the EDE, if there is one
func (a *Answer) octets() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(a)), int(a.units)*unitOctets)[headOctets:]
}

// plainOctets is what the parts of the plain message take.
func (a *Answer) plainOctets() int {
	if a.shared == a.full {
		return 0
	}
	return countsOctets + int(a.tail)
}

// EDE returns what is sent with every reply that is made of the answer, or nil.
func (a *Answer) EDE() *wire.EDE {
	ede, ok := a.ede()
	if !ok {
		return nil
	}
	return &ede
}

// ede is EDE for who must not allocate.
func (a *Answer) ede() (ede wire.EDE, ok bool) {
	if a.reason == 0 {
		return ede, false
	}
	start := int(a.full) + a.plainOctets() + 2*(int(a.ttls)+int(a.tailTTLs))
	reason := a.octets()[start:][:a.reason]
	ede.Code = binary.BigEndian.Uint16(reason)
	if text := reason[2:]; len(text) > 0 {
		ede.Text = unsafe.String(unsafe.SliceData(text), len(text)) // which never changes
	}
	return ede, true
}

// maxReason bounds what is kept of the text of an EDE, in octets. The most that
// a length can say, not configurable: replies have 128.
const maxReason = math.MaxUint16 - 2

// write makes the block of an answer of what a copier has copied.
func (c *copier) write(ede *wire.EDE) *Answer {
	tail, text := c.plain.msg[c.shared:], ""
	size := len(c.full.msg) + len(tail) + 2*(len(c.full.ttls)+len(c.plain.ttls)-c.sharedTTLs)
	differs := c.shared < len(c.full.msg)
	if differs {
		size += countsOctets
	}
	if ede != nil {
		text = ede.Text[:min(len(ede.Text), maxReason)]
		size += 2 + len(text)
	}
	a := newBlock(size)
	a.full, a.shared, a.tail = uint16(len(c.full.msg)), uint16(c.shared), uint16(len(tail))
	a.ttls, a.sharedTTLs, a.tailTTLs = uint16(len(c.full.ttls)), uint16(c.sharedTTLs), uint16(len(c.plain.ttls)-c.sharedTTLs)

	dst := append(a.octets()[:0], c.full.msg...)
	if differs {
		dst = append(dst, c.plain.msg[6:wire.HeaderLen]...)
		dst = append(dst, tail...)
	}
	for _, off := range c.full.ttls {
		dst = binary.BigEndian.AppendUint16(dst, off)
	}
	for _, off := range c.plain.ttls[c.sharedTTLs:] {
		dst = binary.BigEndian.AppendUint16(dst, off)
	}
	if ede != nil {
		a.reason = uint16(2 + len(text))
		dst = binary.BigEndian.AppendUint16(dst, ede.Code)
		_ = append(dst, text...)
	}
	return a
}
