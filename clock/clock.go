// Package clock tells the time by which answers, delegations, keys and
// signatures live and end.
//
// In the programs that people run it is the system's, and this package costs
// nothing. Built with the tag testclock, it can be moved: then the file named by
// PROXIMA_CLOCK_OFFSET_FILE says by how many seconds, "+N" or "-N", and is read
// again whenever somebody wants to know the time. So months pass in a test of
// the real daemon, for a key to be rolled or a zone to expire. What waits for a
// packet waits in real time, and has no use for this package.
package clock

import (
	"context"
	"time"
)

// Now returns the time.
func Now() time.Time { return At(time.Now()) }

// Since returns how long ago t was, a time of Now.
func Since(t time.Time) time.Duration { return Now().Sub(t) }

// Until returns how long it is until t, a time of Now.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }

// Sooner returns the sooner of two ends. The zero time is no end.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Wait returns when it is t, a time of Now, or with an error when ctx is done.
func Wait(ctx context.Context, t time.Time) error {
	for {
		timer := time.NewTimer(min(Until(t), longestNap))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			if Until(t) <= 0 {
				return nil
			}
		}
	}
}
