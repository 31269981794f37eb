package iterate

import (
	"net/netip"
	"time"

	"proxima/resolver/reply"
	"proxima/resolver/trust"

	"github.com/miekg/dns"
)

// A Cut is a zone as its parent delegates it. Cuts are immutable; learning
// more makes a new one.
type Cut struct {
	Zone    string   // lower case, with the final dot
	Servers []Server // name and addresses, glue included
	Expires time.Time
	Trust   *trust.Zone // what the chain of trust says; nil of configured zones

	// Expires is the end of the parent's lease. Nothing that the child says
	// moves it, and no cut below outlives it: a domain that its registry took
	// away is gone by then (ghost domains, CVE-2022-30698, CVE-2026-40622).

	recursive bool // the servers are resolvers: ask with RD, believe no referral
	explicit  bool // named by the operator: Options.Deny does not apply

	lower  bool // the servers are asked in lower case
	stream bool // the servers are asked over TCP alone
	full   bool // the servers are asked for whole names
}

// A Server is a name server of a cut and the addresses known for it.
type Server struct {
	Name  string // lower case; empty if the operator gave only addresses
	Addrs []netip.AddrPort
}

// key names the cut in a Budget: the servers to which a zone is forwarded are
// not the zone's own.
func (c *Cut) key() string {
	if c.recursive {
		return "forward " + c.Zone
	}
	return c.Zone
}

// descend makes the cut that v, a referral from the servers of parent, tells
// of at time at. Of too many servers it takes a random choice.
func (w *Walker) descend(parent *Cut, v *verdict, at time.Time) *Cut {
	lease := at.Add(time.Duration(v.TTL) * time.Second)
	if limit := at.Add(w.store.MaxTTL); lease.After(limit) {
		lease = limit
	}
	if parent.Zone != "." && !parent.explicit && lease.After(parent.Expires) {
		lease = parent.Expires
	}
	if v.zone != nil && lease.After(v.zone.Expires) {
		lease = v.zone.Expires
	}
	names := w.sample(v.Servers)
	cut := &Cut{Zone: v.Zone, Expires: lease, Servers: make([]Server, 0, len(names)), Trust: v.zone}
	for _, name := range names {
		s := Server{Name: name}
		for _, addr := range v.Glue[name] {
			s.Addrs = append(s.Addrs, netip.AddrPortFrom(addr, w.port))
		}
		cut.Servers = append(cut.Servers, s)
	}
	return cut
}

// sample returns up to maxServers of the names, in random order. It reorders
// its argument.
func (w *Walker) sample(names []string) []string {
	w.chance.Lock()
	defer w.chance.Unlock()
	w.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:min(len(names), maxServers)]
}

// deepest returns the cut to begin with for q: the deepest known one that
// encloses its name. DS is asked at the parent, RFC 4035 section 3.1.4.1, so
// there the name's own zone does not count.
func (w *Walker) deepest(q dns.Question, at time.Time) (cut *Cut, ok bool) {
	name := q.Name
	if q.Qtype == dns.TypeDS {
		name = reply.Above(name)
	}
	for {
		if cut, ok := w.stubs[name]; ok {
			return cut, true
		}
		if name == "." {
			cut = w.primed.Load()
			return cut, cut != nil && at.Before(cut.Expires)
		}
		if cut, ok := w.cuts.Get(name); ok && at.Before(cut.Expires) {
			return cut, true
		}
		name = reply.Above(name)
	}
}

// forwarder returns the forward zone in which q's name lies, if any: the
// deepest one, unless a stub zone lies deeper. DS belongs to the parent.
func (w *Walker) forwarder(q dns.Question) (z *forward, ok bool) {
	if len(w.forwards) == 0 {
		return nil, false
	}
	name := q.Name
	if q.Qtype == dns.TypeDS {
		name = reply.Above(name)
	}
	for ; ; name = reply.Above(name) {
		if _, ok := w.stubs[name]; ok {
			return nil, false
		}
		if z, ok := w.forwards[name]; ok {
			return z, true
		}
		if name == "." {
			return nil, false
		}
	}
}
