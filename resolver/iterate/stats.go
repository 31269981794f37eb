package iterate

import (
	"errors"
	"sync/atomic"
)

// Stats are a Walker's counters since it was made.
type Stats struct {
	Lookups   uint64 // calls of Lookup
	Failures  uint64 // of these ended with an error
	Bogus     uint64 // of those because something could not be proven
	Secure    uint64 // lookups whose answer is proven, all of it
	Proofs    uint64 // computed
	Known     uint64 // questions answered by what zones have denied before
	Exchanges uint64 // queries to servers
	Streams   uint64 // of these over TCP
	Plain     uint64 // of these without EDNS
	Timeouts  uint64 // without a reply
	Faults    uint64 // refused by the network
	Lame      uint64 // replies worth nothing
	Referrals uint64
	Aliases   uint64
	Servers   uint64 // lookups of name servers' addresses
	Primes    uint64 // times the root's servers were learned
	Cuts      int    // known now

	Limits map[string]uint64 // questions that a limit ended, by its name
}

// counts are the counters behind Stats.
type counts struct {
	lookups, failures, bogus, secure, known     atomic.Uint64
	exchanges, streams, plain, timeouts, faults atomic.Uint64
	lame, referrals, aliases, servers, primes   atomic.Uint64
	limits                                      [limits]atomic.Uint64
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
		Lookups: c.lookups.Load(), Failures: c.failures.Load(), Bogus: c.bogus.Load(), Secure: c.secure.Load(),
		Known: c.known.Load(), Proofs: w.chain.Proofs(), Exchanges: c.exchanges.Load(), Streams: c.streams.Load(),
		Plain: c.plain.Load(), Timeouts: c.timeouts.Load(), Faults: c.faults.Load(), Lame: c.lame.Load(),
		Referrals: c.referrals.Load(), Aliases: c.aliases.Load(), Servers: c.servers.Load(), Primes: c.primes.Load(),
		Cuts: w.cuts.Len(), Limits: make(map[string]uint64, limits),
	}
	for l := range limits {
		s.Limits[l.String()] = c.limits[l].Load()
	}
	return s
}
