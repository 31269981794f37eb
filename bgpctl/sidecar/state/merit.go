package state

import (
	"math"
	"time"
)

// What routers that damp flapping routes add to the figure of merit of a
// prefix, RFC 2439 section 4.2 with the values of Juniper, the strictest of
// those in use: 1000 for a withdrawal, 1000 for a new announcement, 500 for new
// attributes. They suppress it from 3000, Cisco's (which adds nothing for an
// announcement) from 2000.
const (
	withdrawalCosts   = 1000
	announcementCosts = 1000
	attributesCost    = 500
)

// forgotten is a figure that counts as none: the first announcement after so
// long costs nothing, as a route that was never withdrawn has not flapped.
const forgotten = 1

// Damping keeps our own figure of merit at Limit or below, so that no router
// suppresses us: an announcement or new attributes wait until it allows them.
// What a process does that dies cannot wait. Limit 0 = no damping.
type Damping struct {
	HalfLife time.Duration
	Limit    float64
}

// A Merit is a figure of merit: Value at the time At, and less since.
type Merit struct {
	Value float64
	At    time.Duration
}

// now returns what is left of the figure.
func (d Damping) now(m Merit, at time.Duration) float64 {
	if at <= m.At || d.HalfLife <= 0 {
		return m.Value
	}
	return m.Value * math.Exp2(-float64(at-m.At)/float64(d.HalfLife))
}

// charge returns the figure after something that costs so much.
func (d Damping) charge(m Merit, cost float64, at time.Duration) Merit {
	if d.Limit == 0 {
		return Merit{}
	}
	return Merit{d.now(m, at) + cost, at}
}

// allows reports whether something that costs so much stays within the limit.
func (d Damping) allows(m Merit, cost float64, at time.Duration) bool {
	return d.Limit == 0 || d.now(m, at)+cost <= d.Limit
}

// announcing returns the cost of an announcement now.
func (d Damping) announcing(m Merit, at time.Duration) float64 {
	if d.now(m, at) < forgotten {
		return 0
	}
	return announcementCosts
}
