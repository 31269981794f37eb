// Package sidecar announces what a node holds a lease for, and nothing else.
//
// A node connects to the unixpacket socket and sends leases. Each is stamped on
// receipt with the clock that goes on while the host sleeps, checked against
// the groups, and given to step, which knows the four states; then the speaker
// is told which routes the state stands for, if they have changed, and the node
// gets a reply. A clock tick goes through step as well: it ends leases, warm-ups
// and drains. A connection that ends, or that says something else than leases,
// withdraws at once.
//
// One process holds the lease. A second one is refused until the lease of the
// first has run out or its connection has ended.
package sidecar
