package localroot

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"proxima/clock"

	"github.com/miekg/dns"
)

// withSerial returns the test's root with another serial. Its SOA says refresh
// 1800 s, retry 900 s, expire 604800 s.
func withSerial(t testing.TB, serial string) *Zone {
	t.Helper()
	z, _ := mustZone(t, strings.Replace(rootText, " 100 1800", " "+serial+" 1800", 1))
	return z
}

func TestCopy_lives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Copy
		q := question("test.", dns.TypeA)
		if c.Answer(q) != nil || c.Expire(clock.Now()) || c.Stats().Held {
			t.Error("there is a copy before there was one")
		}
		began := clock.Now()
		z := withSerial(t, "100")
		if changed, err := c.Take(z, began, began.Add(30*24*time.Hour)); !changed || err != nil {
			t.Fatalf("Take = %t, %v", changed, err)
		}
		if got, want := c.Next(began, 0), began.Add(30*time.Minute); !got.Equal(want) {
			t.Errorf("refreshed at %v, want %v", got, want)
		}
		if got, want := c.Next(began, 1), began.Add(15*time.Minute); !got.Equal(want) {
			t.Errorf("tried again at %v, want %v", got, want)
		}
		time.Sleep(2 * 24 * time.Hour)
		c.Confirm(99, clock.Now().Add(time.Hour)) // of another zone
		c.Confirm(100, clock.Now())
		time.Sleep(84 * time.Hour) // half a week
		if c.Aging(clock.Now()) {
			t.Error("aging before half of its time")
		}
		time.Sleep(84*time.Hour - time.Second)
		if !c.Aging(clock.Now()) || c.Answer(q) == nil || c.Expire(clock.Now()) {
			t.Error("not in use, or not old, a second before its end")
		}
		want := Stats{Held: true, Serial: 100, Records: z.Records(), Age: 168*time.Hour - time.Second, Left: time.Second, Loads: 1, Answers: 1}
		if got := c.Stats(); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		if c.Answer(q) != nil {
			t.Error("answered after its end")
		}
		if got, want := c.Stats(), (Stats{Loads: 1, Answers: 1}); got != want {
			t.Errorf("at its end Stats = %+v, want %+v", got, want)
		}
		if !c.Expire(clock.Now()) || c.Zone() != nil || c.Expire(clock.Now()) {
			t.Error("not thrown away once")
		}
		for failed, want := range []time.Duration{1, 1, 2, 4, 8, 16, 16} {
			if got := c.Next(began, failed).Sub(began); got != want*time.Minute {
				t.Errorf("tried again after %v having failed %d times, want %d min", got, failed, want)
			}
		}
	})
}

func TestCopy_Take(t *testing.T) {
	tests := []struct {
		name                  string
		old, new              string        // serials
		confirmed, signatures time.Duration // from now
		changed               bool
		left                  time.Duration // of what is in use then
		fault                 string
	}{
		{"a newer zone", "100", "101", 0, 240 * time.Hour, true, 168 * time.Hour, ""},
		{"past the greatest serial", "4294967295", "1", 0, 240 * time.Hour, true, 168 * time.Hour, ""},
		{"the same again, known later to be the newest", "100", "100", 0, 240 * time.Hour, false, 168 * time.Hour, ""},
		{"the same, from before", "100", "100", -48 * time.Hour, 240 * time.Hour, false, 144 * time.Hour, ""},
		{"an older one", "100", "99", 0, 240 * time.Hour, false, 144 * time.Hour, "serial 99 is older than 100"},
		{"signatures end first", "100", "101", 0, 24 * time.Hour, true, 24 * time.Hour, ""},
		{"signatures have ended", "100", "101", 0, 0, false, 144 * time.Hour, "serial 101 expired"},
		{"written too long ago", "100", "101", -168 * time.Hour, 240 * time.Hour, false, 144 * time.Hour, "serial 101 expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c Copy
				at := clock.Now()
				if _, err := c.Take(withSerial(t, tt.old), at.Add(-24*time.Hour), at.Add(240*time.Hour)); err != nil {
					t.Fatal(err)
				}
				changed, err := c.Take(withSerial(t, tt.new), at.Add(tt.confirmed), at.Add(tt.signatures))
				if changed != tt.changed || (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("Take = %t, %v; want %t, %q", changed, err, tt.changed, tt.fault)
				}
				if got := c.Stats().Left; got != tt.left {
					t.Errorf("%v left, want %v", got, tt.left)
				}
			})
		})
	}
}

// stepped returns t as it would be read had the wall's clock been set by so much
// just before: the other one knows nothing of that.
func stepped(t testing.TB, at time.Time, by time.Duration) time.Time {
	t.Helper()
	const toSeconds = 30 // bits of nanoseconds, beside a monotonic reading
	moved := at
	*(*uint64)(unsafe.Pointer(&moved)) += uint64(by/time.Second) << toSeconds
	if got := moved.Round(0).Sub(at.Round(0)); got != by || !moved.Equal(at) {
		t.Fatalf("the wall's clock moved by %v, the other by %v, want %v and none", got, moved.Sub(at), by)
	}
	return moved
}

func TestCopy_endsByEitherClock(t *testing.T) {
	tests := []struct {
		name         string
		step, passes time.Duration
		over         bool
	}{
		{"the clock is set forward, or the host slept", 200 * time.Hour, 0, true},
		{"it is set forward by less", 100 * time.Hour, 0, false},
		{"it is set back, and the time passes", -1000 * time.Hour, 168 * time.Hour, true},
		{"it is set back", -1000 * time.Hour, 0, false},
	}
	for _, tt := range tests {
		for _, file := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, of a file %t", tt.name, file), func(t *testing.T) {
				var c Copy
				confirmed := clock.Now()
				if file {
					confirmed = confirmed.Round(0) // as the time of a file is
				}
				if _, err := c.Take(withSerial(t, "100"), confirmed, clock.Now().Add(240*time.Hour)); err != nil {
					t.Fatal(err)
				}
				if got := c.Expire(stepped(t, clock.Now().Add(tt.passes), tt.step)); got != tt.over {
					t.Errorf("thrown away %t, want %t", got, tt.over)
				}
			})
		}
	}
}

func TestCopy_Next_isBounded(t *testing.T) {
	for timers, want := range map[string][2]time.Duration{
		" 0 0 ":                   {time.Second, time.Second},
		" 4294967295 4294967295 ": {24 * time.Hour, 24 * time.Hour},
	} {
		z, _ := mustZone(t, strings.Replace(rootText, " 1800 900 ", timers, 1))
		var c Copy
		at := clock.Now()
		if _, err := c.Take(z, at, at.Add(240*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := [2]time.Duration{c.Next(at, 0).Sub(at), c.Next(at, 1).Sub(at)}; got != want {
			t.Errorf("refresh and retry of%s after %v, want %v", timers, got, want)
		}
	}
}
