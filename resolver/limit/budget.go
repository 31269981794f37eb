package limit

import (
	"slices"
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
	Breaks    int        // connections that may come to nothing

	// Work is for signatures and hashes. Lookup fills it if it is nil. It has a
	// lock of its own.
	Work *dnssec.Work

	names  []nameCount    // exchanges so far, no more names than those
	faults map[string]int // tries in vain in a row, by the name of its cut
}

// A nameCount counts for a name.
type nameCount struct {
	name  string
	count int
}

// NewBudget returns the full purse of one client query.
func NewBudget() *Budget {
	return &Budget{
		Exchanges: maxExchanges, Octets: maxOctets, Aliases: reply.MaxAliases,
		Depth: MaxDepth, Lookups: MaxLookups, Empty: MaxEmptyLookups, Breaks: maxBreaks,
	}
}

// Exchange pays for one query that belongs to the question for name. If it
// cannot be paid, ok is false and struck says why.
func (b *Budget) Exchange(name string) (struck Limit, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.Exchanges <= 0:
		return Exchanges, false
	case b.Octets <= 0:
		return Octets, false
	}
	i := slices.IndexFunc(b.names, func(n nameCount) bool { return n.name == name })
	switch {
	case i < 0:
		b.names = append(b.names, nameCount{name, 1})
	case b.names[i].count >= maxExchangesPerName:
		return ExchangesPerName, false
	default:
		b.names[i].count++
	}
	b.Exchanges--
	return 0, true
}

// Receive takes n octets off. The message that overdraws the purse is the last
// one: the next exchange is refused.
func (b *Budget) Receive(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Octets -= n
}

// Alias pays for n alias steps.
func (b *Budget) Alias(n int) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Aliases -= n
	return b.Aliases >= 0
}

// Lookup pays for one lookup of a name server's addresses.
func (b *Budget) Lookup() (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Lookups <= 0 || b.Empty <= 0 {
		return false
	}
	b.Lookups--
	return true
}

// FoundNothing notes that a name server has no address.
func (b *Budget) FoundNothing() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Empty--
}

// Fault notes a try in vain at zone.
func (b *Budget) Fault(zone string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults == nil {
		b.faults = make(map[string]int)
	}
	b.faults[zone]++
}

// Forgive forgets the tries in vain at zone, because one was not.
func (b *Budget) Forgive(zone string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.faults, zone)
}

// Dead reports whether zone is given up.
func (b *Budget) Dead(zone string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults[zone] >= MaxFaults
}

// Broke notes that a connection to a server came to nothing.
func (b *Budget) Broke() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Breaks--
}

// MayBreak reports whether another connection may be tried.
func (b *Budget) MayBreak() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Breaks > 0
}
