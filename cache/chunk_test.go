package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// checkChunks tests that each slot leads to an answer that belongs there, and
// that the accounts are right.
func checkChunks(t *testing.T, c *Cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	live, entries, octets := make([]uint16, len(c.chunks.live)), int64(0), int64(0)
	for i := range c.sets {
		for j := range c.sets[i].slots {
			v := slot(c.sets[i].slots[j].Load())
			if v == 0 {
				continue
			}
			a := c.chunks.at(v.place())
			if s, tag := c.home(a.key()); s != &c.sets[i] || newSlot(tag, v.place()) != v {
				t.Fatalf("slot %d of set %d has an answer for %q", j, i, a.Name())
			}
			live[v.place().chunk()] += a.units
			entries++
			octets += int64(a.Size())
		}
	}
	inUse := int64(0)
	for i := range live {
		if live[i] != c.chunks.live[i] {
			t.Errorf("chunk %d has %d units in use, the account says %d", i, live[i], c.chunks.live[i])
		}
		if c.chunks.memory[i].Load() != nil {
			inUse++
		} else if live[i] > 0 {
			t.Errorf("chunk %d is gone with what is in it", i)
		}
	}
	if n := c.chunks.count.Load(); n != inUse || n > c.chunks.most {
		t.Errorf("%d chunks, the account says %d, of %d", inUse, n, c.chunks.most)
	}
	if entries != c.entries.Load() || octets != c.octets.Load() {
		t.Errorf("%d entries of %d octets, the account says %d of %d", entries, octets, c.entries.Load(), c.octets.Load())
	}
}

// Whatever comes and goes, the account is right and the memory is kept to.
func TestChunks_account(t *testing.T) {
	sizes := map[string]func(*rand.Rand) int{
		"small": func(r *rand.Rand) int { return r.IntN(100) },
		"four in a chunk, and little more than three": func(*rand.Rand) int { return 13_000 },
		"the largest": func(r *rand.Rand) int { return 15_500 + r.IntN(700) },
		"half a chunk's worth of the largest among small ones": func(r *rand.Rand) int {
			if r.IntN(200) == 0 {
				return 16_000
			}
			return r.IntN(100)
		},
	}
	for name, octets := range sizes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			c := mustCache(t, minMemory)
			for i := range 6000 {
				at := learned.Add(time.Duration(i) * time.Millisecond)
				a := numbered(t, r.IntN(6000), octets(r), at)
				c.Put(a)
				if i%3 == 0 {
					get(c, a)
				}
				if i%300 == 0 {
					checkChunks(t, c)
				}
			}
			checkChunks(t, c)
		})
	}
}

// What is replaced does not stay in memory, though nothing has to leave: also
// where there are many times more numbers of chunks than are looked at.
func TestChunks_holesAreReclaimed(t *testing.T) {
	const names, rounds = 1000, 200
	for _, memory := range []int64{64 << 20, 4 << 30} {
		t.Run(fmt.Sprintf("%d MiB", memory>>20), func(t *testing.T) {
			c := mustCache(t, memory)
			for round := range rounds {
				for i := range names {
					c.Put(numbered(t, i, 100+(i+round)%50, learned))
				}
			}
			if memory == 64<<20 {
				checkChunks(t, c)
			}
			s := c.Stats()
			if s.Entries != names || s.Evictions != 0 {
				t.Errorf("%d entries, %d evictions, want %d and none", s.Entries, s.Evictions, names)
			}
			used, want := c.chunks.octets(), c.octets.Load()*spareParts/(spareParts-1)+(spareChunks+1)*chunkOctets
			if used > want {
				t.Errorf("%d octets are in use for %d of answers, want at most %d", used, c.octets.Load(), want)
			}
		})
	}
}

// churn puts so many answers that each chunk of a small cache is cleaned.
func churn(t *testing.T, c *Cache, from int, at time.Time) {
	t.Helper()
	for i := range 30_000 {
		c.Put(numbered(t, from+i, 100, at))
	}
}

// Who holds an answer may go on reading when it has left, and its chunk too.
func TestChunks_anAnswerStaysWhileItIsHeld(t *testing.T) {
	c := mustCache(t, minMemory)
	want := numbered(t, 1, 1000, learned)
	c.Put(want)
	held := c.find(want)
	first := &c.chunks.memory[c.chunks.open]
	before := first.Load()
	churn(t, c, 1000, learned.Add(time.Minute))
	heap() // what can be freed is
	churn(t, c, 100_000, learned.Add(2*time.Minute))
	if first.Load() == before || c.find(want) != nil {
		t.Fatal("the answer or its chunk is still there")
	}
	if !same(held, want) {
		t.Error("the answer is not what it was")
	}
}

// Who was held up while the number of a chunk was given to another, and again, does
// not look for an answer in the one between, though the slot is as it was.
func TestChunks_confirm(t *testing.T) {
	c := mustCache(t, minMemory)
	a := numbered(t, 1, 10, learned)
	c.Put(a)
	s, _ := c.home(a.key())
	i, _ := s.find(&c.chunks, a.key(), tagOf(c, a))
	content := slot(s.slots[i].Load())
	p, m := content.place(), &c.chunks
	again := func() *chunk {
		m.drop(p.chunk())
		m.add()
		if m.open != p.chunk() {
			t.Fatalf("chunk %d is open, want %d", m.open, p.chunk())
		}
		return m.memory[m.open].Load()
	}
	between := again()
	now := again()
	if m.lay(a) != p {
		t.Fatal("the answer lies elsewhere")
	}
	if m.confirm(between, &s.slots[i], content) {
		t.Error("in a chunk that has no such answer")
	}
	if !m.confirm(now, &s.slots[i], content) || get(c, a) == nil {
		t.Error("not in the chunk that has it")
	}
	s.slots[i].Store(0)
	if m.confirm(now, &s.slots[i], content) {
		t.Error("in a slot that has none")
	}
}

func tagOf(c *Cache, a *Answer) uint32 {
	_, tag := c.home(a.key())
	return tag
}

// Who waits with a stale answer has a copy, so that a crowd of them keeps no chunks
// that have left.
func TestChunks_copiesKeepNone(t *testing.T) {
	const held, most = 400, 4 << 20 // a chunk for each would be 25 MiB
	before := heap()
	c := mustCache(t, minMemory)
	copies := make([]*Answer, held)
	for i := range copies {
		want := numbered(t, i, 100, learned)
		c.Put(want)
		copies[i] = get(c, want).Copy()
		for j := range 300 {
			c.Put(numbered(t, held+i*300+j, 100, learned.Add(time.Duration(i)*time.Minute)))
		}
	}
	if grown := heap() - before; grown > most {
		t.Errorf("%d octets more are live, want at most %d", grown, most)
	}
	for i, a := range copies {
		if !same(a, numbered(t, i, 100, learned)) {
			t.Fatalf("answer %d is not what it was", i)
		}
	}
	runtime.KeepAlive(c)
}

// An answer that is moved stays what it is, also for who has claimed it.
func TestChunks_aMovedAnswerStaysClaimed(t *testing.T) {
	c := mustCache(t, minMemory)
	want := numbered(t, 1, 1000, learned)
	c.Put(want)
	first := get(c, want)
	if !first.Claim() {
		t.Fatal("cannot be claimed")
	}
	for i := range 30_000 {
		c.Put(numbered(t, 1000+i, 100, learned))
		get(c, want)
	}
	moved := get(c, want)
	if moved == nil || moved == first {
		t.Fatalf("it was at %p, and is at %p", first, moved)
	}
	if !same(moved, want) || moved.Claim() {
		t.Error("it is another one, or can be claimed again")
	}
}

// Readers find the answer of the name they ask for, whole, while chunks go and
// come under them.
func TestChunks_race(t *testing.T) {
	const names, writers, readers, puts = 3000, 4, 4, 10_000
	c := mustCache(t, minMemory)
	answers := make([]*Answer, names)
	for i := range answers {
		answers[i] = numbered(t, i, i%700, learned)
	}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for g := range readers {
		reading.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(g)))
			for {
				select {
				case <-done:
					return
				default:
				}
				want := answers[r.IntN(names)]
				if got := get(c, want); got != nil {
					if !same(got, want) {
						t.Errorf("asked for %q, got %q", want.Name(), got.Name())
						return
					}
					got.Claim()
				}
			}
		})
	}
	for g := range writers {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(4, uint64(g)))
			for range puts {
				c.Put(answers[r.IntN(names)])
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	checkChunks(t, c)
	if s := c.Stats(); s.Evictions == 0 {
		t.Errorf("nothing had to leave: %+v", s)
	}
}
