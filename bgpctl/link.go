package bgpctl

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Wanted is what a node asks of the sidecar.
type Wanted struct {
	Wish     Wish
	Prefixes []netip.Prefix
	Check    string // name of the check that caused the wish or the class; empty if none did, as on a clean stop
	Class    Class  // of that check's fault; with the wish Up, why the announcement should be degraded
	Reason   string // for the log
	Answers  bool   // the node answers what it has in the cache, whatever else it fails at
	Queries  uint64 // asked on the service addresses so far: lets the sidecar see a drain go quiet
}

// A Link tells the sidecar what to announce until the lease ends. A sidecar
// that hears nothing withdraws. The reply is what the sidecar does about it; an
// error says that it did not hear, did not answer, or refused.
type Link interface {
	Hold(ctx context.Context, want Wanted, lease time.Duration) (Reply, error)
}

// ErrEnded, in an error of Hold, says that nobody is at the other end: the
// sidecar's process has ended and with it the sessions that held the routes.
// Without it an error leaves open whether they are still announced.
var ErrEnded = errors.New("the sidecar has gone")
