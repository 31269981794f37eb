package bgpctl

// A Health is the steady state behind a row of results. The zero value is
// down: a node has to show that it can serve before it is announced.
type Health struct {
	Up  bool
	Row int // results in a row that speak against Up
}

// After returns the health after one more result. A node that is down comes up
// with the rise-th success in a row; one that is up goes down with the fall-th
// failure in a row. Both are at least 1.
func (h Health) After(ok bool, rise, fall int) Health {
	if ok == h.Up {
		return Health{Up: h.Up}
	}
	h.Row++
	need := rise
	if h.Up {
		need = fall
	}
	if h.Row >= need {
		return Health{Up: ok}
	}
	return h
}
