package sidecar

import (
	"fmt"
	"time"

	"proxima/bgpctl"
)

// Rules say when to announce and how to leave. Every value is taken as it is;
// there are no defaults here.
type Rules struct {
	Warmup   Warmup
	HoldDown HoldDown
	Drain    Drain
}

// Warmup is what a node shows before it is announced: Rise leases in a row that
// say Up, and at least Min since the first.
type Warmup struct {
	Min  time.Duration
	Rise int
}

// HoldDown is how long nothing is announced after a withdrawal that a check
// caused: Base, then twice that and so on up to Max. An announcement that lasts
// as long as Max starts it over.
type HoldDown struct {
	Base, Max time.Duration
}

// Drain is how long a node that leaves is announced with degraded attributes:
// until fewer than 1 % of the former queries have come for as long as Quiet (0
// = that is not looked at), and at most Wait.
type Drain struct {
	Wait, Quiet time.Duration
}

// processPause takes the place of HoldDown.Base, unless that is shorter, after
// a process has died or hung: it does not double, because the warm-up of its
// successor already spaces the announcements. Fixed at 5 s; less would announce
// a process in a crash loop within the hold time of its routers.
const processPause = 5 * time.Second

// An announcement is what the sidecar does for the node, and why. It is a value:
// step makes the next one.
//
//	           Up                 Min and Rise reached, hold-down over
//	WITHDRAWN ────> WARMUP ──────────────────────────────> ANNOUNCED
//	 ^  ^  ^          │                                     │  │  ^
//	 │  │  └──────────┘ Down, Drain, gone, lapsed           │  │  │
//	 │  └───────────────────────────── Down, gone, lapsed ──┘  │  │
//	 │                                                   Drain │  │ Up
//	 │                                                         v  │
//	 └── Wait over, quiet, Down, gone, lapsed ────────────── DRAINING
//
// Nothing is announced in the left half. Down is a wish of the node; gone is the
// end of its connection, lapsed the end of its lease.
type announcement struct {
	state    bgpctl.State
	since    time.Duration // when state was entered; all times are the clock of the events
	reason   string        // why it was entered
	check    string        // the check that caused it, if one did
	expires  time.Duration // end of the lease; 0 = there is none
	good     int           // in WARMUP: leases that said Up
	falls    int           // withdrawals in a row that a check caused
	holdDown time.Duration // nothing is announced before
	traffic  traffic
}

// An event is something that happened to an announcement.
type event struct {
	kind    kind
	ttl     time.Duration // of a lease
	wish    bgpctl.Wish
	check   string
	reason  string
	queries uint64
}

type kind uint8

const (
	tick   kind = iota // time has passed
	leased             // a lease has come
	gone               // the connection of the holder has ended
)

// step returns the announcement after e happened at the time at. It is pure.
func step(a announcement, e event, at time.Duration, r Rules) announcement {
	if a.expires != 0 && at >= a.expires {
		a.expires = 0
		a = a.die("the lease has run out", at, r)
	}
	switch e.kind {
	case leased:
		a.expires = at + e.ttl
		a = a.heed(e, at, r)
	case gone:
		a.expires = 0
		a = a.die(e.reason, at, r)
	}
	return a.mature(at, r)
}

// heed does what a lease asks for.
func (a announcement) heed(e event, at time.Duration, r Rules) announcement {
	a.traffic = a.traffic.after(e.queries, at, a.state)
	switch {
	case e.wish == bgpctl.Down && a.state != bgpctl.Withdrawn:
		return a.fall(e, at, r)
	case e.wish == bgpctl.Drain && a.state == bgpctl.Announced:
		a.traffic.loud = at
		return a.enter(bgpctl.Draining, e.reason, at)
	case e.wish == bgpctl.Drain && a.state == bgpctl.Warmup:
		return a.enter(bgpctl.Withdrawn, e.reason, at)
	case e.wish == bgpctl.Up && a.state == bgpctl.Withdrawn:
		a = a.enter(bgpctl.Warmup, "the checks pass", at)
		a.good = 1
	case e.wish == bgpctl.Up && a.state == bgpctl.Warmup:
		a.good++
	case e.wish == bgpctl.Up && a.state == bgpctl.Draining:
		return a.enter(bgpctl.Announced, "the drain was called off", at)
	}
	return a
}

// mature does what time alone brings.
func (a announcement) mature(at time.Duration, r Rules) announcement {
	switch a.state {
	case bgpctl.Warmup:
		if a.good >= r.Warmup.Rise && at-a.since >= r.Warmup.Min && at >= a.holdDown {
			return a.enter(bgpctl.Announced, "warmed up", at)
		}
	case bgpctl.Draining:
		if at-a.since >= r.Drain.Wait {
			return a.enter(bgpctl.Withdrawn, fmt.Sprintf("drained for %v", r.Drain.Wait), at)
		}
		if r.Drain.Quiet > 0 && a.traffic.at-a.traffic.loud >= r.Drain.Quiet {
			return a.enter(bgpctl.Withdrawn, fmt.Sprintf("drained: quiet for %v", r.Drain.Quiet), at)
		}
	}
	return a
}

// fall withdraws because the node says so. If a check caused it, the hold-down
// doubles.
func (a announcement) fall(e event, at time.Duration, r Rules) announcement {
	served := a.state == bgpctl.Announced || a.state == bgpctl.Draining
	if served && e.check != "" {
		if a.state == bgpctl.Announced && at-a.since >= r.HoldDown.Max {
			a.falls = 0
		}
		a.holdDown = at + r.HoldDown.after(a.falls)
		a.falls++
	}
	a = a.enter(bgpctl.Withdrawn, e.reason, at)
	a.check = e.check
	return a
}

// die withdraws because the process has ended or hangs.
func (a announcement) die(reason string, at time.Duration, r Rules) announcement {
	switch a.state {
	case bgpctl.Withdrawn:
		return a
	case bgpctl.Announced, bgpctl.Draining:
		a.holdDown = max(a.holdDown, at+min(processPause, r.HoldDown.Base))
	}
	return a.enter(bgpctl.Withdrawn, reason, at)
}

// after returns the hold-down after falls earlier withdrawals.
func (h HoldDown) after(falls int) time.Duration {
	d := h.Base
	for ; falls > 0 && d < h.Max; falls-- {
		d *= 2
	}
	return min(d, max(h.Base, h.Max))
}

func (a announcement) enter(state bgpctl.State, reason string, at time.Duration) announcement {
	a.state, a.reason, a.check, a.since, a.good = state, reason, "", at, 0
	return a
}

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
