package iterate

import "sync/atomic"

// Stats are a Walker's counters since it was made.
type Stats struct {
	Lookups   uint64 // calls of Lookup
	Failures  uint64 // of these ended with an error
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
	lookups, failures                           atomic.Uint64
	exchanges, streams, plain, timeouts, faults atomic.Uint64
	lame, referrals, aliases, servers, primes   atomic.Uint64
	limits                                      [limits]atomic.Uint64
}

// Stats returns the counters.
func (w *Walker) Stats() Stats {
	c := &w.counts
	s := Stats{
		Lookups: c.lookups.Load(), Failures: c.failures.Load(), Exchanges: c.exchanges.Load(), Streams: c.streams.Load(),
		Plain: c.plain.Load(), Timeouts: c.timeouts.Load(), Faults: c.faults.Load(), Lame: c.lame.Load(),
		Referrals: c.referrals.Load(), Aliases: c.aliases.Load(), Servers: c.servers.Load(), Primes: c.primes.Load(),
		Cuts: w.cuts.Len(), Limits: make(map[string]uint64, limits),
	}
	for l := range limits {
		s.Limits[l.String()] = c.limits[l].Load()
	}
	return s
}
