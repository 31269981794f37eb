package localroot

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		if got, want := c.Next(began, false), began.Add(30*time.Minute); !got.Equal(want) {
			t.Errorf("refreshed at %v, want %v", got, want)
		}
		if got, want := c.Next(began, true), began.Add(15*time.Minute); !got.Equal(want) {
			t.Errorf("tried again at %v, want %v", got, want)
		}
		time.Sleep(2 * 24 * time.Hour)
		c.Confirm(clock.Now())
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
		if !c.Expire(clock.Now()) || c.Zone() != nil || c.Expire(clock.Now()) {
			t.Error("not thrown away once")
		}
		if got, want := c.Next(clock.Now(), true), clock.Now().Add(FirstRetry); !got.Equal(want) {
			t.Errorf("tried again at %v, want %v", got, want)
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
