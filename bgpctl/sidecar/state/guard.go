package state

import "time"

// Others is what is known of the other nodes that announce the same prefixes.
type Others struct {
	Known      bool // false: nothing is, and the numbers mean nothing
	Announcing int  // of the others
	Withdrawn  int  // of the others
	Rank       int  // of this node among all, from 0; another after every ten minutes
	At         time.Duration
}

// Guard says when a check may cause a withdrawal. Checks can be wrong on all
// nodes in the same second; the prefix must not vanish from the Internet then.
type Guard struct {
	MinOthers    int           // that announce, fresh; at least 1, or there is no guard
	MaxWithdrawn float64       // share of all nodes that may be withdrawn, this one included; one always may
	Stale        time.Duration // what is known of the others is worth nothing after so long
	RankStep     time.Duration // each node waits its rank times so long, so that they do not decide at once
	Trusting     bool          // what is unknown lets a check withdraw
}

// recovery is how long nobody has announced the prefix before a node that was
// withdrawn by a check announces again, besides its rank: long enough for a
// peer's restart, short enough to matter.
const recovery = 10 * time.Second

// known reports whether o says something now.
func (g Guard) known(o Others, at time.Duration) bool { return o.Known && at-o.At <= g.Stale }

// permits reports whether a check may cause a withdrawal after waiting for so
// long, and if not, why.
func (g Guard) permits(o Others, waited, at time.Duration) (why string, ok bool) {
	if !g.known(o, at) {
		return "nothing is known of other nodes", g.Trusting
	}
	nodes := 1 + o.Announcing + o.Withdrawn
	switch {
	case o.Announcing < g.MinOthers:
		return "too few other nodes announce", false
	case o.Withdrawn+1 > max(1, int(g.MaxWithdrawn*float64(nodes))):
		return "too many other nodes are withdrawn", false
	case waited < time.Duration(o.Rank)*g.RankStep:
		return "other nodes decide first", false
	}
	return "", true
}
