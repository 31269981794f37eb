package iterate

import (
	"errors"
	"sync/atomic"

	"proxima/resolver/dialogue"
	"proxima/resolver/limit"
)

// Stats are a Walker's counters since it was made.
type Stats struct {
	dialogue.Stats // what was asked

	Lookups   uint64 // calls of Lookup
	Failures  uint64 // of these ended with an error
	Bogus     uint64 // of those because something could not be proven
	Secure    uint64 // lookups whose answer is proven, all of it
	Proofs    uint64 // computed
	Known     uint64 // questions answered by what zones have denied before
	Lame      uint64 // replies worth nothing
	Referrals uint64
	Aliases   uint64
	Servers   uint64 // lookups of name servers' addresses
	Recalled  uint64 // questions of the tree that have just failed, and were not asked again
	Primes    uint64 // times the root's servers were learned
	Local     uint64 // questions that the copy of the root answered
	Unfit     uint64 // its replies that proved nothing, so that a server was asked
	Cuts      int    // known now
	Crowded   uint64 // times that a server had no seat left; of zones, a limit tells

	Limits map[string]uint64 // questions that a limit ended, by its name
}

// counts are the counters behind Stats.
type counts struct {
	lookups, failures, bogus, secure, known   atomic.Uint64
	lame, referrals, aliases, servers, primes atomic.Uint64
	recalled, local, unfit                    atomic.Uint64
	limits                                    [limit.Count]atomic.Uint64
}

// failed counts a lookup that ended with err.
func (c *counts) failed(err error) {
	c.failures.Add(1)
	var e *Error
	if errors.As(err, &e) && e.Bogus {
		c.bogus.Add(1)
	}
}

// Stats returns the counters.
func (w *Walker) Stats() Stats {
	c := &w.counts
	s := Stats{
		Stats:   w.asker.Stats(),
		Lookups: c.lookups.Load(), Failures: c.failures.Load(), Bogus: c.bogus.Load(), Secure: c.secure.Load(),
		Proofs: w.chain.Proofs(), Known: c.known.Load(), Lame: c.lame.Load(), Referrals: c.referrals.Load(),
		Aliases: c.aliases.Load(), Servers: c.servers.Load(), Primes: c.primes.Load(),
		Local: c.local.Load(), Unfit: c.unfit.Load(),
		Recalled: c.recalled.Load(), Cuts: w.cuts.Len(), Crowded: w.serverSeats.Stats().Full, Limits: make(map[string]uint64, limit.Count),
	}
	for l := range limit.Count {
		s.Limits[l.String()] = c.limits[l].Load()
	}
	return s
}
