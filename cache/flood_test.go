package cache

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"proxima/wire"
)

// A flood of two million names that nobody asks for again, in two minutes, while
// a thousand names are asked for once a second: of those, 95 % of the questions
// are hits (CacheFlush, USENIX Security 2024). Without PROXIMA_FULL it is 200,000
// names, which still is many times what the caches hold.
func TestCache_floodLeavesWhatIsAskedFor(t *testing.T) {
	full := os.Getenv("PROXIMA_FULL") == "1"
	if raced && !full {
		t.Skip("one goroutine, ten times as slow under the race detector")
	}
	const known, seconds, percent = 1000, 120, 95
	names := 200_000
	if full {
		names = 2_000_000
	}
	tests := []struct {
		memory, octets int64 // octets of one answer of the flood
		life           time.Duration
	}{
		{1 << 20, 100, 300 * time.Second},
		{4 << 20, 100, 300 * time.Second},
		{16 << 20, 100, 300 * time.Second},
		{16 << 20, 100, 20 * time.Second}, // the known names are learned anew all the time
		{4 << 20, 2048, 300 * time.Second},
		{64 << 20, 2048, 300 * time.Second},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("memory=%dMiB,octets=%d,life=%v", tt.memory>>20, tt.octets, tt.life), func(t *testing.T) {
			if raced && tt.memory < 64<<20 {
				t.Skip("under the race detector the attack as it was published, alone")
			}
			t.Parallel()
			c := mustCache(t, tt.memory)
			few, many := newFlood(t, 30), newFlood(t, int(tt.octets))
			asked, hits, flooded := 0, 0, 0
			var learns [known]time.Time
			for second := range seconds {
				now := learned.Add(time.Duration(second) * time.Second)
				for i := range known {
					key := fmt.Appendf(nil, "\x0dn%012d\x07example\x00", i)
					a := c.Get(key, 16, 1)
					fresh := a != nil && now.Sub(learns[i]) < tt.life
					if asked++; fresh {
						hits++
						continue
					}
					if a != nil {
						asked-- // its life was over: a miss that no cache can help
					}
					learns[i] = now
					c.Put(few.answer(t, i, now))
					// The flood goes on between the questions.
					for ; flooded < (second*known+i)*(names/seconds)/known; flooded++ {
						c.Put(many.answer(t, 1_000_000+flooded, now))
					}
				}
				for ; flooded < (second+1)*(names/seconds); flooded++ {
					c.Put(many.answer(t, 1_000_000+flooded, now))
				}
				if got := c.Stats().Bytes; got > tt.memory {
					t.Fatalf("%d octets in the second %d, more than %d", got, second, tt.memory)
				}
			}
			s := c.Stats()
			t.Logf("%d of %d hits, %.2f %%; %d entries, %d evictions", hits, asked, 100*float64(hits)/float64(asked), s.Entries, s.Evictions)
			if hits*100 < asked*percent {
				t.Errorf("%d of %d questions were hits, want %d %%", hits, asked, percent)
			}
			if s.Evictions < uint64(names)/10 {
				t.Errorf("only %d evictions: that was no flood", s.Evictions)
			}
		})
	}
}

// One name has new data of 1 KiB 5,000 times a second, for a minute, which live a
// second or not at all, while clients ask for it without a pause: nothing of what
// was replaced is kept, whenever it is looked (CVE-2026-11622). Without PROXIMA_FULL
// it is four seconds.
func TestCache_hammeredNameStaysSmall(t *testing.T) {
	const rate, growth = 5000, 20 << 20
	seconds := 4
	if os.Getenv("PROXIMA_FULL") == "1" {
		seconds = 60
	}
	c := mustCache(t, 64<<20)
	first := newFlood(t, 1024).answer(t, 1, learned)
	c.Put(first)
	base, basis := heap(), c.Stats().Bytes
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Get(first.Name(), first.Type(), first.Class())
					runtime.Gosched()
				}
			}
		})
	}
	f := newFlood(t, 1024)
	ttl := bytes.Index(f.msg, []byte{0, 0, 1, 44}) // of 300 s, in the one record
	var half int64
	for i := range seconds * rate {
		f.msg[ttl+2], f.msg[ttl+3] = 0, byte(i%2)
		c.Put(f.answer(t, 1, learned.Add(time.Duration(i)*time.Second/rate)))
		if s := c.Stats(); s.Entries > 1 || s.Bytes > basis+growth {
			t.Fatalf("after %d answers for one name: %+v", i, s)
		}
		if i == seconds*rate/2 {
			half = heap()
		}
	}
	close(stop)
	clients.Wait()
	end := heap()
	t.Logf("heap of %d KiB, %d KiB at half time, %d KiB in the end", base>>10, half>>10, end>>10)
	if end > base+growth || end > half+growth/20 {
		t.Errorf("the heap grew from %d to %d octets, and from %d since half time", base, end, half)
	}
	runtime.KeepAlive(c)
}

// A flood makes answers whose names are all as long, and quickly.
type flood struct{ msg []byte }

// newFlood returns what makes answers with so many octets of text.
func newFlood(t testing.TB, octets int) *flood {
	t.Helper()
	a := labelled(t, fmt.Sprintf("n%0*d", floodDigits, 0), octets, learned)
	return &flood{bytes.Clone(a.Packet())}
}

// floodDigits is how many digits a name has, behind the header, a length and "n".
const floodDigits = 12

// answer is the answer of the i-th name.
func (f *flood) answer(t testing.TB, i int, at time.Time) *Answer {
	for d := wire.HeaderLen + 1 + floodDigits; d > wire.HeaderLen+1; d, i = d-1, i/10 {
		f.msg[d] = '0' + byte(i%10)
	}
	return mustAnswer(t, f.msg, Meta{At: at})
}
