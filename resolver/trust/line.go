package trust

import (
	"cmp"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// lineLabels is how many labels of a zone's name, counted from the root, have a
// line each. 3: names are given away to others at the second or the third.
const lineLabels = 3

// A line is the proofs of one zone that wait for a seat or have one; or, of a
// name of few labels, the lines of the zones there and below. The lines below
// one name share the time in which its seats compute: next is who has fewest
// seats and, of those, who has used least time. So a zone waits for as many dear
// proofs as there are others who bring such, not for all that they bring; and
// who makes many zones has no more for it than who has one.
type line struct {
	name    string
	up      *line // nil of the line of all lines
	below   []*line
	own     []*proof // who waits, oldest first; only of one zone
	waiting int      // here and below, as are working and used
	working int

	// used is the time in seats. Who comes begins with what those had used who
	// were next last, so that nobody is owed for time before.
	used, last time.Duration
}

// of returns the line of a zone, which it makes if there is none.
func (l *line) of(zone string) *line {
	starts := dns.Split(zone)
	for i := range min(len(starts), lineLabels) {
		l = l.child(zone[starts[len(starts)-1-i]:])
	}
	return l.child(zone)
}

// child returns the line of a name below l.
func (l *line) child(name string) *line {
	if i := slices.IndexFunc(l.below, func(b *line) bool { return b.name == name }); i >= 0 {
		return l.below[i]
	}
	b := &line{name: name, up: l, used: l.last}
	l.below = append(l.below, b)
	return b
}

// share returns the line of two labels that l lies in; nil if it is the root's
// or a top-level domain's.
func (l *line) share() *line {
	for ; l != nil; l = l.up {
		if dns.CountLabel(l.name) == 2 && l.up.name != l.name {
			return l
		}
	}
	return nil
}

// longest returns the share of which most wait; nil if there is none.
func (l *line) longest() (most *line) {
	for _, tld := range l.below {
		for _, share := range tld.below {
			if dns.CountLabel(share.name) == 2 && (most == nil || share.waiting > most.waiting) {
				most = share
			}
		}
	}
	return most
}

// next returns who is next of those who wait in l.
func (l *line) next() *proof {
	for len(l.own) == 0 {
		var first *line
		for _, b := range l.below {
			if b.waiting > 0 && (first == nil || cmp.Or(cmp.Compare(b.working, first.working), cmp.Compare(b.used, first.used)) < 0) {
				first = b
			}
		}
		l.last = max(l.last, first.used)
		l = first
	}
	return l.own[0]
}

// youngest returns who came last of those who wait in the longest line of l.
func (l *line) youngest() *proof {
	for len(l.own) == 0 {
		l = slices.MaxFunc(l.below, func(a, b *line) int { return cmp.Compare(a.waiting, b.waiting) })
	}
	return l.own[len(l.own)-1]
}

// push lets p wait.
func (l *line) push(p *proof) {
	l.own = append(l.own, p)
	l.waits(1)
}

// drop lets p wait no longer.
func (l *line) drop(p *proof) {
	l.own = slices.DeleteFunc(l.own, func(o *proof) bool { return o == p })
	l.waits(-1)
	l.tidy()
}

// waits counts n more who wait.
func (l *line) waits(n int) {
	for ; l != nil; l = l.up {
		l.waiting += n
	}
}

// rise counts that one has done its work, which took so long.
func (l *line) rise(took time.Duration) {
	for at := l; at != nil; at = at.up {
		at.working--
		at.used += took
	}
	l.tidy()
}

// tidy forgets l and what it lies in, as far as nobody is there.
func (l *line) tidy() {
	for ; l.up != nil && l.waiting+l.working == 0; l = l.up {
		l.up.below = slices.DeleteFunc(l.up.below, func(b *line) bool { return b == l })
	}
}
