package iterate

import "time"

// A resolver is its limits. What one client query may cost in all is in package
// limit; these are of one question of the tree, and of one zone on its way.
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

	// zoneSeats and serverSeats bound the questions of all clients under way at one
	// zone and at one address, so that random names in a silent zone leave room for
	// others: 400 and 200, below BIND's defaults for those who turn them on. Where
	// half of the questions are in vain, it is half as many.
	zoneSeats   = 400
	serverSeats = 200

	// maxBogus bounds the servers whose replies to one question may fail to prove
	// what they say. 3: one that lags behind is not the zone, but if they agree,
	// it is.
	maxBogus = 3

	// maxMinimizedFaults bounds the tries in vain for a shortened name; then the
	// full one is asked, RFC 9156 section 2.3. 3, as Unbound.
	maxMinimizedFaults = 3
)

// Times.
const (
	// defaultMaxTTL caps every TTL, and with it every delegation: a day, as
	// others have it, so that an error in a zone is not kept for weeks.
	defaultMaxTTL = 24 * time.Hour
	minMaxTTL     = time.Second
	maxMaxTTL     = 7 * 24 * time.Hour

	// maxStale bounds Options.Stale. RFC 8767 section 5 thinks of 1 to 3 days.
	maxStale = 7 * 24 * time.Hour

	// minFailureLife and maxFailureLife bound how long a failure is remembered: it
	// doubles from one to the other. RFC 9520 section 3.2 allows 1 s to 5 min.
	minFailureLife = 5 * time.Second
	maxFailureLife = 60 * time.Second

	// firstTimeout bounds how long the servers of a zone that is First are asked,
	// and how long the Internet is about a configured zone's DS. The walk then has
	// 2.9 s left of the client's patience, 1.4 s if both took that long.
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

	// failureTableSize is how many failures are remembered, about 300 octets each.
	failureTableSize = 4_096
)

// lookupsAtOnce is how many lookups of server addresses may be under way at
// each depth, deeper one, as Unbound's "target fetch policy": the tree narrows.
var lookupsAtOnce = [...]int{3, 2, 1}
