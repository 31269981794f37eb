package state

import (
	"time"

	"proxima/bgpctl"
)

// A traffic is what the query counters of the leases tell.
type traffic struct {
	queries uint64        // the last counter
	at      time.Duration // when it came; 0 = never
	before  float64       // queries per second while announced, smoothed over about 16 leases
	loud    time.Duration // while draining: when there was last more than 1 % of before
}

// after returns the traffic after one more counter. One that went back is of a
// new process and only starts the count.
func (t traffic) after(queries uint64, at time.Duration, state bgpctl.State) traffic {
	elapsed := (at - t.at).Seconds()
	if t.at == 0 || elapsed <= 0 || queries < t.queries {
		t.queries, t.at, t.loud = queries, at, at
		return t
	}
	rate := float64(queries-t.queries) / elapsed
	t.queries, t.at = queries, at
	switch state {
	case bgpctl.Announced:
		if t.before == 0 {
			t.before = rate
		}
		t.before += (rate - t.before) / 16
	case bgpctl.Draining:
		if rate > t.before/100 {
			t.loud = at
		}
	}
	return t
}
