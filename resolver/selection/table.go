// Package selection chooses which authoritative server to ask next.
//
// A walk calls Next with the addresses of a cut, asks the one it got within
// the time it got, and calls Note with what happened. The nearest servers are
// asked most; servers never seen are tried now and then, so that a fast
// newcomer is found; servers that time out rest for a while, each time longer,
// and so does a whole family of addresses that this host cannot reach. Nothing
// is ever left out for good: when only bad servers remain, they are offered.
package selection

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// defaultSize is how many servers a table remembers, about 200 octets each.
	// From 1 to maxSize. The names in use of a public resolver are served from
	// some tens of thousands of addresses.
	defaultSize = 65_536
	maxSize     = 4_194_304
)

// An Outcome is what came of asking a server once.
type Outcome uint8

const (
	Answered Outcome = iota // a useful reply
	TimedOut                // no reply within the timeout
	Refused                 // the network refused: no route, connection refused or reset
	Lame                    // a reply of a server that does not serve the zone
	Broken                  // FORMERR, SERVFAIL or nonsense
	outcomes
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case TimedOut:
		return "timed out"
	case Refused:
		return "refused"
	case Lame:
		return "lame"
	case Broken:
		return "broken"
	default:
		return fmt.Sprintf("outcome %d", uint8(o))
	}
}

// A Table remembers how servers behaved. It may be used by many goroutines.
// Its memory is bounded: with 2Q, servers seen once make room before those
// asked again and again, so that a flood of odd zones flushes nothing useful.
type Table struct {
	mu       sync.Mutex // guards all below, and what servers points to
	servers  *lru.TwoQueueCache[netip.AddrPort, *server]
	families [2]family // IPv4, IPv6
	stats    Stats
}

// Stats are a table's counters since it was made.
type Stats struct {
	Servers     int              // servers remembered now
	Offers      uint64           // servers returned by Next
	Explored    uint64           // offers of an unknown server beside a better known one
	Exhausted   uint64           // calls of Next that had nobody left to offer
	Noted       [outcomes]uint64 // calls of Note, by Outcome
	FamilyRests uint64           // times a family of addresses was laid to rest
}

// New returns a table for size servers, 65,536 if size is 0. It panics if
// size is negative or above 4,194,304.
func New(size int) *Table {
	if size == 0 {
		size = defaultSize
	}
	if size < 0 || size > maxSize {
		panic(fmt.Sprintf("selection: size %d, want 0 to %d", size, maxSize))
	}
	servers, err := lru.New2Q[netip.AddrPort, *server](size)
	if err != nil {
		panic("selection: " + err.Error())
	}
	return &Table{servers: servers}
}

// Note remembers that asking the server to ended with o at time at. rtt is the
// time until the reply; it counts for outcomes that are replies, and if it is
// above 0.
func (t *Table) Note(to netip.AddrPort, o Outcome, rtt time.Duration, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o < outcomes {
		t.stats.Noted[o]++
	}
	s, ok := t.servers.Get(to)
	if !ok {
		s = &server{}
		t.servers.Add(to, s)
	}
	s.note(o, rtt, at)
	if t.families[familyOf(to.Addr())].note(to.Addr(), o, at) {
		t.stats.FamilyRests++
	}
}

// Stats returns the counters.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Servers = t.servers.Len()
	return s
}
