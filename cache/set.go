package cache

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// slotsPerSet is how many answers share a set, and setOctets what a set takes:
// two cache lines, so that a hit reads those, the answer and no more.
const (
	slotsPerSet = 9
	setOctets   = 128
)

// A set holds the answers whose keys hash to it.
type set struct {
	mu   sync.Mutex // held by who stores or evicts, never by who reads
	once uint32     // bit i: the answer in slot i was used once, but its mark faded; guarded by mu

	// Written under mu and read without it. A reader may see a slot half
	// changed, so it believes only the key of the answer that it found.
	used  atomic.Uint32 // bit i: the answer in slot i was used; readers set it
	tags  [slotsPerSet]atomic.Uint32
	slots [slotsPerSet]atomic.Pointer[Answer]
}

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

// find returns the answer for key and its slot, or nil.
func (s *set) find(key []byte, tag uint32) (slot int, a *Answer) {
	for i := range s.tags {
		if s.tags[i].Load() != tag {
			continue
		}
		if a := s.slots[i].Load(); a != nil && bytes.Equal(a.key(), key) {
			return i, a
		}
	}
	return 0, nil
}

// use marks the answer in a slot as used. If another answer has just taken the
// slot it gets the mark instead, which does no harm.
func (s *set) use(slot int) {
	if bit := uint32(1) << slot; s.used.Load()&bit == 0 {
		s.used.Or(bit)
	}
}

// put stores a in the slot of the answer that it replaces, else in an empty
// one, else in that of an answer that is evicted. It returns the answer that
// was there, and what it was when it was evicted, else empty. A known answer is
// in use from the start.
func (s *set) put(a *Answer, tag uint32, known bool) (old *Answer, was rank) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, old := s.find(a.key(), tag)
	if old == nil {
		if slot, was, _ = s.least(a.at, empty); was == inUse {
			s.fade()
		}
		old = s.clear(slot)
	}
	s.slots[slot].Store(a)
	s.tags[slot].Store(tag)
	if known {
		s.use(slot)
	}
	return old, was
}

// add stores a in an empty slot, if there is one, and nothing for its key.
func (s *set) add(a *Answer, tag uint32, used bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, was, _ := s.least(a.at, empty)
	if _, there := s.find(a.key(), tag); there != nil || was != empty {
		return false
	}
	s.slots[slot].Store(a)
	s.tags[slot].Store(tag)
	if used {
		s.use(slot)
	}
	return true
}

// all returns the answers of the set that somebody has asked for again, or those
// that nobody has. Other slots are nil.
func (s *set) all(used bool) (some [slotsPerSet]*Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marked := s.used.Load() | s.once
	for i := range s.slots {
		if marked>>i&1 == 1 == used {
			some[i] = s.slots[i].Load()
		}
	}
	return some
}

// remove empties the slot of the answer for key, and returns it.
func (s *set) remove(key []byte, tag uint32) *Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, a := s.find(key, tag)
	if a == nil {
		return nil
	}
	return s.clear(slot)
}

// evict empties the slot of the least dear answer, if its rank is atMost or
// less, and returns it with its rank; else nil. It tells how many answers it saw.
// If even onceUsed is not to be had, the marks fade, so that it may be next time.
func (s *set) evict(now instant, atMost rank) (a *Answer, was rank, seen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, was, seen := s.least(now, isDead)
	if was == inUse && atMost >= onceUsed {
		s.fade()
	}
	if seen == 0 || was > atMost {
		return nil, empty, seen
	}
	return s.clear(slot), was, seen
}

// least returns the slot of the least dear answer whose rank is atLeast or
// more, and how many of those there are.
func (s *set) least(now instant, atLeast rank) (slot int, least rank, seen int) {
	var first instant
	for i := range s.slots {
		r := s.rank(i, now)
		if r < atLeast {
			continue
		}
		var learned instant
		if r > empty {
			learned = s.slots[i].Load().at
		}
		if seen == 0 || r < least || r == least && learned < first {
			slot, least, first = i, r, learned
		}
		seen++
	}
	return slot, least, seen
}

// rank returns the rank of what is in a slot.
func (s *set) rank(slot int, now instant) rank {
	bit := uint32(1) << slot
	a := s.slots[slot].Load()
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
func (s *set) clear(slot int) *Answer {
	bit := uint32(1) << slot
	s.once &^= bit
	a := s.slots[slot].Swap(nil)
	s.used.And(^bit)
	return a
}
