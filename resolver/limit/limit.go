// Package limit bounds what one client query may cost.
//
// A Budget is made for the query and goes down the whole tree of questions that
// it causes: each exchange, each alias, each lookup of a server is paid for out
// of it, and it is never refilled. When something cannot be paid, the Limit says
// what struck.
package limit

// These bound what one client query may cost, counted over the whole tree
// (CVE-2026-50045: a budget that restarts with the work is none). None of them is
// configurable: each is far above what genuine names need, and far below what an
// attack wants.
const (
	// maxExchanges bounds the queries to authoritative servers, retries and
	// TCP included. 100: a cold signed name on glueless servers needs about 30;
	// NXNS (CVE-2020-12662) and CAMP want thousands.
	maxExchanges = 100

	// maxExchangesPerName bounds the queries for one name of the tree, so that
	// one bad name leaves something for the others. 50, BIND's number.
	maxExchangesPerName = 50

	// maxOctets bounds what is received, in octets. 128 KiB are two of the
	// greatest messages, or a hundred common ones.
	maxOctets = 128 << 10

	// MaxDepth bounds how deep questions for servers' addresses nest. 7, as BIND.
	MaxDepth = 7

	// MaxLookups bounds the lookups of name servers' addresses, one for each
	// family of each server: 10, as PowerDNS (NXNS, CVE-2020-12662). Not the
	// queries for them, which come out of maxExchanges.
	MaxLookups = 10

	// MaxEmptyLookups ends them when so many servers had no address at all. 5, as
	// Unbound and Knot Resolver: names that somebody made up have none.
	MaxEmptyLookups = 5

	// MaxFaults bounds the tries in vain at one zone with no useful reply in
	// between; then the zone is given up. 10: five servers twice, and at 400 ms
	// each about what a client waits. It counts over the tree, because in
	// NRDelegation (CVE-2022-3204) each question alone looks harmless.
	MaxFaults = 10

	// maxBreaks bounds the connections to servers that come to nothing; then no
	// other is tried. 4: each holds a socket for up to 1.5 s (CVE-2023-46317).
	maxBreaks = 4
)

// A Limit is one that can end a query. Each has a counter.
type Limit uint8

// What can strike.
const (
	Exchanges Limit = iota
	ExchangesPerName
	Octets
	Aliases
	AliasLoop
	Depth
	Cycle
	Lookups
	Referrals
	Faults
	ZoneSeats
	Proofs
	ZoneProofs
	Count // how many there are
)

// names name the limits for counters and for people.
var names = [Count]string{
	"exchanges", "exchanges per name", "octets received", "aliases", "alias loop", "nesting",
	"cyclic delegation", "server lookups", "referrals", "tries in vain at one zone", "questions at one zone",
	"proofs that wait", "proofs of one zone",
}

// String returns the limit's name.
func (l Limit) String() string { return names[l] }

// Ours reports whether it is this host that has no room left, whatever the query.
func (l Limit) Ours() bool { return l == ZoneSeats || l == Proofs || l == ZoneProofs }

// Final reports whether it is no use to ask otherwise for the same query.
func (l Limit) Final() bool {
	return l == Exchanges || l == Octets || l == Proofs || l == ZoneProofs
}
