package config

import (
	"fmt"
	"time"
)

// Health is the section health.
type Health struct {
	Every      time.Duration
	Rise, Fall int
	Recursion  RecursionCheck
	Validation ValidationCheck
}

// RecursionCheck is the section recursion of health.
type RecursionCheck struct {
	Targets []string // zones; none = it is not checked
	Quorum  int
	Every   time.Duration
	Roots   bool
}

// ValidationCheck is the section validation of health.
type ValidationCheck struct {
	Good, Bogus []string // names; none = it is not checked
	Every       time.Duration
	Clock       bool // check it by the signatures of Good
}

// maxTargets bounds the names that a check asks for each time.
const maxTargets = 32

func defaultHealth() Health {
	return Health{
		Every: time.Second, Rise: 3, Fall: 2,
		Recursion: RecursionCheck{
			// Five operators, so that the fault of one counts for nothing.
			Targets: []string{"com.", "org.", "de.", "uk.", "jp."}, Quorum: 2, Every: 10 * time.Second, Roots: true,
		},
		Validation: ValidationCheck{
			Good: []string{"com.", "org.", "de."}, Bogus: []string{"dnssec-failed.org.", "www.rhybar.cz."},
			Every: 30 * time.Second, Clock: true,
		},
	}
}

func (h *Health) field() field {
	// Once a second is what a test needs; an hour is no check any more.
	period := duration(time.Second, time.Hour)
	return section("health",
		// A lease lasts 10 s at most, which must leave room for failures.
		one("every", &h.Every, duration(100*time.Millisecond, 4*time.Second)),
		one("rise", &h.Rise, number[int](1, 1000)),
		one("fall", &h.Fall, number[int](1, 1000)),
		section("recursion",
			list("targets", &h.Recursion.Targets, maxTargets, zoneName),
			one("quorum", &h.Recursion.Quorum, number[int](1, maxTargets)),
			one("every", &h.Recursion.Every, period),
			one("roots", &h.Recursion.Roots, boolean)),
		section("validation",
			list("good", &h.Validation.Good, maxTargets, zoneName),
			list("bogus", &h.Validation.Bogus, maxTargets, zoneName),
			one("every", &h.Validation.Every, period),
			one("clock", &h.Validation.Clock, boolean)))
}

func (n *Node) checkHealth(r *reader) {
	if c := n.Health.Recursion; len(c.Targets) > 0 && len(c.Targets) < c.Quorum {
		r.fault("health.recursion.quorum", fmt.Sprintf("%d is more than there are targets", c.Quorum),
			fmt.Sprintf("%d at most", len(c.Targets)))
	}
}
