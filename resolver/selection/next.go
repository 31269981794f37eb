package selection

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxOffers is how often one address is offered for one question. With the
	// one try over TCP it bounds what a silent server costs.
	maxOffers = 3

	// exploring is one in how many first tries goes to an unknown server
	// although a known one would be faster.
	exploring = 16

	// nearness is how much slower than the best a server may be expected to be
	// to share its load: which one is asked should be hard to foretell for those
	// who forge replies, RFC 5452 section 4.4.
	nearness = 5 * time.Millisecond
)

// Penalties order the candidates of one question: the lowest sum of penalty and
// former offers goes first. So a good server is asked twice before one that
// rests is asked once, and thrice before a family without a way.
const (
	penaltyMarked = 1
	penaltyRest   = 2
	penaltyFamily = 3
)

// A candidate is an address that may be offered.
type candidate struct {
	addr     netip.AddrPort
	server   *server // never nil; a fresh one if the address is unknown
	known    bool
	offers   int // for this question
	penalty  int
	expected time.Duration
}

func (c *candidate) rank() int { return c.offers + c.penalty }

// Next returns the server of from to ask now and how long to wait for its
// reply, or ok false if nobody is left: each is offered three times, but only
// once while its whole family rests. tried lists what was offered for this
// question before, an address as often as it was offered; it decides how the
// timeout grows. The choice is drawn from r.
func (t *Table) Next(r *rand.Rand, from, tried []netip.AddrPort, at time.Time) (to netip.AddrPort, timeout time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var space [32]candidate
	all := t.candidates(space[:0], from, tried, at)
	c := t.probe(all, at)
	if c == nil {
		best := foremost(all)
		if len(best) == 0 {
			t.stats.Exhausted++
			return netip.AddrPort{}, 0, false
		}
		c = t.draw(r, best)
	}
	timeout = c.server.timeout(c.offers, at)
	if c.server.timeouts >= restAfter && !c.server.resting(at) {
		// The rest is over: this question probes the server, and until it knows
		// the others stay away.
		c.server.restUntil = at.Add(timeout)
	}
	t.stats.Offers++
	return c.addr, timeout, true
}

// probe returns a candidate of a family whose rest is over, or nil: this question
// finds out whether the family works again, though servers of the other one may
// be nearer. Until it knows, the others stay away.
func (t *Table) probe(all []candidate, at time.Time) *candidate {
	for i := range all {
		if f := &t.families[familyOf(all[i].addr.Addr())]; all[i].rank() == 0 && f.due(at) {
			f.rest(at)
			return &all[i]
		}
	}
	return nil
}

// Promising reports whether one of from deserves to be asked before more servers
// are looked for: neither tried for this question nor known to be bad.
func (t *Table) Promising(from, tried []netip.AddrPort, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var space [32]candidate
	return slices.ContainsFunc(t.candidates(space[:0], from, tried, at), func(c candidate) bool { return c.rank() == 0 })
}

// candidates appends the addresses of from that may still be offered to dst.
func (t *Table) candidates(dst []candidate, from, tried []netip.AddrPort, at time.Time) []candidate {
	for i, addr := range from {
		offers, most := count(tried, addr), maxOffers
		cutOff := t.families[familyOf(addr.Addr())].resting(at)
		if cutOff {
			most = 1
		}
		if offers >= most || slices.Contains(from[:i], addr) {
			continue
		}
		c := candidate{addr: addr, offers: offers}
		var ok bool
		if c.server, ok = t.servers.Peek(addr); !ok {
			c.server = &server{}
		}
		c.known = c.server.known(at)
		c.expected = c.server.expected(at)
		switch {
		case cutOff:
			c.penalty = penaltyFamily
		case c.server.resting(at):
			c.penalty = penaltyRest
		case c.server.marked(at):
			c.penalty = penaltyMarked
		}
		dst = append(dst, c)
	}
	return dst
}

// foremost returns the candidates of the lowest rank. It reorders its argument.
func foremost(all []candidate) []candidate {
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.rank() - b.rank() })
	n := 1
	for n < len(all) && all[n].rank() == all[0].rank() {
		n++
	}
	return all[:n]
}

// draw picks one candidate of equal rank: now and then any unknown one, else
// one of those about as near as the nearest. It reorders its argument.
func (t *Table) draw(r *rand.Rand, from []candidate) *candidate {
	slices.SortStableFunc(from, func(a, b candidate) int { return int(a.expected - b.expected) })
	near := 1
	for near < len(from) && from[near].expected <= from[0].expected+nearness {
		near++
	}
	if from[0].offers == 0 && r.IntN(exploring) == 0 {
		if i := unknown(r, from[near:]); i >= 0 {
			t.stats.Explored++
			return &from[near+i]
		}
	}
	return &from[r.IntN(near)]
}

// unknown returns the index of any one candidate that nobody has measured, or
// -1 if all are known.
func unknown(r *rand.Rand, from []candidate) int {
	picked, n := -1, 0
	for i := range from {
		if from[i].known {
			continue
		}
		if n++; r.IntN(n) == 0 {
			picked = i
		}
	}
	return picked
}

// count returns how often addr is in list.
func count(list []netip.AddrPort, addr netip.AddrPort) int {
	n := 0
	for _, a := range list {
		if a == addr {
			n++
		}
	}
	return n
}
