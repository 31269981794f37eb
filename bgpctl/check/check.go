// Package check finds out whether this node can serve.
//
// DNS asks the node through the kernel and its real sockets, as a client
// would, from several source ports at once: sockets that share a port by
// SO_REUSEPORT are chosen by the hash of the ports, so that one reader that
// hangs is met within a few rounds. Progress and Present ask the node's own
// rooms what they know of themselves. None of them depends on the Internet
// behind the node: every node may lose that at once, and must then stay.
//
// Each function returns what a Keeper runs once a round.
package check

import (
	"context"
	"time"
)

// Progress reports a reader of the server that has been busy with one batch for
// longer than limit. stuck names it, or is nil.
func Progress(stuck func(at time.Time, limit time.Duration) error, limit time.Duration) func(context.Context) error {
	return func(context.Context) error { return stuck(time.Now(), limit) }
}

// Present reports an anycast address or a blackhole route that is absent.
// missing names it, or is nil.
func Present(missing func() error) func(context.Context) error {
	return func(context.Context) error { return missing() }
}
