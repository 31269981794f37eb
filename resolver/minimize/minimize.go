// Package minimize shortens the names that servers are asked for, RFC 9156: a
// server learns no more of a name than it needs to refer.
//
// A walk that knows how far down its name exists asks a Name what to ask next,
// and sets Full when short names are of no use any more. Names of servers are
// not shortened: they are no client's secret, and long ones would cost a query
// for each label (NXNS, CVE-2020-12662).
package minimize

import "github.com/miekg/dns"

// RFC 9156 section 2.3: its MAX_MINIMISE_COUNT and MINIMISE_ONE_LAB.
const (
	maxSteps    = 10 // shortened questions of one walk
	singleSteps = 4  // of these add one label; the rest share what is left
)

// A Name is one question on its way down. It is for one goroutine.
type Name struct {
	Q     dns.Question
	Full  bool // from now on only the whole question is asked
	steps int  // shortened questions so far
}

// Question returns what to ask when the labels of at, an ancestor of Q's name,
// are known to exist: the name with one label more, or several if it is long.
// The type of a shortened question is A, which hides the true one and is what
// servers answer best (RFC 9156 section 2.1).
func (n *Name) Question(at string) dns.Question {
	if n.Full || n.steps >= maxSteps {
		return n.Q
	}
	starts := dns.Split(n.Q.Name) // of each label
	missing := len(starts) - dns.CountLabel(at)
	more := 1
	if n.steps >= singleSteps {
		left := maxSteps - n.steps
		more = (missing + left - 1) / left
	}
	if missing <= more {
		return n.Q
	}
	n.steps++
	return dns.Question{Name: n.Q.Name[starts[missing-more]:], Qtype: dns.TypeA, Qclass: n.Q.Qclass}
}
