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

// A Count is a number of replies, and what of it the checks ask for.
type Count struct {
	Sent  func() uint64 // by the server, so far
	Asked uint64        // by the checks, in one round
}

// rounds bounds the rounds from which the checks may cause replies between the
// begin of one round and the end of the next: these two, and late ones of the
// round before. Fixed.
const rounds = 3

// Excuse returns what a Keeper calls when a round begins, to learn after it
// whether a failure says nothing of the node. path counts the replies from the
// address and by the transport that the check asks, all those of the server.
// Two failures say nothing:
//
// A question that was late, or whose connection was reset, while the server was
// busy with others: load is no reason to leave, because it would follow to the
// next node. Busy is who has sent, in this round and the last, more replies than
// the checks can have caused; on the same path, or else anywhere, if meanwhile
// the path has sent as many as the checks of one round ask for, if late. A check
// without any result lacked time itself, and may not have asked: for it, busy
// anywhere is enough.
//
// A question that could not be asked because no file was left for it: it never
// met the server.
//
// A wrong reply is not excused, nor is a path that answers nobody.
func Excuse(path, all Count) func() (excused func(error) bool) {
	var last [2]uint64 // when the last round began
	return func() func(error) bool {
		before := last
		last = [2]uint64{path.Sent(), all.Sent()}
		return func(err error) bool {
			sent, total := path.Sent()-before[0], all.Sent()-before[1]
			busy := total > rounds*all.Asked
			switch {
			case lacksFiles(err) || busy && isMissing(err):
				return true
			case isLate(err):
				return sent > rounds*path.Asked || busy && sent >= path.Asked
			}
			return false
		}
	}
}

// isMissing reports whether err says that a check came to no result, rather
// than that a question of it did.
func isMissing(err error) bool {
	var ofNet *net.OpError
	return errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &ofNet)
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
