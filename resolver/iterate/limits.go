package iterate

import "time"

// A resolver is its limits. Those of the first group bound what one client
// query may cost, counted over the whole tree of questions that it causes and
// never refilled (CVE-2026-50045: a budget that restarts with the work is
// none). None of them is configurable: each is far above what genuine names
// need, and far below what an attack wants.
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

	// maxDepth bounds how deep questions for servers' addresses nest. 7, as BIND.
	maxDepth = 7

	// maxLookups bounds the lookups of name servers' addresses, one for each
	// family of each server: 10, as PowerDNS (NXNS, CVE-2020-12662). Not the
	// queries for them: a long name takes several, all out of maxExchanges.
	maxLookups = 10

	// maxEmptyLookups ends them when so many servers had no address at all. 5, as
	// Unbound and Knot Resolver: names that somebody made up have none.
	maxEmptyLookups = 5

	// maxFaults bounds the tries in vain at one zone with no useful reply in
	// between; then the zone is given up. 10: five servers twice, and at 400 ms
	// each about what a client waits. It counts over the tree, because in
	// NRDelegation (CVE-2022-3204) each question alone looks harmless.
	maxFaults = 10
)

// Limits of one question of the tree, and of one zone on its way.
const (
	// maxReferrals bounds the cuts that a walk passes. 32: names in use have at
	// most six; the deepest reverse IPv6 name has 34 labels.
	maxReferrals = 32

	// maxServers bounds the name servers of a cut. 13, as the root has; of more,
	// a random 13 are taken (NRDelegation, CVE-2022-3204).
	maxServers = 13

	// maxZoneAddresses bounds the different addresses of a cut. 26: 13 servers,
	// both families. Many names for one address count once (CVE-2026-3592).
	maxZoneAddresses = 26

	// maxBogus bounds the servers whose replies to one question may fail to prove
	// what they say. 3: one that lags behind is not the zone, but if they agree,
	// it is.
	maxBogus = 3

	// maxMinimizedFaults bounds the tries in vain for a shortened name; then the
	// full one is asked, RFC 9156 section 2.3. 3, as Unbound.
	maxMinimizedFaults = 3
)

// QNAME minimisation, RFC 9156 section 2.3 and its MAX_MINIMISE_COUNT and
// MINIMISE_ONE_LAB.
const (
	maxMinimizedSteps = 10 // shortened questions of one walk
	singleLabelSteps  = 4  // of these add one label; the rest share what is left
)

// Times.
const (
	// defaultMaxTTL caps every TTL, and with it every delegation: a day, as
	// others have it, so that an error in a zone is not kept for weeks.
	defaultMaxTTL = 24 * time.Hour
	minMaxTTL     = time.Second
	maxMaxTTL     = 7 * 24 * time.Hour

	// maxNegativeTTL caps how long a denial is believed: below the 3 h of RFC 2308 section 5.
	maxNegativeTTL = time.Hour

	// bareDenialTTL is the life of a denial without SOA, which says nothing of
	// how long it holds. RFC 2308 section 5 would not have it kept at all; 5 s
	// spare the server its repetition.
	bareDenialTTL = 5 * time.Second

	// maxStale bounds Options.Stale. RFC 8767 section 5 thinks of 1 to 3 days.
	maxStale = 7 * 24 * time.Hour

	// streamTimeout bounds one exchange over TCP: three round trips to a far
	// server, one of them lost.
	streamTimeout = 1500 * time.Millisecond

	// plainLife is how long a server that knows no EDNS is asked without. A
	// minute, so that a forged FORMERR does little (CVE-2026-52690).
	plainLife = time.Minute

	// firstTimeout bounds how long the servers of a zone that is First are asked:
	// the walk then has 2.9 s left of the client's patience.
	firstTimeout = 1500 * time.Millisecond

	// primeTimeout bounds the question for the root's own servers.
	primeTimeout = 1500 * time.Millisecond

	// hintsLife is how long the hints serve when priming failed, until it is tried again.
	hintsLife = 10 * time.Second

	// lookupStagger is how long a lookup of a server's addresses may take before
	// the next one is begun beside it: about an unknown server's timeout.
	lookupStagger = 300 * time.Millisecond
)

// Sizes of tables.
const (
	// cutTableSize is how many cuts are remembered, about 1 KiB each: every
	// top-level domain and what a public resolver has in use.
	cutTableSize = 65_536

	// plainTableSize is how many servers without EDNS are remembered: they are few.
	plainTableSize = 1_024
)

// lookupsAtOnce is how many lookups of server addresses may be under way at
// each depth, deeper one, as Unbound's "target fetch policy": the tree narrows.
var lookupsAtOnce = [...]int{3, 2, 1}

// A limit is one that can end a query. Each has a counter.
type limit uint8

const (
	limitExchanges limit = iota
	limitExchangesPerName
	limitOctets
	limitAliases
	limitAliasLoop
	limitDepth
	limitCycle
	limitLookups
	limitReferrals
	limitFaults
	limits
)

// limitNames name the limits for counters and for people.
var limitNames = [limits]string{
	"exchanges", "exchanges per name", "octets received", "aliases", "alias loop", "nesting",
	"cyclic delegation", "server lookups", "referrals", "faults",
}

// String returns the limit's name.
func (l limit) String() string { return limitNames[l] }
