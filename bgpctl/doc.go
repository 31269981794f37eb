// Package bgpctl keeps the announcement of a node true.
//
// A Keeper runs the node's checks once a round, all at the same time. A row of
// rounds makes a Health. While the health is good, each round that passed
// renews a lease: one datagram over a Link to the sidecar, which announces the
// node's prefixes for as long as leases keep coming. Nothing else renews it. A
// round that failed sends nothing, so a server that hangs loses its route when
// the lease runs out, even if this package hangs with it; the fall-th failure
// in a row says Down, which is sooner and names the check. A failure that its
// check excuses, because it shows load rather than illness, is none: what was
// announced stays so. A process that dies closes its socket, and the sidecar
// withdraws at once.
//
// That is said of the proofs, the checks of each round that are hard-local. The
// others are asked in their own time, and no failure of theirs takes a route
// away: each has a Class, and the worst that is at fault goes with the lease, so
// that the sidecar announces the node as one that others are better than.
//
// The Socket is the Link that is used; Lease and Reply are its datagrams.
package bgpctl
