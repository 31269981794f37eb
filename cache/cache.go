// Package cache keeps answers, so that most queries need no other server.
//
// A reply learned from the Internet becomes an Answer, which never changes.
// Put finds the set in which it belongs by a seeded hash of its name, type and
// class, and stores it in one of the set's slots. From then on Get finds it,
// without a lock, and AppendReply makes of it the reply to each client that
// asks: its ID, letter case and flags, and TTLs less the answer's age. When
// memory runs short, answers leave: first what is dead, then what nobody asked
// for again, so that a flood of random names flushes only itself. Who comes back
// soon after that was no part of the flood, and stays.
package cache

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"proxima/wire"
)

// Memory of a cache, in octets. Default 256 MiB, about half a million answers;
// from 1 MiB, so that every set may hold a large answer, to 1 TiB.
const (
	defaultMemory = 256 << 20
	minMemory     = 1 << 20
	maxMemory     = 1 << 40
)

// maxAnswer bounds the memory of one answer, in octets. 16 KiB, not
// configurable: a larger one is answered but not stored, because whoever owns a
// zone could otherwise fill the cache with few queries (CVE-2024-25590,
// CVE-2026-33258).
const maxAnswer = 16 << 10

// octetsPerSlot is the memory for which the cache has one slot. Few answers take
// less than 112 octets with their slot and its share of holes, and most 200 or
// more, so slots are spare and memory is what runs out.
const octetsPerSlot = 112

// probation is how many answers are looked at in vain for one that was never
// used before used ones must make room. 16, not configurable: when all else is
// in use, newcomers then have about a tenth of the memory in which to wait
// for a second query, and a flood of random names has no more.
const probation = 16

// maxSteps bounds the sets in which one eviction looks for an answer that is
// not in use; then it takes what it finds. 64, not configurable: a few
// microseconds, and a full cache of used answers is rare.
const maxSteps = 64

// Options says how a cache is made. Zero means the default.
type Options struct {
	Memory int64 // octets, with the cache's own tables
}

// A Cache holds answers in sets of atomic slots. Its memory is bounded in
// octets. Get takes no lock.
type Cache struct {
	// immutable after New
	seed maphash.Seed
	sets []set

	chunks chunks // begins with what readers need of it, so that a hit takes one line of Cache

	// immutable after New
	past   ghosts
	memory int64 // octets, with the tables
	limit  int64 // octets of all answers

	mu sync.Mutex // held by who stores or evicts, never by who reads

	octets    atomic.Int64 // of all answers, and of those about to be stored
	entries   atomic.Int64
	hand      uint64 // the set that next makes room, modulo their number; guarded by mu
	puts      atomic.Uint64
	evictions atomic.Uint64
	refused   atomic.Uint64
}

// Stats are the numbers of a cache.
type Stats struct {
	Entries   int64  // answers stored now
	Bytes     int64  // octets in use now, with the tables
	Memory    int64  // octets that may be in use
	Puts      uint64 // calls of Put
	Evictions uint64 // answers that made room for others
	Refused   uint64 // answers not stored: too large, or without life
}

// New makes an empty cache.
func New(o Options) (*Cache, error) {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Memory < minMemory || o.Memory > maxMemory {
		return nil, fmt.Errorf("cache: Memory is %d octets, want %d to %d", o.Memory, minMemory, int64(maxMemory))
	}
	sets := o.Memory / (octetsPerSlot * slotsPerSet)
	c := &Cache{seed: maphash.MakeSeed(), sets: make([]set, sets), past: newGhosts(sets * slotsPerSet)}
	c.chunks.reserve(o.Memory - int64(len(c.sets))*setOctets - int64(len(c.past))*ghostOctets)
	c.memory, c.limit = o.Memory, c.chunks.limit()
	return c, nil
}

// Get returns the answer for a name in wire form and any letter case, whatever
// its state, or nil if there is none.
func (c *Cache) Get(name []byte, typ, class uint16) *Answer {
	if len(name) > wire.MaxName {
		return nil
	}
	var room [wire.MaxName + 4]byte
	key := appendKey(room[:0], name, typ, class)
	s, tag := c.home(key)
	i, a := s.find(&c.chunks, key, tag)
	if a != nil {
		s.use(i)
	}
	return a
}

// Put stores a copy of an answer and forgets what was stored for the same
// question. An answer that cannot be stored only makes forget.
func (c *Cache) Put(a *Answer) {
	c.puts.Add(1)
	s, tag := c.home(a.key())
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.life == 0 || a.Size() > maxAnswer {
		c.refused.Add(1)
		if i, old := s.find(&c.chunks, a.key(), tag); old != nil {
			c.release(s.clear(&c.chunks, i))
		}
		return
	}
	c.expect(a)
	i, old := s.find(&c.chunks, a.key(), tag)
	if old != nil {
		c.release(old)
		c.chunks.live[slot(s.slots[i].Load()).place().chunk()] -= old.units
	} else if vacant, there := s.holds(0); there {
		i = vacant
	} else {
		var was rank
		if i, was, _ = s.least(&c.chunks, a.at); was == inUse {
			s.fade()
		}
		c.bury(s.clear(&c.chunks, i), was)
	}
	s.slots[i].Store(uint64(newSlot(tag, c.chunks.lay(a))))
	if c.past.known(tag) {
		s.use(i) // in use from the start
	}
}

// expect makes room for an answer that is about to be laid.
func (c *Cache) expect(a *Answer) {
	c.octets.Add(int64(a.Size()))
	c.entries.Add(1)
	for c.octets.Load() > c.limit && c.makeRoom(a.at) {
	}
	c.room(a)
}

// tables are the octets of what is not answers.
func (c *Cache) tables() int64 {
	return int64(len(c.sets))*setOctets + int64(len(c.past))*ghostOctets + c.chunks.tables()
}

// Stats returns the numbers of this moment.
func (c *Cache) Stats() Stats {
	return Stats{
		Entries:   c.entries.Load(),
		Bytes:     c.chunks.octets() + c.tables(),
		Memory:    c.memory,
		Puts:      c.puts.Load(),
		Evictions: c.evictions.Load(),
		Refused:   c.refused.Load(),
	}
}

// makeRoom evicts one answer: of the next sets, the first that has one to
// spare. It is false if no set has any answer.
func (c *Cache) makeRoom(now instant) bool {
	seen := 0
	for step := range maxSteps + len(c.sets) {
		atMost := neverUsed
		switch {
		case step >= maxSteps:
			atMost = inUse
		case seen >= probation:
			atMost = onceUsed
		}
		c.hand++
		s := &c.sets[c.hand%uint64(len(c.sets))]
		a, was, n := s.evict(&c.chunks, now, atMost)
		if a != nil {
			c.bury(a, was)
			return true
		}
		seen += n
	}
	return false
}

// release takes an answer that is stored no more out of the account.
func (c *Cache) release(a *Answer) {
	if a != nil {
		c.octets.Add(-int64(a.Size()))
		c.entries.Add(-1)
	}
}

// bury releases an answer that was evicted, and remembers it if it was for want
// of a second question.
func (c *Cache) bury(a *Answer, was rank) {
	c.evictions.Add(1)
	if was == neverUsed {
		_, tag := c.home(a.key())
		c.past.note(tag)
	}
	c.release(a)
}

// home returns the set for a key, and the tag by which its slot is known.
func (c *Cache) home(key []byte) (*set, uint32) {
	h := maphash.Bytes(c.seed, key)
	i, _ := bits.Mul64(h, uint64(len(c.sets)))
	return &c.sets[i], uint32(h)
}

// appendKey appends what answers are found by: the name in lower case, the
// type and the class.
func appendKey(dst, name []byte, typ, class uint16) []byte {
	dst = wire.AppendLower(dst, name)
	dst = binary.BigEndian.AppendUint16(dst, typ)
	return binary.BigEndian.AppendUint16(dst, class)
}
