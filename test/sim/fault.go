package sim

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// A Spoofer sees a query and the honest reply, nil if there would be silence,
// and returns what is said instead. It may change honest and return it. The name
// that it sees is in lower case; in the reply it is as it was asked.
type Spoofer func(q, honest *dns.Msg, stream bool) *dns.Msg

// A fault is a set of things that are wrong with an address.
type fault uint16

const (
	drop fault = 1 << iota
	dropDatagrams
	dropEDNS
	unreachable
	noStream
	noEDNS
	lame
	refuse
	servFail
	truncate
	loseCase
)

// Drop makes the addresses silent.
func (n *Internet) Drop(at ...netip.Addr) { n.fail(drop, at) }

// DropDatagrams makes the addresses silent but for streams.
func (n *Internet) DropDatagrams(at ...netip.Addr) { n.fail(dropDatagrams, at) }

// DropEDNS makes the addresses silent to queries with an OPT record.
func (n *Internet) DropEDNS(at ...netip.Addr) { n.fail(dropEDNS, at) }

// Unreachable makes Exchange fail at once for the addresses.
func (n *Internet) Unreachable(at ...netip.Addr) { n.fail(unreachable, at) }

// NoStream makes the addresses refuse streams.
func (n *Internet) NoStream(at ...netip.Addr) { n.fail(noStream, at) }

// NoEDNS makes the addresses servers from before RFC 6891: FORMERR to queries
// with an OPT record, and no OPT record in any reply.
func (n *Internet) NoEDNS(at ...netip.Addr) { n.fail(noEDNS, at) }

// Lame makes the addresses know none of their zones: they refer to the root.
func (n *Internet) Lame(at ...netip.Addr) { n.fail(lame, at) }

// Refuse makes the addresses answer REFUSED.
func (n *Internet) Refuse(at ...netip.Addr) { n.fail(refuse, at) }

// ServFail makes the addresses answer SERVFAIL.
func (n *Internet) ServFail(at ...netip.Addr) { n.fail(servFail, at) }

// Truncate makes the addresses set TC in every datagram and leave it empty.
func (n *Internet) Truncate(at ...netip.Addr) { n.fail(truncate, at) }

// LoseCase makes the addresses repeat every name in lower case. Over UDP that
// looks forged to Exchange.
func (n *Internet) LoseCase(at ...netip.Addr) { n.fail(loseCase, at) }

// Delay makes an exchange with the address take d. 0 takes the delay away.
func (n *Internet) Delay(at netip.Addr, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host(at).delay = d
}

// Spoof lets fn have the last word on what the address says; nil ends that.
func (n *Internet) Spoof(at netip.Addr, fn Spoofer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host(at).spoof = fn
}

// Heal takes away every fault, delay and Spoofer of the addresses.
func (n *Internet) Heal(at ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range at {
		h := n.host(a)
		h.faults, h.delay, h.spoof = 0, 0, nil
	}
}

func (n *Internet) fail(f fault, at []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range at {
		n.host(a).faults |= f
	}
}

// reply returns what h says to q, nil for silence. The caller holds mu.
func (h *host) reply(q *dns.Msg, stream bool) *dns.Msg {
	opt := q.IsEdns0()
	f := h.faults
	switch {
	case f&drop != 0, f&dropDatagrams != 0 && !stream, f&dropEDNS != 0 && opt != nil:
		return nil
	case f&noEDNS != 0 && opt != nil:
		return errorReply(q, dns.RcodeFormatError)
	case f&refuse != 0:
		return errorReply(q, dns.RcodeRefused)
	case f&servFail != 0:
		return errorReply(q, dns.RcodeServerFailure)
	case f&lame != 0:
		m := errorReply(q, dns.RcodeSuccess)
		m.Ns = []dns.RR{&dns.NS{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 518400},
			Ns:  "a.root-servers.example.",
		}}
		return m
	case len(h.zones) == 0:
		return nil
	}
	m := h.answer(q)
	if !stream {
		shorten(m, q, f&truncate != 0)
	}
	return m
}
