package state

import (
	"fmt"
	"time"

	"proxima/bgpctl"
)

// Step returns the announcement after e happened at the time at. It is pure.
func Step(a Announcement, e Event, at time.Duration, r Rules) Announcement {
	if a.Expires != 0 && at >= a.Expires {
		a.Expires = 0
		a = a.die("the lease has run out", at, r)
	}
	switch e.Kind {
	case Leased:
		a.Expires = at + e.TTL
		a = a.heed(e, at, r)
	case Gone:
		a.Expires = 0
		a = a.die(e.Reason, at, r)
	case Heard:
		a.Others = e.Others
	case OrderDrain, OrderUndrain, OrderWithdraw, OrderFreeze, OrderUnfreeze:
		a = a.obey(e, at, r)
	}
	return a.mature(e.Chance, at, r)
}

// heed does what a lease asks for.
func (a Announcement) heed(e Event, at time.Duration, r Rules) Announcement {
	a.traffic = a.traffic.after(e.Queries, at, a.State)
	switch a.State {
	case bgpctl.Frozen, bgpctl.Maintenance:
		return a
	case bgpctl.Init, bgpctl.Withdrawn, bgpctl.Warmup:
		return a.heedOff(e, at, r)
	}
	switch e.Wish {
	case bgpctl.Down:
		return a.fall(e, at, r)
	case bgpctl.Drain:
		return a.leave(e.Reason, at, r)
	}
	if a.State == bgpctl.Draining {
		if a.Drained {
			return a // the operator has the last word
		}
		return a.stay("the drain was called off", at, r)
	}
	return a.serve(e, at)
}

// heedOff does what a lease asks for while nothing is announced.
func (a Announcement) heedOff(e Event, at time.Duration, r Rules) Announcement {
	switch {
	case e.Wish == bgpctl.Up && a.State == bgpctl.Warmup:
		a.good++
	case e.Wish == bgpctl.Up:
		a = a.enter(bgpctl.Warmup, "the checks pass", at)
		a.good, a.fell = 1, false
		a.jitter = time.Duration(e.Chance * float64(r.Warmup.Jitter))
	case a.State != bgpctl.Withdrawn:
		a = a.enter(bgpctl.Withdrawn, e.Reason, at)
		a.Check, a.Class, a.fell = e.Check, e.Class, e.Check != ""
	}
	return a.recover(e, at, r)
}

// serve notes a lease that wants the node announced.
func (a Announcement) serve(e Event, at time.Duration) Announcement {
	if e.Class == bgpctl.Sound {
		a.good++
		return a
	}
	a.good = 0
	if a.State != bgpctl.Degraded {
		a = a.enter(bgpctl.Degraded, e.Reason, at)
	}
	a.Check, a.Class = e.Check, e.Class
	return a
}

// fall is what follows when the node says Down. If a check caused it, the guard
// has a say, and the node is held until it permits.
func (a Announcement) fall(e Event, at time.Duration, r Rules) Announcement {
	a.good = 0
	if e.Check == "" {
		return a.withdraw(e.Reason, at, r)
	}
	switch {
	case a.State != bgpctl.Held:
		a.waiting = at
	case a.Others.Before > 0:
		a.waiting = 0 // it takes its word back
	case a.waiting == 0:
		a.waiting = at
	}
	why, ok := r.Guard.permits(a.Others, at-a.waiting, at)
	if ok {
		if at-a.begun >= r.HoldDown.Max {
			a.falls = 0
		}
		a.HoldDown = at + r.HoldDown.after(a.falls, e.Chance)
		a.falls++
		a = a.withdraw(e.Reason, at, r)
		a.Check, a.Class, a.fell = e.Check, e.Class, true
		return a
	}
	if a.State != bgpctl.Held {
		waiting := a.waiting
		a = a.enter(bgpctl.Held, e.Reason+"; held: "+why, at)
		a.waiting = waiting
	}
	a.Check, a.Class = e.Check, e.Class
	return a
}

// recover announces a node again that a check has taken away, if it can answer
// and nobody else announces: a bad answer is better than none. Neither hold-down
// nor damping stop it.
func (a Announcement) recover(e Event, at time.Duration, r Rules) Announcement {
	alone := a.fell && a.State == bgpctl.Withdrawn && e.Answers && r.Guard.known(a.Others, at) && a.Others.Announcing == 0
	if !alone {
		a.waiting = 0
		return a
	}
	if a.waiting == 0 {
		a.waiting = at
	}
	if at-a.waiting < recovery+time.Duration(a.Others.Rank)*r.Guard.Wait {
		return a
	}
	check, class := a.Check, a.Class
	a = a.announce(bgpctl.Held, "nobody announces the prefixes: "+e.Reason, at, r)
	a.Low, a.Check, a.Class = true, check, class
	return a
}

// leave begins a drain.
func (a Announcement) leave(reason string, at time.Duration, r Rules) Announcement {
	if a.State == bgpctl.Draining {
		return a
	}
	a.traffic.loud = at
	return a.lower(at, r).enter(bgpctl.Draining, reason, at)
}

// stay ends a drain that somebody has called off.
func (a Announcement) stay(reason string, at time.Duration, r Rules) Announcement {
	if r.Damping.allows(a.Merit, attributesCost, at) {
		a = a.raise(at, r)
	}
	return a.enter(bgpctl.Announced, reason, at)
}

// die withdraws because the process has ended or hangs. A freeze ends with it.
func (a Announcement) die(reason string, at time.Duration, r Rules) Announcement {
	switch {
	case a.Announces():
		a.HoldDown = max(a.HoldDown, at+min(processPause, r.HoldDown.Base))
		return a.withdraw(reason, at, r)
	case a.State == bgpctl.Warmup, a.State == bgpctl.Frozen:
		return a.enter(bgpctl.Withdrawn, reason, at)
	}
	return a
}

// withdraw leaves a state that announces.
func (a Announcement) withdraw(reason string, at time.Duration, r Rules) Announcement {
	a.Merit = r.Damping.charge(a.Merit, withdrawalCosts, at)
	to := bgpctl.Withdrawn
	if a.Drained {
		to = bgpctl.Maintenance
	}
	return a.enter(to, reason, at)
}

// announce enters a state that announces from one that does not.
func (a Announcement) announce(state bgpctl.State, reason string, at time.Duration, r Rules) Announcement {
	a.Merit = r.Damping.charge(a.Merit, r.Damping.announcing(a.Merit, at), at)
	a.Low, a.lowered, a.begun, a.fell = false, at, at, false
	return a.enter(state, reason, at)
}

// lower and raise change the attributes, and count it.
func (a Announcement) lower(at time.Duration, r Rules) Announcement { return a.turn(true, at, r) }
func (a Announcement) raise(at time.Duration, r Rules) Announcement { return a.turn(false, at, r) }

func (a Announcement) turn(low bool, at time.Duration, r Rules) Announcement {
	if a.Low != low {
		a.Merit = r.Damping.charge(a.Merit, attributesCost, at)
		a.Low, a.lowered = low, at
	}
	return a
}

func (a Announcement) enter(state bgpctl.State, reason string, at time.Duration) Announcement {
	a.State, a.Reason, a.Check, a.Class, a.Since = state, reason, "", bgpctl.Sound, at
	a.good, a.waiting = 0, 0
	return a
}

// mature does what time alone brings, and what had to wait.
func (a Announcement) mature(chance float64, at time.Duration, r Rules) Announcement {
	switch a.State {
	case bgpctl.Warmup:
		warm := a.good >= r.Warmup.Rise && at-a.Since >= r.Warmup.Min+a.jitter && at >= a.HoldDown
		if warm && r.Damping.allows(a.Merit, r.Damping.announcing(a.Merit, at), at) {
			return a.announce(bgpctl.Announced, "warmed up", at, r)
		}
	case bgpctl.Announced:
		if a.Low && at-a.lowered >= r.Degrade.Dwell && r.Damping.allows(a.Merit, attributesCost, at) {
			return a.raise(at, r)
		}
	case bgpctl.Degraded, bgpctl.Held:
		if !a.Low && r.Damping.allows(a.Merit, attributesCost, at) {
			a = a.lower(at, r)
		}
		if a.good >= r.Degrade.Rise && at-a.Since >= r.Degrade.Dwell {
			return a.enter(bgpctl.Announced, "the checks pass", at).mature(chance, at, r)
		}
	case bgpctl.Draining:
		if at-a.Since >= r.Drain.Wait {
			return a.withdraw(fmt.Sprintf("drained for %v", r.Drain.Wait), at, r)
		}
		if r.Drain.Quiet > 0 && a.traffic.at-a.traffic.loud >= r.Drain.Quiet {
			return a.withdraw(fmt.Sprintf("drained: quiet for %v", r.Drain.Quiet), at, r)
		}
	}
	return a
}
