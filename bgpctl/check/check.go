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

// A Load is what a server has done and left undone since it started.
type Load struct {
	Served  uint64 // replies sent
	Dropped uint64 // queries that the kernel dropped because the server's queue was full
}

// Unloaded returns run, but for failures that load explains: those during which
// the kernel dropped queries for want of room while the server served others. A
// flood is no reason to leave, because it would follow to the next node; a
// server that serves nobody has no such excuse.
func Unloaded(run func(context.Context) error, load func() Load) func(context.Context) error {
	return func(ctx context.Context) error {
		before := load()
		err := run(ctx)
		if now := load(); err != nil && now.Dropped > before.Dropped && now.Served > before.Served {
			return nil
		}
		return err
	}
}

// Present reports an anycast address or a blackhole route that is absent.
// missing names it, or is nil.
func Present(missing func() error) func(context.Context) error {
	return func(context.Context) error { return missing() }
}
