package dialogue

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// A way is how one exchange is made.
type way struct {
	plain  bool // without EDNS
	lower  bool // with the name in lower case
	stream bool // over TCP
}

// A course is what one question has come to at one server.
type course struct {
	to netip.AddrPort

	datagrams, streams int  // exchanges so far
	silences           int  // datagrams without a reply
	cookies            int  // replies that wanted another cookie
	cut                bool // a reply did not fit into a datagram
	broken             bool // a stream came to nothing
}

// begin is the way in which a server is asked now. One that was silent once may
// be silent to EDNS, if it was never heard to know it; one that was silent twice
// may hear nothing but TCP. What is silent altogether costs no more for that.
func (c *course) begin(q *Question, s standing, at time.Time) way {
	w := way{
		plain:  !q.Secure && at.Before(s.plain),
		lower:  q.Lower || at.Before(s.lower),
		stream: q.Stream || at.Before(s.deaf) && !c.broken,
	}
	over := w
	over.stream = true
	switch {
	case w.stream:
	case c.silences > 1 && c.affords(q, over):
		return over
	case c.silences == 1 && !q.Secure && !at.Before(s.edns):
		w.plain = true
	}
	return w
}

// after is the way in which to ask again, now that one exchange was made, if
// that may bring more.
func (c *course) after(q *Question, w way, came came) (next way, again bool) {
	m := came.reply
	switch next = w; {
	case came.suspicious:
		next.stream = true
	case m != nil && m.Truncated:
		c.cut, next.stream = true, true
	case m == nil || w.plain:
		return w, false
	case m.Rcode == dns.RcodeBadCookie:
		// The Exchanger has learned the cookie that the server wants. If it wants
		// yet another one, there is no end (CVE-2026-5950), and TCP needs none.
		c.cookies++
		next.stream = c.cookies > 1
		return next, !w.stream
	case rejectsEDNS(m) && q.Secure:
		next.stream = true // where nobody can say so in the server's name (CVE-2026-52690)
	case rejectsEDNS(m):
		next.plain = true
	}
	return next, next != w
}

// affords reports whether one more exchange may be made that way.
func (c *course) affords(q *Question, w way) bool {
	if !w.stream {
		return c.datagrams < maxDatagrams
	}
	return c.streams < maxStreams && (!c.broken || q.Stream) && q.Budget.MayBreak()
}

// limit counts and records that no exchange may be made that way.
func (a *Asker) limit(q *Question, c *course, w way) {
	a.counts.limited.Add(1)
	switch {
	case !w.stream:
		q.Note.Struck(fmt.Sprintf("questions over UDP to one server: %d", maxDatagrams))
	case c.streams >= maxStreams:
		q.Note.Struck(fmt.Sprintf("questions over TCP to one server: %d", maxStreams))
	case c.broken && !q.Stream:
		q.Note.Struck("a connection that came to nothing is not tried again")
	default:
		q.Note.Struck("connections that came to nothing")
	}
}

// count counts an exchange.
func (c *course) count(w way) {
	if w.stream {
		c.streams++
	} else {
		c.datagrams++
	}
}

// rejectsEDNS reports whether the reply says that the server does not know
// EDNS: FORMERR or NOTIMP without an OPT record, RFC 6891 section 7.
func rejectsEDNS(m *dns.Msg) bool {
	return (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) && m.IsEdns0() == nil
}
