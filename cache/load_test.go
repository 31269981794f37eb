package cache

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"proxima/wire"
)

// full skips a test of figures that need minutes, gigabytes and a machine with
// nothing else to do.
func full(t *testing.T) {
	t.Helper()
	if os.Getenv("PROXIMA_ALONE") != "1" {
		t.Skip("takes minutes, gigabytes and a machine to itself: set PROXIMA_ALONE=1")
	}
}

// A sort is a kind of reply: what a resolver learns, in about the parts in which
// it does.
type sort struct {
	percent int
	typ     uint16
	rcode   byte
	records []byte // behind the question, and how many there are in each section
	counts  [3]uint16
}

// sorts are replies of 60 to 600 octets, by name lengths of about 25.
func sorts() []sort {
	const self = "\xC0\x0C"
	record := func(owner string, typ uint16, data string) []byte {
		r := append([]byte(owner), byte(typ>>8), byte(typ), 0, 1, 0, 0, 1, 44)
		return append(binary.BigEndian.AppendUint16(r, uint16(len(data))), data...)
	}
	times := func(n int, r []byte) []byte { return []byte(strings.Repeat(string(r), n)) }
	join := func(all ...[]byte) []byte { return []byte(strings.Join(stringsOf(all), "")) }
	rrsig := func(typ, octets int) []byte {
		return record(self, wire.TypeRRSIG, "\x00"+string(rune(typ))+strings.Repeat("\x01", 16)+"\x07example\x00"+strings.Repeat("s", octets))
	}
	soa := record("\x07example\x00", wire.TypeSOA, "\x02ns\x07example\x00\x01h\x07example\x00"+strings.Repeat("\x01", 20))
	nsec3 := record("\x20"+strings.Repeat("h", 32)+"\x07example\x00", wire.TypeNSEC3, "\x01\x00\x00\x00\x00\x14"+strings.Repeat("n", 20)+"\x00\x06\x40")
	a, aaaa := record(self, wire.TypeA, "1234"), record(self, wire.TypeAAAA, strings.Repeat("6", 16))
	return []sort{
		{30, wire.TypeA, 0, a, [3]uint16{1}},
		{15, wire.TypeA, 0, times(4, a), [3]uint16{4}},
		{20, wire.TypeAAAA, 0, times(2, aaaa), [3]uint16{2}},
		{10, wire.TypeHTTPS, 0, soa, [3]uint16{0, 1}},
		{10, wire.TypeA, 0, join(a, rrsig(1, 64)), [3]uint16{2}},
		{5, wire.TypeA, 0, join(a, rrsig(1, 256)), [3]uint16{2}},
		{10, wire.TypeA, 3, join(soa, rrsig(6, 64), times(2, join(nsec3, rrsig(50, 64)))), [3]uint16{0, 6}},
	}
}

func stringsOf(all [][]byte) []string {
	s := make([]string, len(all))
	for i := range all {
		s[i] = string(all[i])
	}
	return s
}

// A mix makes answers of many names.
type mix struct {
	hundred []sort // each as often as its percent
	msg     []byte
}

func newMix() *mix {
	m := new(mix)
	for _, s := range sorts() {
		for range s.percent {
			m.hundred = append(m.hundred, s)
		}
	}
	return m
}

// answer is the i-th answer.
func (m *mix) answer(t testing.TB, i int, at time.Time) *Answer {
	s := m.hundred[i*37%100]
	m.msg = append(m.msg[:0], 0, 0, 0x81, 0x80|s.rcode, 0, 1)
	for _, n := range s.counts {
		m.msg = binary.BigEndian.AppendUint16(m.msg, n)
	}
	for _, label := range []string{fmt.Sprintf("host%d", i), fmt.Sprintf("zone%d", i%1000)} {
		m.msg = append(append(m.msg, byte(len(label))), label...)
	}
	m.msg = append(m.msg, "\x07example\x00"...)
	m.msg = binary.BigEndian.AppendUint16(m.msg, s.typ)
	m.msg = append(append(m.msg, 0, 1), s.records...)
	return mustAnswer(t, m.msg, Meta{At: at, Stale: time.Hour})
}

// asDaemon has the Go runtime treat memory as the daemon does, when a cache of so
// many octets is full.
func asDaemon(t *testing.T, cache int64) {
	t.Helper()
	garbage := max(cache/16, 64<<20)
	limit, grow := debug.SetMemoryLimit(cache+garbage+256<<20), debug.SetGCPercent(int(100*garbage/cache))
	t.Cleanup(func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(grow)
	})
}

// resident is the memory of this process, in octets.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Full of a million answers, and of five million, the process takes no more than
// 1.3 times the cache's memory and a fixed part.
func TestCache_residentMemory(t *testing.T) {
	full(t)
	for _, n := range []int{1_000_000, 5_000_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m := newMix()
			var octets, messages int64
			for i := range 100 {
				a := m.answer(t, i, learned)
				octets += int64(a.Size())
				messages += int64(len(a.Packet()))
			}
			memory := octets * int64(n) / 100 * 5 / 4 // with tables and holes
			debug.FreeOSMemory()
			asDaemon(t, memory)
			base := resident(t)
			c := mustCache(t, memory)
			began := cpuTime()
			for i := range 2 * n { // half of them make the others leave
				c.Put(m.answer(t, i, learned))
			}
			took := cpuTime() - began
			s := c.Stats()
			grown := resident(t) - base
			debug.FreeOSMemory()
			settled := resident(t) - base
			t.Logf("%d entries of %d octets of message; memory %d MiB, said %d MiB, resident %d MiB, after a collection %d MiB, %d octets an entry; %v of CPU each",
				s.Entries, messages/100, s.Memory>>20, s.Bytes>>20, grown>>20, settled>>20, settled/s.Entries, took/time.Duration(2*n))
			if limit := s.Memory*13/10 + 256<<20; grown > limit {
				t.Errorf("%d octets are resident, want at most %d", grown, limit)
			}
			runtime.KeepAlive(c)
		})
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// With five million answers, of which 50,000 a second are replaced, garbage
// collection costs under 5 % of the processors, and does not stop a reader.
func TestCache_collection(t *testing.T) {
	full(t)
	const n, rate, lasts = 5_000_000, 50_000, 60 * time.Second
	m := newMix()
	c := mustCache(t, 4<<30)
	for i := range n {
		c.Put(m.answer(t, i, learned))
	}
	s := c.Stats()
	asDaemon(t, s.Bytes)
	c.limit = c.octets.Load() // from now on, a new one for an old one
	c.chunks.most = c.limit/chunkOctets*spareParts/(spareParts-1) + 1
	runtime.GC()

	var stop atomic.Bool
	slowest := make(chan time.Duration)
	probe := m.answer(t, n-1, learned)
	go func() { // a client, every so often
		var worst time.Duration
		for !stop.Load() {
			began := time.Now()
			get(c, probe)
			worst = max(worst, time.Since(began))
			time.Sleep(time.Millisecond)
		}
		slowest <- worst
	}()
	before, began, collections, used := timeClasses(), time.Now(), collected(), cpuTime()
	made := n
	for time.Since(began) < lasts {
		for due := n + int(time.Since(began)*rate/time.Second); made < due; made++ {
			c.Put(m.answer(t, made, learned))
		}
		time.Sleep(time.Millisecond)
	}
	after := timeClasses()
	used = cpuTime() - used
	stop.Store(true)
	worst := <-slowest
	// The runtime counts time in which other processes may have had the processor.
	gc := (after[0] - before[0]) / (after[1] - before[1]) * used.Seconds()
	share := 100 * gc / (time.Since(began).Seconds() * float64(runtime.GOMAXPROCS(0)))
	pauses := longestPause()
	t.Logf("%d entries, %d MiB; %d puts in %v; %d collections, %.1f of %.1f s of CPU, %.2f %% of the processors; longest pause %v, slowest Get %v",
		c.Stats().Entries, c.Stats().Bytes>>20, made-n, lasts, collected()-collections, gc, used.Seconds(), share, pauses, worst)
	if share > 5 {
		t.Errorf("collection takes %.2f %% of the processors, want at most 5", share)
	}
	if pauses > 5*time.Millisecond {
		t.Errorf("the longest pause was %v, which a client would see", pauses)
	}
	runtime.KeepAlive(c)
}

// timeClasses returns the seconds that goroutines spent on collection, and on all
// that they did.
func timeClasses() [2]float64 {
	s := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"},
	}
	runtime.GC() // which brings the figures up to date
	metrics.Read(s)
	idle := s[1].Value.Float64() // collection when there was nothing else to do
	return [2]float64{s[0].Value.Float64() - idle, s[2].Value.Float64() - s[3].Value.Float64()}
}

func collected() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// longestPause is the longest of the last pauses.
func longestPause() time.Duration {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	longest := uint64(0)
	for _, p := range m.PauseNs {
		longest = max(longest, p)
	}
	return time.Duration(longest)
}
