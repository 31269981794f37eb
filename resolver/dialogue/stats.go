package dialogue

import "sync/atomic"

// Stats are an Asker's counters since it was made.
type Stats struct {
	Exchanges  uint64 // queries to servers
	Streams    uint64 // of these over TCP
	Plain      uint64 // of these without EDNS
	Timeouts   uint64 // without a reply
	Faults     uint64 // refused by the network
	Suspicious uint64 // in which something came that looked forged
	Limited    uint64 // questions that a server was not asked once more, because a limit forbade

	LearnedPlain uint64 // times a server was found to know no EDNS
	LearnedCase  uint64 // times one was found not to keep the letter case of names
	LearnedDeaf  uint64 // times one was found to hear nothing but TCP
	Remembered   int    // servers now
}

// counts are the counters behind Stats.
type counts struct {
	exchanges, streams, plain, timeouts, faults atomic.Uint64
	suspicious, limited                         atomic.Uint64
	learnedPlain, learnedCase, learnedDeaf      atomic.Uint64
}

// count counts an exchange.
func (c *counts) count(w way) {
	c.exchanges.Add(1)
	if w.stream {
		c.streams.Add(1)
	}
	if w.plain {
		c.plain.Add(1)
	}
}

// Stats returns the counters.
func (a *Asker) Stats() Stats {
	c := &a.counts
	return Stats{
		Exchanges: c.exchanges.Load(), Streams: c.streams.Load(), Plain: c.plain.Load(),
		Timeouts: c.timeouts.Load(), Faults: c.faults.Load(),
		Suspicious: c.suspicious.Load(), Limited: c.limited.Load(),
		LearnedPlain: c.learnedPlain.Load(), LearnedCase: c.learnedCase.Load(), LearnedDeaf: c.learnedDeaf.Load(),
		Remembered: a.servers.Len(),
	}
}
