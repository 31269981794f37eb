package sidecar

import (
	"net/netip"
	"sync/atomic"
	"time"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar/state"
)

// A Status is what the sidecar does now.
type Status struct {
	State      bgpctl.State
	Since      time.Time // when State was entered
	Reason     string
	Announced  []netip.Prefix // confirmed by the speaker
	Leased     bool           // there is a lease that has not run out
	LeaseAge   time.Duration  // since it was last renewed
	HoldDown   time.Duration  // left before anything may be announced; 0 = none
	Merit      float64        // figure of merit: what routers that damp hold against the prefixes
	Low        bool           // with degraded attributes, if announced
	Drained    bool           // by an operator
	Check      string         // the check that caused the state, if one did
	Class      bgpctl.Class   // of its fault
	Others     state.Others   // what is known of other nodes
	Leaving    bool           // HELD, and about to be withdrawn
	SpeakerErr error          // of the last change; nil = none
	At         time.Time      // of this status; it is renewed with each tick
}

// Stats counts what the sidecar has done so far.
type Stats struct {
	Transitions   [bgpctl.StateCount]uint64 // into each bgpctl.State
	Expired       uint64                    // leases that ran out
	Refused       uint64                    // leases that did not count
	Rejected      uint64                    // connections that were not let in
	Garbage       uint64                    // connections ended for what they sent
	SpeakerErrors uint64
}

type counters struct {
	transitions                                        [bgpctl.StateCount]atomic.Uint64
	expired, refused, rejected, garbage, speakerErrors atomic.Uint64
}

// publish makes the status visible to other goroutines. Called by Serve.
func (s *Sidecar) publish(at time.Duration) {
	_, leaving := s.a.Leaving()
	s.status.Store(&Status{
		State:      s.a.State,
		Since:      s.since(at),
		Reason:     s.a.Reason,
		Announced:  s.announced(),
		Leased:     s.a.Expires > at,
		LeaseAge:   s.leaseAge(at),
		HoldDown:   max(s.a.HoldDown-at, 0),
		Merit:      s.a.Worth(at, s.o.Rules).Merit.Value,
		Low:        s.a.Low && s.a.Announces(),
		Drained:    s.a.Drained,
		Check:      s.a.Check,
		Class:      s.a.Class,
		Others:     s.a.Others,
		Leaving:    leaving,
		SpeakerErr: s.failed,
		At:         time.Now(),
	})
}

// since is when the state was entered, on the wall.
func (s *Sidecar) since(at time.Duration) time.Time {
	return time.Now().Add(s.a.Since - at).Round(time.Millisecond)
}

func (s *Sidecar) leaseAge(at time.Duration) time.Duration {
	if s.a.Expires <= at {
		return 0
	}
	return max(at-s.a.Renewed(), 0)
}

// announced are the prefixes that the speaker has confirmed.
func (s *Sidecar) announced() []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(s.routes))
	for _, r := range s.routes {
		prefixes = append(prefixes, r.Prefix)
	}
	return prefixes
}

// Status returns what the sidecar did last.
func (s *Sidecar) Status() Status { return *s.status.Load() }

// Stats returns the counters.
func (s *Sidecar) Stats() Stats {
	t := Stats{
		Expired:       s.counters.expired.Load(),
		Refused:       s.counters.refused.Load(),
		Rejected:      s.counters.rejected.Load(),
		Garbage:       s.counters.garbage.Load(),
		SpeakerErrors: s.counters.speakerErrors.Load(),
	}
	for i := range t.Transitions {
		t.Transitions[i] = s.counters.transitions[i].Load()
	}
	return t
}
