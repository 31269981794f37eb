package state

import (
	"time"

	"proxima/bgpctl"
)

// obey does what an operator orders. What does not fit the state changes
// nothing.
func (a Announcement) obey(e Event, at time.Duration, r Rules) Announcement {
	switch e.Kind {
	case OrderDrain:
		if a.State == bgpctl.Frozen {
			a = a.thaw(at)
		}
		a.Drained = true
		switch {
		case a.Announces():
			return a.leave(e.Reason, at, r)
		case a.State != bgpctl.Maintenance:
			return a.enter(bgpctl.Maintenance, e.Reason, at)
		}
	case OrderWithdraw:
		if a.State == bgpctl.Frozen {
			a = a.thaw(at)
		}
		a.Drained = true
		switch {
		case a.Announces():
			return a.withdraw(e.Reason, at, r)
		case a.State != bgpctl.Maintenance:
			return a.enter(bgpctl.Maintenance, e.Reason, at)
		}
	case OrderUndrain:
		if !a.Drained {
			return a
		}
		a.Drained = false
		if a.State == bgpctl.Draining {
			return a.stay(e.Reason, at, r)
		}
		return a.enter(bgpctl.Withdrawn, e.Reason, at)
	case OrderFreeze:
		if a.State == bgpctl.Frozen || a.State == bgpctl.Maintenance || a.State == bgpctl.Draining {
			return a
		}
		kept := a.State
		a = a.enter(bgpctl.Frozen, e.Reason, at)
		a.Kept = kept
	case OrderUnfreeze:
		if a.State == bgpctl.Frozen {
			return a.thaw(at)
		}
	}
	return a
}

// thaw ends a freeze in the state that was kept.
func (a Announcement) thaw(at time.Duration) Announcement {
	kept := a.Kept
	a.Kept = bgpctl.Init
	return a.enter(kept, "unfrozen", at)
}
