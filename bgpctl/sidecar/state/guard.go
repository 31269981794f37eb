package state

import "time"

// Others is what is known of the other nodes that announce the same prefixes.
type Others struct {
	Known      bool // false: nothing is, and the numbers mean nothing
	Announcing int  // of the others, and stay
	Withdrawn  int  // of the others, or about to be, or silent
	Before     int  // about to be, and of lower rank than this node
	Rank       int  // of this node among all, from 0
	At         time.Duration
}

// Guard says when a check may cause a withdrawal. Checks can be wrong on all
// nodes in the same second; the prefix must not vanish from the Internet then.
//
// A node that wants to leave says so first, and goes when others have told it,
// in reply to questions put since then, that they announce and stay. Of two that
// want to leave, the one of higher rank takes its word back until the other has
// gone. So no two go on the word of each other: the later of the two to say
// that it leaves has heard that the other does, or has gone.
type Guard struct {
	MinOthers    int           // that announce, fresh; at least 1, or there is no guard
	MaxWithdrawn float64       // share of all nodes that may be withdrawn, this one included; one always may
	Stale        time.Duration // what is known of the others is worth nothing after so long
	Wait         time.Duration // from the word that it leaves; long enough to ask all others twice
	Trusting     bool          // what is unknown lets a check withdraw
}

// recovery is how long nobody has announced the prefix before a node that was
// withdrawn by a check announces again, besides Wait for each of lower rank:
// long enough for a peer's restart, short enough to matter.
const recovery = 10 * time.Second

// known reports whether o says something now.
func (g Guard) known(o Others, at time.Duration) bool { return o.Known && at-o.At <= g.Stale }

// permits reports whether a check may cause a withdrawal by a node that has
// wanted to leave for so long, and if not, why.
func (g Guard) permits(o Others, wanted, at time.Duration) (why string, ok bool) {
	if g.Trusting && !g.known(o, at) {
		return "", true
	}
	nodes := 1 + o.Announcing + o.Withdrawn
	switch {
	case o.Before > 0:
		return "another node leaves first", false
	case wanted < g.Wait:
		return "the others are asked first", false
	case !g.known(o, at):
		return "nothing is known of other nodes", false
	case o.Announcing < g.MinOthers:
		return "too few other nodes announce", false
	case o.Withdrawn+1 > max(1, int(g.MaxWithdrawn*float64(nodes))):
		return "too many other nodes are withdrawn", false
	case o.At < at-wanted:
		return "the others are asked first", false
	}
	return "", true
}
