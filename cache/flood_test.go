package cache

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// A flood of two million names that nobody asks for again, in two minutes, while
// a thousand names are asked for once a second: of those, 95 % of the questions
// are hits (CacheFlush, USENIX Security 2024). Without PROXIMA_ALONE it is 200,000
// names, which still is many times what the caches hold.
func TestCache_floodLeavesWhatIsAskedFor(t *testing.T) {
	if raced {
		t.Skip("one goroutine, ten times as slow under the race detector")
	}
	const known, seconds, percent = 1000, 120, 95
	names := 200_000
	if os.Getenv("PROXIMA_ALONE") == "1" {
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
			t.Parallel()
			c := mustCache(t, tt.memory)
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
					c.Put(padded(t, i, 30, now))
					// The flood goes on between the questions.
					for ; flooded < (second*known+i)*(names/seconds)/known; flooded++ {
						c.Put(padded(t, 1_000_000+flooded, int(tt.octets), now))
					}
				}
				for ; flooded < (second+1)*(names/seconds); flooded++ {
					c.Put(padded(t, 1_000_000+flooded, int(tt.octets), now))
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

// padded is an answer whose name is as long as all the others'.
func padded(t testing.TB, i, octets int, at time.Time) *Answer {
	t.Helper()
	return labelled(t, fmt.Sprintf("n%012d", i), octets, at)
}
