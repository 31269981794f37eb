// Package state decides what a node announces: one pure function of what is
// announced, what happened, and when.
package state

import (
	"time"

	"proxima/bgpctl"
)

// An Announcement is what the sidecar does for the node, and why. It is a value:
// Step makes the next one. The zero value is INIT.
//
//	INIT ─── first lease ───> WARMUP or WITHDRAWN
//
//	           Up                         warm, hold-down over, damping allows
//	WITHDRAWN ────────────────> WARMUP ─────────────────────────> ANNOUNCED
//	 ^  ^  ^                      │               Up with a fault │ ^  │  │
//	 │  │  └────── Down, Drain ───┘                              v │  │  │
//	 │  │                                                    DEGRADED  │  │
//	 │  │                                    a check says Down  │      │  │
//	 │  │        the guard permits                              v      │  │
//	 │  ├───────────────────────────────────────────────────── HELD <──┘  │
//	 │  │        nobody announces (back to HELD)                ^         │
//	 │  └─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┘   Drain │
//	 │                                                                    v
//	 └──────────────────── Wait over, or quiet ────────────────────── DRAINING
//
// From each state that announces, the end of the process or of its lease leads
// to WITHDRAWN at once, and so does a Down that no check caused. An operator's
// drain ends in MAINTENANCE, which only an operator ends. FROZEN keeps what a
// node announces, or that it announces nothing, whatever its checks say.
type Announcement struct {
	State    bgpctl.State
	Since    time.Duration // when State was entered; all times are the clock of the events
	Reason   string        // why it was entered
	Check    string        // the check that caused it, if one did
	Class    bgpctl.Class  // of that check's fault
	Expires  time.Duration // end of the lease; 0 = there is none
	HoldDown time.Duration // nothing is announced before
	Low      bool          // with degraded attributes, if it is announced
	Merit    Merit
	Others   Others
	Kept     bgpctl.State // while FROZEN: what is kept
	Drained  bool         // by an operator: DRAINING ends in MAINTENANCE

	good    int           // leases in a row that said what a better state wants
	falls   int           // withdrawals in a row that a check caused
	fell    bool          // a check caused that nothing is announced
	jitter  time.Duration // of this warm-up
	waiting time.Duration // HELD: since when it has wanted to leave; WITHDRAWN: since when nobody announces; 0 = it does not, somebody does
	lowered time.Duration // when Low last changed
	begun   time.Duration // when it was last announced
	traffic traffic
}

// Announces reports whether the node's prefixes are announced.
func (a Announcement) Announces() bool {
	state := a.State
	if state == bgpctl.Frozen {
		state = a.Kept
	}
	switch state {
	case bgpctl.Announced, bgpctl.Degraded, bgpctl.Held, bgpctl.Draining:
		return true
	}
	return false
}

// Leaving returns since when the node has wanted to leave, and waits for the
// guard to permit it; false if it does not.
func (a Announcement) Leaving() (since time.Duration, leaving bool) {
	return a.waiting, a.State == bgpctl.Held && a.waiting != 0
}

// Renewed is when the lease was last renewed; 0 = never.
func (a Announcement) Renewed() time.Duration { return a.traffic.at }

// An Event is something that happened to an announcement.
type Event struct {
	Kind   Kind
	Reason string  // of Leased, Gone and the orders
	Chance float64 // from 0 to 1, drawn anew for each event: what is random is placed by it

	// Of Leased.
	TTL     time.Duration
	Wish    bgpctl.Wish
	Check   string
	Class   bgpctl.Class
	Answers bool // the node answers what it has, whatever else it fails at
	Queries uint64

	Others Others // of Heard
}

// A Kind is what an Event is.
type Kind uint8

const (
	Tick          Kind = iota // time has passed
	Leased                    // a lease has come
	Gone                      // the connection of the holder has ended
	Heard                     // there is news of the others
	OrderDrain                // an operator wants the node to leave, and to stay away
	OrderUndrain              // and to come back
	OrderWithdraw             // an operator wants nothing announced, now
	OrderFreeze               // an operator wants nothing changed
	OrderUnfreeze             // and now it may
)
