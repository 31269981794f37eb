package dialogue

import (
	"errors"
	"syscall"

	"proxima/resolver/reply"
	"proxima/resolver/selection"
)

// outcome is what a reply says of the server that gave it.
func outcome(v reply.Verdict) selection.Outcome {
	switch {
	case v.Kind == reply.Lame && v.Broken:
		return selection.Broken
	case v.Kind == reply.Lame:
		return selection.Lame
	}
	return selection.Answered
}

// blame tells what an exchange that failed otherwise than by silence says of
// the server: nothing if this host had no socket for it (EMFILE and its like),
// no more than a network that refuses if the kernel says so, else that it
// refused or broke off a stream or answered nonsense.
func blame(err error) (o selection.Outcome, theirs bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return selection.Broken, true
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.ENOSPC,
		syscall.EADDRINUSE: // the last: no free port
		return 0, false
	case syscall.ECONNREFUSED, syscall.ECONNRESET: // over UDP these are but ICMP, which nobody believes
		return selection.Broken, true
	}
	return selection.Refused, true
}

// barred reports whether it is this host that refused: it has not the address to
// ask from any more, or a filter or a full table of its own is in the way. That
// may be so of one family alone, so other servers are worth asking; but it says
// nothing of any.
func barred(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPERM)
}
