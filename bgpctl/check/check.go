// Package check finds out whether this node can serve.
//
// DNS asks the node through the kernel and its real sockets, as a client
// would, from several source ports at once: sockets that share a port by
// SO_REUSEPORT are chosen by the hash of the ports, so that one reader that
// hangs is met within a few rounds. Progress and Present ask the node's own
// rooms what they know of themselves. None of them depends on the Internet
// behind the node: every node may lose that at once, and must then stay.
//
// Each function but Excuse returns what a Keeper runs once a round; Excuse tells
// which of their failures are load.
package check

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Progress reports a reader of the server that has been busy with one batch for
// longer than limit. stuck names it, or is nil.
func Progress(stuck func(at time.Time, limit time.Duration) error, limit time.Duration) func(context.Context) error {
	return func(context.Context) error { return stuck(time.Now(), limit) }
}

// Excuse returns what a Keeper asks, when a round begins, for the judge of that
// round's failure. replies counts those that the server has sent from the
// address and by the transport that the check asks; the checks of one round
// cause own of them at most. Two failures say nothing of the node:
//
// A question that was late, or whose connection was reset, while the server
// sent others their replies: it is busy, and load is no reason to leave, because
// it would follow to the next node. Replies up to twice own may be those of the
// checks, this round's and late ones of the last.
//
// A question that could not be asked because no file was left for it: it never
// met the server.
//
// A wrong reply is not excused, nor is a server that answers nobody.
func Excuse(replies func() uint64, own uint64) func() (excused func(error) bool) {
	return func() func(error) bool {
		before := replies()
		return func(err error) bool {
			return lacksFiles(err) || isLate(err) && replies()-before > 2*own
		}
	}
}

// isLate reports whether err is of a question that got no reply, late or not,
// from a server that is there.
func isLate(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// lacksFiles reports whether the process or the host had no file left.
func lacksFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Present reports an anycast address or a blackhole route that is absent.
// missing names it, or is nil.
func Present(missing func() error) func(context.Context) error {
	return func(context.Context) error { return missing() }
}
