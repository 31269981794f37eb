package dialogue

import (
	"net/netip"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

// A standing is what is remembered of how a server wants to be asked, each
// until when.
type standing struct {
	edns  time.Time // it has been heard to know EDNS
	plain time.Time // it knows no EDNS
	lower time.Time // it does not keep the letter case of names
	deaf  time.Time // it hears nothing but TCP
}

// recall returns what is remembered of the server.
func (a *Asker) recall(to netip.AddrPort) standing {
	s, _ := a.servers.Get(to)
	return s
}

// change changes what is remembered of the server.
func (a *Asker) change(to netip.AddrPort, how func(*standing)) {
	a.learning.Lock()
	defer a.learning.Unlock()
	s, _ := a.servers.Get(to)
	how(&s)
	a.servers.Add(to, s)
}

// learn takes in what the last exchange of a question says of the server. What
// it did not know shows in what the reply to the other way is worth.
func (a *Asker) learn(to netip.AddrPort, q *Question, c *course, w way, m *dns.Msg, useful bool) {
	at, s := clock.Now(), a.recall(to)
	known := at.Before(s.edns)
	if m.IsEdns0() != nil && s.edns.Before(at.Add(ednsLife/2)) { // seldom, not with each reply
		a.change(to, func(s *standing) { s.edns = at.Add(ednsLife) })
	}
	if !useful {
		return
	}
	if w.plain && !known && !at.Before(s.plain) {
		a.counts.learnedPlain.Add(1)
		a.change(to, func(s *standing) { s.plain = at.Add(plainLife) })
	}
	if w.stream && !q.Stream && c.silences > 1 && !at.Before(s.deaf) {
		a.counts.learnedDeaf.Add(1)
		a.change(to, func(s *standing) { s.deaf = at.Add(deafLife) })
	}
}

// learnCase takes in that the server has changed the letter case of a name over
// TCP, where nobody does it in its name.
func (a *Asker) learnCase(to netip.AddrPort) {
	a.counts.learnedCase.Add(1)
	a.change(to, func(s *standing) { s.lower = clock.Now().Add(lowerLife) })
}

// unlearnDeaf forgets that the server hears TCP, because it did not.
func (a *Asker) unlearnDeaf(to netip.AddrPort) {
	if !a.recall(to).deaf.IsZero() {
		a.change(to, func(s *standing) { s.deaf = time.Time{} })
	}
}
