package sidecar

import (
	"slices"
	"time"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar/state"
)

// historyLength is how many transitions are remembered: a day of trouble, at a
// few kilobytes.
const historyLength = 100

// A Transition is a change of state.
type Transition struct {
	At     time.Time    `json:"at"`
	From   bgpctl.State `json:"from"`
	To     bgpctl.State `json:"to"`
	Check  string       `json:"check,omitempty"` // that caused it, if one did
	Class  bgpctl.Class `json:"class"`           // of its fault
	Reason string       `json:"reason"`
}

// remember adds the change from one announcement to the next.
func (s *Sidecar) remember(before, after state.Announcement) {
	t := Transition{
		At: time.Now().Round(time.Millisecond), From: before.State, To: after.State,
		Check: after.Check, Class: after.Class, Reason: after.Reason,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.history) == historyLength {
		s.history = slices.Delete(s.history, 0, 1)
	}
	s.history = append(s.history, t)
}

// History returns the last transitions, the oldest first.
func (s *Sidecar) History() []Transition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history)
}
