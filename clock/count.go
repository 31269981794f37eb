package clock

import "time"

// start is a moment to count from. It has a monotonic reading, so that times
// that have one, too, are counted by it, whatever becomes of the wall clock.
var start = time.Now()

// Count returns how long t is after the moment from which this process counts:
// less than nothing if it is before. A count takes less room than a time.
func Count(t time.Time) time.Duration { return t.Sub(start) }

// Counted returns the time for which Count returns d.
func Counted(d time.Duration) time.Time { return start.Add(d) }
