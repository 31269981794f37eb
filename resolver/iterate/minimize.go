package iterate

import "github.com/miekg/dns"

// A minimizer shortens one name on its way down, RFC 9156: a server learns no
// more of the name than it needs to refer.
type minimizer struct {
	q     dns.Question
	full  bool // from now on only the whole question is asked
	steps int  // shortened questions so far
}

// question returns what to ask when the labels of at, an ancestor of q's name,
// are known to exist: the name with one label more, or several if it is long.
// The type of a shortened question is A, which hides the true one and is what
// servers answer best (RFC 9156 section 2.1).
func (m *minimizer) question(at string) dns.Question {
	if m.full || m.steps >= maxMinimizedSteps {
		return m.q
	}
	starts := dns.Split(m.q.Name) // of each label
	missing := len(starts) - dns.CountLabel(at)
	more := 1
	if m.steps >= singleLabelSteps {
		left := maxMinimizedSteps - m.steps
		more = (missing + left - 1) / left
	}
	if missing <= more {
		return m.q
	}
	m.steps++
	return dns.Question{Name: m.q.Name[starts[missing-more]:], Qtype: dns.TypeA, Qclass: m.q.Qclass}
}
