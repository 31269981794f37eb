package iterate

import (
	"sync"

	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
)

// A Budget is what one client query may still spend. Sub-questions spend from
// the same purse; it is never refilled. It may be used by many goroutines, its
// fields only before the query begins and after it ended.
type Budget struct {
	mu        sync.Mutex // guards all below
	Exchanges int        // queries to authoritative servers
	Octets    int        // received
	Aliases   int        // CNAME and DNAME steps
	Depth     int        // nested sub-questions
	Lookups   int        // lookups of name servers' addresses
	Empty     int        // name servers that may have none

	// Work is for signatures and hashes. Lookup fills it if it is nil. It has a
	// lock of its own.
	Work *dnssec.Work

	names  map[string]int // exchanges so far, by name
	faults map[string]int // tries in vain in a row, by Cut.key
}

// NewBudget returns the full purse of one client query.
func NewBudget() *Budget {
	return &Budget{
		Exchanges: maxExchanges, Octets: maxOctets, Aliases: reply.MaxAliases,
		Depth: maxDepth, Lookups: maxLookups, Empty: maxEmptyLookups,
		names: make(map[string]int), faults: make(map[string]int),
	}
}

// exchange pays for one query that belongs to the question for name. If it
// cannot be paid, ok is false and struck says why.
func (b *Budget) exchange(name string) (struck limit, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.Exchanges <= 0:
		return limitExchanges, false
	case b.Octets <= 0:
		return limitOctets, false
	case b.names[name] >= maxExchangesPerName:
		return limitExchangesPerName, false
	}
	b.Exchanges--
	b.names[name]++
	return 0, true
}

// receive takes n octets off. The message that overdraws the purse is the last
// one: the next exchange is refused.
func (b *Budget) receive(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Octets -= n
}

// alias pays for n alias steps.
func (b *Budget) alias(n int) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Aliases -= n
	return b.Aliases >= 0
}

// lookup pays for one lookup of a name server's addresses.
func (b *Budget) lookup() (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Lookups <= 0 || b.Empty <= 0 {
		return false
	}
	b.Lookups--
	return true
}

// foundNothing notes that a name server has no address.
func (b *Budget) foundNothing() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Empty--
}

// fault notes a try in vain at zone.
func (b *Budget) fault(zone string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[zone]++
}

// forgive forgets the tries in vain at zone, because one was not.
func (b *Budget) forgive(zone string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.faults, zone)
}

// dead reports whether zone is given up.
func (b *Budget) dead(zone string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults[zone] >= maxFaults
}
