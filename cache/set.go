package cache

import (
	"bytes"
	"sync/atomic"
)

// slotsPerSet is how many answers share a set, and setOctets what a set takes:
// two cache lines, so that a hit reads those, the answer and little more.
const (
	slotsPerSet = 15
	setOctets   = 128
)

// A set holds the answers whose keys hash to it. It has no pointers.
type set struct {
	once uint32 // bit i: the answer in slot i was used once, but its mark faded; guarded by Cache.mu

	// Written under Cache.mu, but for the marks, and read without it.
	used  atomic.Uint32 // bit i: the answer in slot i was used; readers set it
	slots [slotsPerSet]atomic.Uint64
}

// A slot says where an answer lies, and above that has tagBits of its tag. 0 is
// empty.
type slot uint64

const tagBits = 64 - placeBits

func newSlot(tag uint32, p place) slot { return slot(tag>>(32-tagBits))<<placeBits | slot(p) }

func (s slot) place() place { return place(s & (1<<placeBits - 1)) }

// A rank says how dear the answer in a slot is. The least dear is evicted, and
// of equals the one that was learned first.
type rank uint8

const (
	empty     rank = iota // no answer
	isDead                // not even served stale
	neverUsed             // no Get has found it
	onceUsed              // a Get has found it, but not since its mark faded
	inUse
)

// find returns the answer for key and its slot, or nil. The answer may lie
// elsewhere by now; what it says is as true there as here.
func (s *set) find(m *chunks, key []byte, tag uint32) (i int, a *Answer) {
	want := tag >> (32 - tagBits)
	for i := range s.slots {
		v := slot(s.slots[i].Load())
		if uint32(v>>placeBits) != want {
			continue
		}
		c := m.memory[v.place().chunk()].Load()
		if c == nil || !m.confirm(c, &s.slots[i], v) {
			continue
		}
		if a := c.at(v.place()); bytes.Equal(a.key(), key) {
			return i, a
		}
	}
	return 0, nil
}

// holds returns the slot with this content, if there is one.
func (s *set) holds(content slot) (i int, there bool) {
	for i := range s.slots {
		if slot(s.slots[i].Load()) == content {
			return i, true
		}
	}
	return 0, false
}

// in returns the answer in a slot, or nil, for who holds Cache.mu.
func (s *set) in(m *chunks, i int) *Answer {
	if v := slot(s.slots[i].Load()); v != 0 {
		return m.at(v.place())
	}
	return nil
}

// use marks the answer in a slot as used. If another answer has just taken the
// slot it gets the mark instead, which does no harm.
func (s *set) use(i int) {
	if bit := uint32(1) << i; s.used.Load()&bit == 0 {
		s.used.Or(bit)
	}
}

// all returns the answers of the set that somebody has asked for again, or those
// that nobody has. Other slots are nil.
func (s *set) all(m *chunks, used bool) (some [slotsPerSet]*Answer) {
	marked := s.used.Load() | s.once
	for i := range s.slots {
		if marked>>i&1 == 1 == used {
			some[i] = s.in(m, i)
		}
	}
	return some
}

// evict empties the slot of the least dear answer, if its rank is atMost or
// less, and returns it with its rank; else nil. It tells how many answers it saw.
// If even onceUsed is not to be had, the marks fade, so that it may be next time.
func (s *set) evict(m *chunks, now instant, atMost rank) (a *Answer, was rank, seen int) {
	i, was, seen := s.least(m, now)
	if was == inUse && atMost >= onceUsed {
		s.fade()
	}
	if seen == 0 || was > atMost {
		return nil, empty, seen
	}
	return s.clear(m, i), was, seen
}

// least returns the slot of the least dear answer, its rank, and how many answers
// there are: if none, there is no slot either.
func (s *set) least(m *chunks, now instant) (slot int, least rank, seen int) {
	var first instant
	for i := range s.slots {
		r := s.rank(m, i, now)
		if r == empty {
			continue
		}
		learned := s.in(m, i).at
		if seen == 0 || r < least || r == least && learned < first {
			slot, least, first = i, r, learned
		}
		seen++
	}
	return slot, least, seen
}

// rank returns the rank of what is in a slot.
func (s *set) rank(m *chunks, i int, now instant) rank {
	bit := uint32(1) << i
	a := s.in(m, i)
	switch {
	case a == nil:
		return empty
	case a.worth(a.at.since(now)) == Dead:
		return isDead
	case s.used.Load()&bit != 0:
		return inUse
	case s.once&bit != 0:
		return onceUsed
	}
	return neverUsed
}

// fade takes the marks of the set, but remembers who had one.
func (s *set) fade() { s.once |= s.used.Swap(0) }

// clear empties a slot and returns what was in it.
func (s *set) clear(m *chunks, i int) *Answer {
	a := s.in(m, i)
	if a == nil {
		return nil
	}
	bit := uint32(1) << i
	s.once &^= bit
	m.live[slot(s.slots[i].Swap(0)).place().chunk()] -= a.units
	s.used.And(^bit)
	return a
}
