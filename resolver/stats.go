package resolver

import "sync/atomic"

// Stats are a Resolver's counters since it was made. Hits are not among them:
// they are what the server was asked less all these.
type Stats struct {
	Local    uint64 // replies to special names and to who we are
	Refused  uint64 // replies that say no by policy
	Flights  uint64 // questions worked on
	Failed   uint64 // of these ended with an error
	Panics   uint64 // of these with a panic: each is a fault in this program
	Recalled uint64 // replies that repeat a remembered failure
	Stale    uint64 // replies from an answer after its life, RFC 8767
	Late     uint64 // replies that say no because time ran out
	Busy     uint64 // replies that say no because too many wait
	Jostled  uint64 // flights that had to end for newer ones
	Flying   int    // flights now
	Waiters  int    // clients waiting now

	Refreshed     uint64 // flights that have refreshed an answer or a question kept warm
	RefreshFailed uint64 // flights that should have
	RefreshShed   uint64 // answers near their end for which the refresher had no room
	Refreshing    int    // flights of the refresher now
}

// counts are the counters behind Stats. None is touched by a cache hit.
type counts struct {
	local, refused, flights, failed, panics, recalled, stale, late, busy, jostled atomic.Uint64
	refreshed, refreshFailed, shed                                                atomic.Uint64
}

// Stats returns the counters.
func (r *Resolver) Stats() Stats {
	c := &r.counts
	s := Stats{
		Local: c.local.Load(), Refused: c.refused.Load(), Flights: c.flights.Load(), Failed: c.failed.Load(),
		Panics: c.panics.Load(), Recalled: c.recalled.Load(), Stale: c.stale.Load(), Late: c.late.Load(), Busy: c.busy.Load(),
		Jostled: c.jostled.Load(), Refreshed: c.refreshed.Load(), RefreshFailed: c.refreshFailed.Load(), RefreshShed: c.shed.Load(),
		Refreshing: len(r.places),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Flying, s.Waiters = len(r.flights), r.waiters
	return s
}
