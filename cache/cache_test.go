package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func mustCache(t testing.TB, memory int64) *Cache {
	t.Helper()
	c, err := New(Options{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// numbered is an answer of its own name, with so many octets of text. It is
// made by hand because some tests need very many.
func numbered(t testing.TB, i, octets int, at time.Time) *Answer {
	t.Helper()
	return labelled(t, fmt.Sprintf("n%d", i), octets, at)
}

func labelled(t testing.TB, label string, octets int, at time.Time) *Answer {
	t.Helper()
	msg := []byte("\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00")
	msg = append(append(append(msg, byte(len(label))), label...), "\x07example\x00\x00\x10\x00\x01"...)
	msg = append(msg, "\xC0\x0C\x00\x10\x00\x01\x00\x00\x01\x2C"...)
	var data []byte
	for ; octets > 255; octets -= 255 {
		data = append(append(data, 255), strings.Repeat("x", 255)...)
	}
	data = append(append(data, byte(octets)), strings.Repeat("x", octets)...)
	msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(data))), data...)
	return mustAnswer(t, msg, Meta{At: at})
}

func get(c *Cache, a *Answer) *Answer { return c.Get(a.Name(), a.Type(), a.Class()) }

// same tells whether an answer is a copy of another, or both are none.
func same(a, b *Answer) bool {
	return a == b || a != nil && b != nil && a.at == b.at && a.life == b.life && a.security == b.security && bytes.Equal(a.octets(), b.octets())
}

// inOneSet makes n answers that belong to one set.
func inOneSet(t testing.TB, c *Cache, n int, at time.Time) []*Answer {
	t.Helper()
	var same []*Answer
	var home *set
	for i := 0; len(same) < n; i++ {
		a := numbered(t, i, 0, at)
		s, _ := c.home(a.key())
		if home == nil {
			home = s
		}
		if s == home {
			same = append(same, a)
		}
	}
	return same
}

func TestNew(t *testing.T) {
	tests := []struct {
		name   string
		memory int64
		want   int64
	}{
		{"nothing is the default", 0, 256 << 20},
		{"the least", 1 << 20, 1 << 20},
		{"less than the least", 1<<20 - 1, 0},
		{"negative", -1, 0},
		{"more than the most", 1<<40 + 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Options{Memory: tt.memory})
			if (err != nil) != (tt.want == 0) {
				t.Fatalf("error: %v", err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), "Memory") {
					t.Errorf("%q does not name the field", err)
				}
				return
			}
			if got := c.Stats().Memory; got != tt.want {
				t.Errorf("Memory = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestCache_Get(t *testing.T) {
	c := mustCache(t, minMemory)
	a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, 0, "www.example. 60 IN A 192.0.2.1"), Meta{})
	c.Put(a)
	tests := []struct {
		name       string
		ask        string
		typ, class uint16
		want       *Answer
	}{
		{"the same name", "\x03www\x07example\x00", 1, 1, a},
		{"another letter case", "\x03wWw\x07EXAMPLE\x00", 1, 1, a},
		{"another name", "\x03wwx\x07example\x00", 1, 1, nil},
		{"a name below", "\x01a\x03www\x07example\x00", 1, 1, nil},
		{"another type", "\x03www\x07example\x00", 28, 1, nil},
		{"another class", "\x03www\x07example\x00", 1, 3, nil},
		{"no name", "", 1, 1, nil},
		{"a name that is too long", strings.Repeat("x", 256), 1, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Get([]byte(tt.ask), tt.typ, tt.class); !same(got, tt.want) {
				t.Errorf("got %p, want %p", got, tt.want)
			}
		})
	}
}

func TestCache_Get_whateverTheState(t *testing.T) {
	c := mustCache(t, minMemory)
	a := numbered(t, 1, 0, time.Time{}) // dead for two thousand years
	c.Put(a)
	if !same(get(c, a), a) {
		t.Error("not found")
	}
}

func TestCache_Get_allocatesNothing(t *testing.T) {
	c := mustCache(t, minMemory)
	a := numbered(t, 1, 0, learned)
	c.Put(a)
	name := []byte("\x02N1\x07Example\x00")
	if n := testing.AllocsPerRun(100, func() {
		if c.Get(name, a.Type(), a.Class()) == nil {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestCache_Put_replaces(t *testing.T) {
	c := mustCache(t, minMemory)
	first, second := numbered(t, 1, 5000, learned), numbered(t, 1, 10, learned)
	c.Put(first)
	before := c.Stats()
	c.Put(second)
	if !same(get(c, first), second) {
		t.Error("the second answer is not there")
	}
	want := before
	want.Puts = 2
	if got := c.Stats(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := c.octets.Load(); got != int64(second.Size()) {
		t.Errorf("%d octets of answers, want %d", got, second.Size())
	}
}

func TestCache_Put_forgetsWhatItCannotReplace(t *testing.T) {
	tests := []struct {
		name   string
		answer func(testing.TB) *Answer
	}{
		{"a larger answer than may be stored", func(t testing.TB) *Answer { return numbered(t, 1, maxAnswer, learned) }},
		{"an answer without life", func(t testing.TB) *Answer {
			return mustAnswer(t, mustMessage(t, "n1.example.", dns.TypeTXT, 0, "n1.example. 0 IN TXT x"), Meta{Stale: time.Hour})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, minMemory)
			empty := c.Stats()
			c.Put(numbered(t, 1, 0, learned))
			a := tt.answer(t)
			c.Put(a)
			if get(c, a) != nil {
				t.Error("something is stored")
			}
			want := empty
			want.Puts, want.Refused = 2, 1
			want.Bytes += chunkOctets // with nothing but a hole
			if got := c.Stats(); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A name that is asked for all the time must not keep its old answers in
// memory (CVE-2026-11622).
func TestCache_Put_reclaimsAHammeredName(t *testing.T) {
	c := mustCache(t, minMemory)
	var a *Answer
	for i := range 10_000 {
		a = numbered(t, 1, 1000, learned.Add(time.Duration(i)*time.Second))
		c.Put(a)
		get(c, a)
	}
	most := c.tables() + (spareChunks+1)*chunkOctets
	if got := c.Stats(); got.Entries != 1 || c.octets.Load() != int64(a.Size()) || got.Bytes > most || got.Evictions != 0 {
		t.Errorf("after 10,000 answers for one name: %+v, of which answers %d", got, c.octets.Load())
	}
}

func TestSet_evictsTheLeastDear(t *testing.T) {
	const minute = time.Minute
	tests := []struct {
		name string
		used string // one letter a slot: '+' used, '-' never
		ages [slotsPerSet]time.Duration
		want int // the slot whose answer goes
	}{
		{"a dead answer goes first, though used", "--+------------", [slotsPerSet]time.Duration{2: 6 * minute}, 2},
		{"of two dead ones the older", "--+--+---------", [slotsPerSet]time.Duration{2: 6 * minute, 5: 7 * minute}, 5},
		{"an answer that was never used goes before used ones", "++++++-++++++++", [slotsPerSet]time.Duration{0: minute}, 6},
		{"of those never used the oldest goes", "+--+++---+-----", [slotsPerSet]time.Duration{0: 3 * minute, 6: minute}, 6},
		{"if all were used the oldest goes", "+++++++++++++++", [slotsPerSet]time.Duration{4: minute}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, minMemory)
			same := inOneSet(t, c, slotsPerSet+1, learned)
			for i, a := range same[:slotsPerSet] {
				a.at = instantOf(learned.Add(-tt.ages[i]))
				c.Put(a)
				if tt.used[i] == '+' {
					get(c, a)
				}
			}
			c.Put(same[slotsPerSet])
			for i, a := range same {
				if found := get(c, a) != nil; found == (i == tt.want) {
					t.Errorf("answer %d found: %t", i, found)
				}
			}
			if n := c.Stats().Evictions; n != 1 {
				t.Errorf("%d evictions, want 1", n)
			}
		})
	}
}

// However many random names fall into a set, they take one slot of it from
// the names that are in use.
func TestSet_usedNamesOutliveAFlood(t *testing.T) {
	c := mustCache(t, minMemory)
	same := inOneSet(t, c, 30, learned)
	known, flood := same[:slotsPerSet], same[slotsPerSet:]
	for _, a := range known {
		c.Put(a)
		get(c, a)
	}
	for _, a := range flood {
		a.at = instantOf(learned.Add(time.Minute)) // younger: age must not be what saves the known
		c.Put(a)
	}
	left := 0
	for _, a := range known {
		if get(c, a) != nil {
			left++
		}
	}
	if left != slotsPerSet-1 {
		t.Errorf("%d of %d are left, want all but one", left, slotsPerSet)
	}
}

func TestCache_usedNamesOutliveAFlood(t *testing.T) {
	tests := []struct {
		name     string
		known    int // names used once, before the flood
		percent  int // how many must be left
		again    int // the known names are asked for again every so many random ones; 0 = never
		floodLen int
	}{
		{"a quarter of the memory, never asked again", 1800, 99, 0, 40_000},
		{"half of the memory, never asked again", 3600, 97, 0, 40_000},
		{"nine tenths of the memory, asked again now and then", 6400, 90, 6000, 40_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustCache(t, 2<<20)
			known := make([]*Answer, tt.known)
			for i := range known {
				known[i] = numbered(t, i, 100, learned)
				c.Put(known[i])
				get(c, known[i])
			}
			for i := range tt.floodLen {
				c.Put(numbered(t, 1_000_000+i, 100, learned.Add(time.Minute)))
				if tt.again > 0 && i%tt.again == 0 {
					for _, a := range known {
						get(c, a)
					}
				}
			}
			left := 0
			for _, a := range known {
				if get(c, a) != nil {
					left++
				}
			}
			t.Logf("%d of %d left of %d entries", left, tt.known, c.Stats().Entries)
			if left*100 < tt.known*tt.percent {
				t.Errorf("%d of %d are left, want %d %%", left, tt.known, tt.percent)
			}
		})
	}
}

// When all that is stored was used, newcomers still get their chance.
func TestCache_newNamesReplaceForgottenOnes(t *testing.T) {
	c := mustCache(t, minMemory)
	for i := range 10_000 { // far more than fit, each of them used
		a := numbered(t, i, 100, learned)
		c.Put(a)
		get(c, a)
	}
	fresh := 0
	for i := range 500 {
		a := numbered(t, 1_000_000+i, 100, learned)
		c.Put(a)
		if same(get(c, a), a) {
			fresh++
		}
	}
	if fresh != 500 {
		t.Errorf("%d of 500 new names were stored", fresh)
	}
	for i := range 500 {
		if get(c, numbered(t, 1_000_000+i, 100, learned)) != nil {
			fresh--
		}
	}
	if fresh > 50 {
		t.Errorf("%d of 500 new names that were used are gone again", fresh)
	}
}

func TestCache_memoryIsBounded(t *testing.T) {
	const memory = 4 << 20
	tests := []struct {
		name   string
		puts   int
		octets func(*rand.Rand) int
	}{
		{"small answers", 60_000, func(*rand.Rand) int { return 10 }},
		{"the largest answers", 1_000, func(*rand.Rand) int { return 13_000 }},
		{"a mixture", 10_000, func(r *rand.Rand) int { return 1 << r.IntN(14) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			c := mustCache(t, memory)
			before := heap()
			for i := range tt.puts {
				a := numbered(t, i, tt.octets(r), learned)
				c.Put(a)
				if i%3 == 0 {
					get(c, a)
				}
				if got := c.Stats().Bytes; got > memory {
					t.Fatalf("%d octets after %d answers, more than %d", got, i, memory)
				}
			}
			stats := c.Stats()
			tables := c.tables() // allocated before
			grown, said := heap()-before, stats.Bytes-tables
			t.Logf("%d entries, %d octets said, %d in the heap, of %d", stats.Entries, said, grown, memory)
			if grown > said+said/20 {
				t.Errorf("the heap grew by %d octets, the cache says %d", grown, said)
			}
			if stats.Bytes < memory*9/10 {
				t.Errorf("only %d of %d octets are in use", stats.Bytes, memory)
			}
			runtime.KeepAlive(c)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many readers and writers meet in few sets: what is found is right, and the
// account is even in the end.
func TestCache_race(t *testing.T) {
	c := mustCache(t, minMemory)
	c.sets = c.sets[:2]
	answers := make([]*Answer, 64)
	for i := range answers {
		answers[i] = numbered(t, i, i*200, learned)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 3000 {
				want := answers[r.IntN(len(answers))]
				if g%2 == 0 {
					c.Put(want)
				} else if got := get(c, want); got != nil && !same(got, want) {
					t.Errorf("asked for %q, got %q", want.Name(), got.Name())
				}
			}
		})
	}
	wg.Wait()
	var entries, octets int64
	for i := range c.sets {
		for j := range c.sets[i].slots {
			if a := c.sets[i].in(&c.chunks, j); a != nil {
				entries++
				octets += int64(a.Size())
			}
		}
	}
	if got := c.Stats(); got.Entries != entries || c.octets.Load() != octets {
		t.Errorf("the account says %+v, the slots %d entries and %d octets", got, entries, octets)
	}
}

// More writers than the memory has room for must not wait for one another.
func TestCache_Put_neverSpins(t *testing.T) {
	c := mustCache(t, minMemory)
	c.limit = 1 // less than one answer
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				c.Put(numbered(t, g*100+i, 0, learned))
			}
		})
	}
	wg.Wait()
	if n := c.Stats().Entries; n > 8 {
		t.Errorf("%d entries, want no more than writers", n)
	}
}

// A name that had to leave before its second query, and comes back, is not
// treated as part of the flood that drove it out.
func TestCache_whoComesBackStays(t *testing.T) {
	c := mustCache(t, minMemory)
	returning, other := numbered(t, 1, 100, learned), numbered(t, 2, 100, learned)
	flood := func(from int) {
		for i := range 20_000 {
			c.Put(numbered(t, from+i, 100, learned.Add(time.Minute)))
		}
	}
	c.Put(returning)
	for i := 0; c.find(returning) != nil; i++ {
		c.Put(numbered(t, 1000+i, 100, learned.Add(time.Minute)))
	}
	c.Put(returning)
	c.Put(other)
	flood(1_000_000)
	if c.find(returning) == nil || c.find(other) != nil {
		t.Errorf("who came back is there: %t, who did not: %t", c.find(returning) != nil, c.find(other) != nil)
	}
}

// find is get without a trace.
func (c *Cache) find(a *Answer) *Answer {
	s, tag := c.home(a.key())
	_, found := s.find(&c.chunks, a.key(), tag)
	return found
}
