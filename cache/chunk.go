package cache

import (
	"sync/atomic"
	"unsafe"
)

// Answers lie in chunks: one allocation of the Go runtime for hundreds of
// answers, so that its garbage collector has a thousandth of the work.
//
// An answer stays where it was laid until it leaves. What leaves makes a hole,
// and nothing is ever written into holes, for somebody may still read there:
// the chunk with the most of them is cleaned instead, which is to lay what is
// left of it elsewhere and to forget the chunk. Its memory is freed when the last
// reader is gone; the collector knows when that is.
const (
	// chunkOctets is the memory of a chunk. 64 KiB: four of the largest answers.
	chunkOctets = 64 << 10
	chunkUnits  = chunkOctets / unitOctets

	// spareParts: one part in so many of the memory is holes. 8, not configurable:
	// as the chunk that is cleaned has more of them than most, some four answers
	// are moved for one that is stored when the cache is full.
	spareParts = 8

	// spareChunks is how many chunks may be in use beyond what the answers need
	// with their share of holes, so that a small cache is not cleaned all the time.
	spareChunks = 4

	// maxTries bounds the answers that leave because none of the chunks has holes
	// enough for one that comes. 16, not configurable: with large answers, which
	// alone need that, one or two do, and then something leaves its chunk for it.
	maxTries = 16

	// maxLook bounds the chunks of which one is chosen to be cleaned: some
	// microseconds.
	maxLook = 4096
)

// A place says where an answer lies: the number of the chunk, and the unit in it.
// Number 0 is no chunk's, so 0 is nowhere.
type place uint64

const (
	unitBits  = 13 // of chunkUnits
	placeBits = 40 // of a place: chunks for 8 TiB
)

func (p place) chunk() int { return int(p >> unitBits) }

// A chunk has no pointers.
type chunk [chunkUnits]uint64

// chunks are all those of a cache.
type chunks struct {
	// by number; read without a lock
	memory []atomic.Pointer[chunk]

	// guarded by Cache.mu
	live   []uint16 // units of the answers in each that are stored
	unused []int32  // numbers
	open   int      // in which answers are laid
	end    int      // the first unit of it that is free
	hand   int      // at which the next search begins
	top    int      // the highest number that ever was in use: the lowest are taken first

	count atomic.Int64 // in use
	most  int64        // that may be in use, but for one while another is cleaned
}

// chunkTables is what the tables have for one chunk, in octets.
const chunkTables = 8 + 2 + 4

// reserve makes no chunk yet, but room for as many as fit into a memory.
func (m *chunks) reserve(octets int64) {
	m.most = max(octets/(chunkOctets+chunkTables)-1, 1)
	n := m.most + 1 // while one is cleaned
	m.memory, m.live, m.unused = make([]atomic.Pointer[chunk], n+1), make([]uint16, n+1), make([]int32, 0, n)
	for ; n > 0; n-- {
		m.unused = append(m.unused, int32(n))
	}
	m.end = chunkUnits
}

// tables is what the tables take, in octets.
func (m *chunks) tables() int64 { return int64(len(m.memory)) * chunkTables }

// limit is the room for answers.
func (m *chunks) limit() int64 { return m.most * chunkOctets / spareParts * (spareParts - 1) }

// octets is what the chunks in use take.
func (m *chunks) octets() int64 { return m.count.Load() * chunkOctets }

// at returns the answer at a place of the chunk.
func (c *chunk) at(p place) *Answer { return (*Answer)(unsafe.Pointer(&c[p%chunkUnits])) }

// at returns the answer at a place, for who holds Cache.mu.
func (m *chunks) at(p place) *Answer { return m.memory[p.chunk()].Load().at(p) }

// confirm tells, to who holds no lock, whether a slot that had this content led
// into c, which then was the chunk of that number: the slot has it again, and c
// still is that chunk. As long as somebody has c no other chunk gets its address,
// so it was that one all the while; and where an answer was laid in it, nothing
// else ever is.
func (m *chunks) confirm(c *chunk, s *atomic.Uint64, content slot) bool {
	return slot(s.Load()) == content && m.memory[content.place().chunk()].Load() == c
}

// fits tells whether the open chunk has room for so many units.
func (m *chunks) fits(units int) bool { return m.end+units <= chunkUnits }

// add opens another chunk.
func (m *chunks) add() {
	m.open = int(m.unused[len(m.unused)-1])
	m.unused = m.unused[:len(m.unused)-1]
	m.memory[m.open].Store(new(chunk))
	m.end, m.top = 0, max(m.top, m.open)
	m.count.Add(1)
}

// drop forgets a chunk in which nothing is stored.
func (m *chunks) drop(i int) {
	m.memory[i].Store(nil)
	m.unused = append(m.unused, int32(i))
	m.count.Add(-1)
}

// lay copies an answer into the open chunk, where it must fit.
func (m *chunks) lay(a *Answer) place {
	p := place(m.open<<unitBits | m.end)
	a.copyTo(m.memory[m.open].Load()[m.end:][:a.units])
	m.end += int(a.units)
	m.live[m.open] += a.units
	return p
}

// emptiest returns the chunk with the most holes of those that were looked at, or
// 0, and the units that are stored in it.
func (m *chunks) emptiest() (least int, units int) {
	units = chunkUnits + 1
	for range min(m.top, maxLook) {
		if m.hand++; m.hand > m.top {
			m.hand = 1
		}
		if i := m.hand; int(m.live[i]) < units && i != m.open && m.memory[i].Load() != nil {
			least, units = i, int(m.live[i])
		}
	}
	return least, units
}

// room opens a chunk in which there is room for an answer.
func (c *Cache) room(a *Answer) {
	m, need := &c.chunks, int(a.units)
	if m.fits(need) {
		return
	}
	n := m.count.Load()
	isFull := n >= m.most
	victim, units := 0, 0
	if isFull || n > spareChunks && n*chunkOctets/spareParts*(spareParts-1) > c.octets.Load() {
		victim, units = m.emptiest()
	}
	for range maxTries {
		if !isFull || units+need <= chunkUnits || !c.makeRoom(a.at) {
			break
		}
		victim, units = m.emptiest()
	}
	m.add()
	gains := units+need <= chunkUnits && units <= chunkUnits/spareParts*(spareParts-1)
	if victim != 0 && (isFull || gains) {
		c.clean(victim, units+need-chunkUnits, a)
	}
}

// clean lays what is stored in a chunk in the open one, which is new, and forgets
// the chunk. What nobody asked for again leaves, and then all else, as long as so
// many units are lacking for newcomer.
func (c *Cache) clean(victim, lacking int, newcomer *Answer) {
	m := &c.chunks
	for unit := 0; m.live[victim] > 0; {
		p := place(victim<<unitBits | unit)
		a := m.at(p)
		unit += int(a.units)
		s, tag := c.home(a.key())
		i, there := s.holds(newSlot(tag, p))
		if !there {
			continue // a hole
		}
		r := s.rank(m, i, newcomer.at)
		if r == isDead || lacking > 0 && r == neverUsed || !m.fits(int(a.units)+int(newcomer.units)) {
			c.bury(s.clear(m, i), r)
			lacking -= int(a.units)
			continue
		}
		s.slots[i].Store(uint64(newSlot(tag, m.lay(a))))
		m.live[victim] -= a.units
	}
	m.drop(victim)
}
