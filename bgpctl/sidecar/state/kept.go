package state

import (
	"time"

	"proxima/bgpctl"
)

// A Kept is what an announcement leaves to that of a later process.
type Kept struct {
	Drained  bool
	Merit    Merit
	HoldDown time.Duration
	Falls    int
}

// Worth returns what is worth keeping.
func (a Announcement) Worth(at time.Duration, r Rules) Kept {
	return Kept{a.Drained, Merit{r.Damping.now(a.Merit, at), at}, a.HoldDown, a.falls}
}

// Restore returns the announcement of a process that begins, with what an
// earlier one has left.
func (a Announcement) Restore(k Kept, at time.Duration) Announcement {
	a.Merit, a.HoldDown, a.falls, a.Drained = k.Merit, k.HoldDown, k.Falls, k.Drained
	if k.Drained {
		return a.enter(bgpctl.Maintenance, "an operator has drained the node before this start", at)
	}
	return a
}

// Stopped is the reason of an announcement whose sidecar has stopped.
const Stopped = "the sidecar stops"

// Stop returns the announcement of a sidecar that stops: nothing is announced.
func (a Announcement) Stop(at time.Duration, r Rules) Announcement {
	a.Expires = 0
	if a.Announces() {
		return a.withdraw(Stopped, at, r)
	}
	if a.State == bgpctl.Maintenance {
		return a
	}
	return a.enter(bgpctl.Withdrawn, Stopped, at)
}
