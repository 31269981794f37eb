//go:build linux

package internet

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// An Answer is what a resolver should say to a question, or what one said:
// response code and answer section, without TTLs and without order.
type Answer struct {
	Rcode   string // or noReply
	Records string
}

// noReply is the rcode of those who say nothing.
const noReply = "no reply"

// NewAnswer returns what a reply says. What comes with SERVFAIL is no answer.
func NewAnswer(rcode int, records []dns.RR) Answer {
	if rcode == dns.RcodeServerFailure {
		records = nil
	}
	var lines []string
	for _, rr := range records {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		lines = append(lines, strings.ToLower(strings.Join(strings.Fields(rr.String()), " ")))
	}
	slices.Sort(lines)
	return Answer{dns.RcodeToString[rcode], strings.Join(slices.Compact(lines), "; ")}
}

// String returns the answer in one line.
func (a Answer) String() string { return a.Rcode + " " + a.Records }

// index makes the zones of names ready for Truth.
func (m *Model) index() {
	for _, z := range m.zones {
		if z.tier != leafTier {
			continue
		}
		for _, rr := range slices.Concat(z.delegation(), z.records) {
			name := rr.Header().Name
			m.truth[name] = append(m.truth[name], rr)
		}
	}
}

// Truth returns the one right answer to a question about a listed name or what
// is below it.
func (m *Model) Truth(q dns.Question) Answer {
	var chain []dns.RR
	for name := q.Name; ; {
		here := m.truth[name]
		if here == nil {
			return NewAnswer(dns.RcodeNameError, chain)
		}
		alias := slices.IndexFunc(here, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME })
		if alias < 0 {
			for _, rr := range here {
				if rr.Header().Rrtype == q.Qtype {
					chain = append(chain, rr)
				}
			}
			return NewAnswer(dns.RcodeSuccess, chain)
		}
		chain = append(chain, here[alias])
		name = here[alias].(*dns.CNAME).Target
	}
}

// Addresses returns the questions for the addresses of all listed names: of
// www below them, where that leads to another zone.
func (m *Model) Addresses() []dns.Question {
	all := make([]dns.Question, len(m.Names))
	for i, name := range m.Names {
		if m.zones[name].alias {
			name = "www." + name
		}
		all[i] = dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}
	}
	return all
}

// Mix returns a question for each listed name or below it: of many types, and
// one in ten for what does not exist.
func (m *Model) Mix() []dns.Question {
	types := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeNS}
	r := rand.New(rand.NewPCG(m.seed, 1))
	all := make([]dns.Question, len(m.Names))
	for i, name := range m.Names {
		q := dns.Question{Name: name, Qtype: types[r.IntN(len(types))], Qclass: dns.ClassINET}
		switch r.IntN(10) {
		case 0:
			q.Name = "does-not-exist." + name
		case 1:
			q.Name = "www." + name
		}
		all[i] = q
	}
	return all
}

// Class says in words what is special about the way to an answer: the zones on
// it whose servers are not all sound, or not found by glue.
func (m *Model) Class(q dns.Question) string {
	var parts []string
	for name := q.Name; name != ""; {
		for z := m.enclosing(name); z != nil; {
			if what := z.special(); what != "" {
				parts = append(parts, what)
			}
			var next *zone
			if z.style != own {
				next = m.enclosing(z.servers[0].name)
			}
			z = next
		}
		here := m.truth[name]
		name = ""
		for _, rr := range here {
			if alias, ok := rr.(*dns.CNAME); ok {
				name = alias.Target
			}
		}
	}
	if parts == nil {
		return "nothing special"
	}
	return strings.Join(parts, " -> ")
}

// special says what is special about a zone's servers.
func (z *zone) special() string {
	var kinds []string
	for _, s := range z.servers {
		kind := s.host.fault.String()
		if s.host.addrs[0].Is6() {
			kind += " and IPv6 only"
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	text := strings.Join(slices.Compact(kinds), " / ")
	switch {
	case z.style != own:
		return "glueless " + text
	case text == sound.String():
		return ""
	}
	return text
}
