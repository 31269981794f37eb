package state

import "time"

// Rules say when to announce and how to leave. Every value is taken as it is;
// there are no defaults here.
type Rules struct {
	Warmup   Warmup
	Degrade  Degrade
	HoldDown HoldDown
	Damping  Damping
	Guard    Guard
	Drain    Drain
}

// Warmup is what a node shows before it is announced: Rise leases in a row that
// say that it serves, and at least Min since the first, and a random part of
// Jitter besides, so that a fleet that starts at once does not announce at once.
type Warmup struct {
	Min    time.Duration
	Rise   int
	Jitter time.Duration
}

// Degrade is how long degraded attributes stay: at least Dwell, and until Rise
// leases in a row have said Up. Each change of attributes costs the routers of
// the world an update.
type Degrade struct {
	Dwell time.Duration
	Rise  int
}

// HoldDown is how long nothing is announced after a withdrawal that a check
// caused: Base, then twice that and so on up to Max, each more or less by a
// random part of Jitter (0.2 = up to 20 %). An announcement that lasts as long as
// Max starts it over.
type HoldDown struct {
	Base, Max time.Duration
	Jitter    float64
}

// Drain is how long a node that leaves is announced with degraded attributes:
// until fewer than 1 % of the former queries have come for as long as Quiet (0
// = that is not looked at), and at most Wait.
type Drain struct {
	Wait, Quiet time.Duration
}

// processPause takes the place of HoldDown.Base, unless that is shorter, after
// a process has died or hung: it does not double, because the warm-up of its
// successor already spaces the announcements, and Damping counts them. Fixed at
// 5 s; less would announce a process in a crash loop within the hold time of
// its routers.
const processPause = 5 * time.Second

// after returns the hold-down after falls earlier withdrawals; chance, from 0
// to 1, places it within the jitter.
func (h HoldDown) after(falls int, chance float64) time.Duration {
	d := h.Base
	for ; falls > 0 && d < h.Max; falls-- {
		d *= 2
	}
	d = min(d, max(h.Base, h.Max))
	return d + time.Duration(float64(d)*h.Jitter*(2*chance-1))
}
