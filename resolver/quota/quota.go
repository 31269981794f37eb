// Package quota bounds what is under way at one place, a zone or a server, so
// that a place that is slow or under attack takes no more than its share.
//
// Who wants to ask takes a place's seat and frees it when the reply has come, or
// when it has not. A place at which every other question is in vain has half as
// many seats. Nothing is kept of a place where nobody sits, so that memory is
// bounded by what is under way.
package quota

import "sync"

// fewest is how many questions a place must have ended before silence counts
// against it. 16: two lost packets prove nothing.
const fewest = 16

// A Table knows the places where somebody sits. It may be used by many
// goroutines.
type Table[K comparable] struct {
	seats int // immutable

	mu     sync.Mutex // guards all below
	places map[K]*place
	full   uint64
}

// A place is one that is asked.
type place struct {
	taken  int
	ended  int     // questions, since somebody sits here
	silent float64 // share of the last dozen or so that were in vain
}

// New returns a table of places with so many seats each.
func New[K comparable](seats int) *Table[K] {
	return &Table[K]{seats: seats, places: make(map[K]*place)}
}

// Take takes a seat at a place, or counts that there is none.
func (t *Table[K]) Take(at K) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[at]
	if p == nil {
		p = &place{}
		t.places[at] = p
	}
	seats := t.seats
	if p.ended >= fewest && p.silent >= 0.5 {
		seats /= 2
	}
	if p.taken >= seats {
		t.full++
		return false
	}
	p.taken++
	return true
}

// Free frees a seat; silent says that the question was in vain.
func (t *Table[K]) Free(at K, silent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[at]
	if p.taken--; p.taken == 0 {
		delete(t.places, at)
		return
	}
	p.ended++
	p.silent -= p.silent / 8
	if silent {
		p.silent += 1.0 / 8
	}
}

// Stats are a table's figures.
type Stats struct {
	Places int    // at which somebody sits now
	Full   uint64 // times that a seat was wanted and there was none
}

// Stats returns the figures.
func (t *Table[K]) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Places: len(t.places), Full: t.full}
}
