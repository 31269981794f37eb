package dialogue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"proxima/resolver/limit"
	"proxima/resolver/record"
	"proxima/resolver/reply"
	"proxima/wire"

	"github.com/miekg/dns"
)

// A Question is one that is put to servers of a zone, one after another. It
// remembers what they were asked, so it is made anew for each question, and used
// by one goroutine.
type Question struct {
	dns.Question            // the name in lower case
	From         reply.From // the zone whose servers are asked
	Secure       bool       // the zone is signed: its servers have EDNS, whatever is said in their name
	Unchecked    bool       // set CD: resolvers are not to judge signatures for us
	Option       dns.EDNS0  // that goes along, nil for none

	Lower  bool // the servers are asked in lower case
	Stream bool // the servers are asked over TCP alone

	Budget *limit.Budget    // the purse of the client query
	Pay    func() error     // out of it, for one exchange, before that is made; its error ends Ask
	Note   *record.Question // is told of each exchange; may be nil

	courses []*course // of the servers that were asked: mostly one
}

// course returns what q has come to at the server.
func (q *Question) course(to netip.AddrPort) *course {
	for _, c := range q.courses {
		if c.to == to {
			return c
		}
	}
	c := &course{to: to}
	q.courses = append(q.courses, c)
	return c
}

// Streamed reports whether the server was asked over TCP because its reply did
// not fit into a datagram.
func (q *Question) Streamed(to netip.AddrPort) bool { return q.course(to).cut }

// message composes the question for name: no recursion wanted of a server, DO
// set so that signatures come along.
func (q *Question) message(w way, name string) *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{{Name: name, Qtype: q.Qtype, Qclass: q.Qclass}}}
	m.RecursionDesired = q.From.Recursive
	m.CheckingDisabled = q.Unchecked
	if w.plain {
		return m
	}
	m.SetEdns0(wire.PayloadSize, true)
	if q.Option != nil {
		m.IsEdns0().Option = append(m.IsEdns0().Option, q.Option)
	}
	return m
}

// note records an exchange for who wants to know.
func (q *Question) note(to netip.AddrPort, w way, rtt time.Duration, m *dns.Msg, err error) {
	if q.Note == nil {
		return
	}
	e := record.Exchange{To: to, Name: q.Name, Type: record.TypeName(q.Qtype, dns.Type(q.Qtype).String()), Transport: "udp", EDNS: !w.plain, RTT: rtt}
	if w.stream {
		e.Transport = "tcp"
	}
	switch {
	case err == nil:
		e.Reply = fmt.Sprintf("%s, %d+%d+%d records, %d octets", dns.RcodeToString[m.Rcode], len(m.Answer), len(m.Ns), len(m.Extra), size(m))
		if m.Truncated {
			e.Reply += ", truncated"
		}
	case errors.Is(err, context.DeadlineExceeded):
		e.Reply = "no reply"
	default:
		e.Reply = strings.TrimPrefix(err.Error(), "upstream: "+to.String()+": ") // which stands before it
	}
	q.Note.Asked(e)
}

// size returns the octets of a reply on the wire.
func size(m *dns.Msg) int {
	compressed := *m
	compressed.Compress = true
	return compressed.Len()
}

// price returns what a reply has on the wire, or about: owners are taken for
// pointers, and the data of all but addresses for uncompressed. It costs less
// than to find out.
func price(m *dns.Msg) int {
	const header, question, pointer, fixed = 12, 4, 2, 10 // octets, RFC 1035 section 4.1
	octets := header
	for i := range m.Question {
		octets += len(m.Question[i].Name) + 1 + question
	}
	for _, section := range [...][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			switch rr.(type) {
			case *dns.A:
				octets += pointer + fixed + 4
			case *dns.AAAA:
				octets += pointer + fixed + 16
			default:
				octets += dns.Len(rr) - len(rr.Header().Name) + 1
			}
		}
	}
	return octets
}
