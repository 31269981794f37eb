package anchor

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestUpkeep_After_knowsTheTime(t *testing.T) {
	a := mustPair(t)
	seen := func(ttl uint32, left time.Duration) Sighting {
		s := show(t, start, []pair{a}, a)
		s.Sigs[0].OrigTtl, s.Sigs[0].Expiration, s.Valid = ttl, uint32(start.Add(left).Unix()), true
		return s
	}
	tests := []struct {
		name        string
		s           Sighting
		next, retry time.Duration
	}{
		{"half the TTL", seen(172800, 21*day), day, 17280 * time.Second},
		{"half of what is left of the signature", seen(172800, day), 12 * time.Hour, 8640 * time.Second},
		{"at least an hour", seen(60, day), time.Hour, time.Hour},
		{"at most fifteen days, and one to try again", seen(1<<31, 100*day), 15 * day, day},
		{"an hour when the first question fails", Sighting{}, time.Hour, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := Begin(".", []*dns.DS{a.ds(t)}).After(tt.s, start)
			if got := u.Next.Sub(start); got != tt.next || u.Retry != tt.retry {
				t.Errorf("next after %v, want %v; retry %v, want %v", got, tt.next, u.Retry, tt.retry)
			}
			if u = u.After(Sighting{}, u.Next); u.Next.Sub(start) != tt.next+tt.retry {
				t.Errorf("tried again after %v, want %v", u.Next.Sub(start)-tt.next, tt.retry)
			}
		})
	}
}

func TestUpkeep_After_waitsForTheTTLIfThatIsLonger(t *testing.T) {
	a, b := mustPair(t), mustPair(t)
	s := show(t, start, []pair{a, b}, a)
	s.Sigs[0].OrigTtl, s.Valid = uint32(40*day/time.Second), true
	u := Begin(".", []*dns.DS{a.ds(t)}).After(s, start)
	if u = u.After(s, start.Add(35*day)); u.states(b) != "pending" {
		t.Errorf("%s after 35 days", u.states(b))
	}
	if u = u.After(s, start.Add(40*day)); u.states(b) != "valid" {
		t.Errorf("%s after 40 days", u.states(b))
	}
}

func TestUpkeep_After_survivesAClockThatWasAhead(t *testing.T) {
	a, b := mustPair(t), mustPair(t)
	s := show(t, start, []pair{a, b}, a)
	s.Valid = true
	u := Begin(".", []*dns.DS{a.ds(t)}).After(s, start.Add(3650*day))
	u = u.After(s, start)
	if u = u.After(s, start.Add(30*day)); u.states(b) != "valid" {
		t.Errorf("%s thirty days after the clock was set right", u.states(b))
	}
}

func TestUpkeep_Due(t *testing.T) {
	tests := []struct {
		name string
		next time.Time
		want time.Time
	}{
		{"at once, when nothing is known", time.Time{}, time.Time{}},
		{"at once, when the time is over", start.Add(-day), start.Add(-day)},
		{"when the time has come", start.Add(15 * day), start.Add(15 * day)},
		{"no later than in fifteen days, after a clock that was ahead", start.Add(3650 * day), start.Add(15 * day)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Upkeep{Next: tt.next}).Due(start); !got.Equal(tt.want) {
				t.Errorf("due at %v, want %v", got, tt.want)
			}
		})
	}
}
