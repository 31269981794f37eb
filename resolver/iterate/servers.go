package iterate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"proxima/clock"
	"proxima/resolver/found"
	"proxima/resolver/limit"
	"proxima/resolver/reply"

	"github.com/miekg/dns"
)

// servers are the addresses of a cut that may be asked, and what may be looked
// up to find more.
type servers struct {
	t       *task
	cut     *Cut
	addrs   []netip.AddrPort // each IP address once
	lookups []dns.Question   // for addresses, server by server, in the order in which to ask
	resort  bool             // the last resort was tried
	starved bool             // the Budget had no more for lookups
	local   bool             // a lookup failed for want of something on this host
	cropped bool             // there are more addresses than maxZoneAddresses
}

// serversOf gathers what is known of cut's servers: glue, and for servers that
// have another zone's name, what that zone says in the cache. What it says may
// be asked for, too, last of those for which there is glue.
func (t *task) serversOf(cut *Cut, at time.Time) servers {
	s := servers{t: t, cut: cut}
	var glued []dns.Question
	for _, server := range cut.Servers {
		glue := s.add(server.Addrs) > 0
		if server.Name == "" || dns.IsSubDomain(cut.Zone, server.Name) {
			continue // a server inside its zone without glue cannot be found
		}
		for _, typ := range t.w.addressTypes() {
			q := dns.Question{Name: server.Name, Qtype: typ, Qclass: dns.ClassINET}
			if r := t.w.store.Get(q, at, false); r != nil {
				s.add(t.w.addresses(r))
			} else if glue {
				glued = append(glued, q)
			} else {
				s.lookups = append(s.lookups, q)
			}
		}
	}
	s.lookups = append(s.lookups, glued...)
	return s
}

// add takes in those of one server's addresses that may be asked and are new,
// and returns how many of them may be asked.
func (s *servers) add(addrs []netip.AddrPort) (usable int) {
	for _, addr := range addrs[:min(len(addrs), reply.MaxAddresses)] {
		if !s.t.w.allowed(addr, s.cut) {
			continue
		}
		usable++
		switch {
		case slices.Contains(s.addrs, addr):
		case len(s.addrs) < maxZoneAddresses:
			s.addrs = append(s.addrs, addr)
		default:
			s.cropped = true
		}
	}
	return usable
}

// allowed reports whether the address may be asked: never our own service, of
// a family that is on, and unless the operator named it, a unicast address
// outside of Options.Deny.
func (w *Walker) allowed(to netip.AddrPort, cut *Cut) bool {
	addr := to.Addr().Unmap()
	if addr.Is4() && !w.ipv4 || addr.Is6() && !w.ipv6 || !addr.IsValid() || w.own[addr.WithZone("")] {
		return false
	}
	if cut.explicit {
		return true
	}
	if addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(w.deny, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// addressTypes are the types of address records that are of use.
func (w *Walker) addressTypes() []uint16 {
	switch {
	case !w.ipv6:
		return []uint16{dns.TypeA}
	case !w.ipv4:
		return []uint16{dns.TypeAAAA}
	}
	return []uint16{dns.TypeA, dns.TypeAAAA}
}

// addresses returns the addresses in an answer.
func (w *Walker) addresses(r *found.Records) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, rr := range r.Answer {
		if addr, ok := reply.Address(rr); ok {
			addrs = append(addrs, netip.AddrPortFrom(addr, w.port))
		}
	}
	return addrs
}

// A lookup is what came of looking up one server's address.
type lookup struct {
	q     dns.Question
	addrs []netip.AddrPort
	gone  bool // the name does not exist
	err   error
	panic any // what it ended with, if it did not return
}

// more looks up addresses until there is a new one, and reports whether there
// is. The next lookup begins when one has found nothing, or beside it when it
// is slow. All have ended when more returns. An error ends the whole question.
func (s *servers) more(ctx context.Context) (found bool, err error) {
	if len(s.lookups) == 0 {
		return s.lastResort(), nil
	}
	if s.t.seeks(s.cut.Zone) {
		s.t.touch(limit.Cycle)
		return false, nil
	}
	s.t.seeking = s.cut.Zone
	within, cancel := context.WithCancel(ctx)
	results := make(chan lookup, len(s.lookups))
	var running sync.WaitGroup
	defer func() {
		cancel()
		running.Wait()
		s.keep(results)
		s.t.seeking = ""
	}()
	before := len(s.addrs)
	for busy := s.launch(within, results, &running, 0); busy > 0; {
		select {
		case l := <-results:
			busy--
			if l.panic != nil {
				panic(l.panic) // for who waits for the whole question
			}
			s.take(l)
			if spent(l.err) {
				return false, l.err
			}
			if len(s.addrs) > before {
				return true, nil
			}
			busy = s.launch(within, results, &running, busy)
		case <-time.After(lookupStagger):
			busy = s.launch(within, results, &running, busy)
		}
	}
	return s.lastResort(), nil
}

// lastResort takes the glue that other delegations have for the servers, and
// reports whether there is some. A zone may deny or move the name of a server
// that its parent still knows.
func (s *servers) lastResort() (found bool) {
	before := len(s.addrs)
	for _, server := range s.cut.Servers {
		if s.resort || server.Name == "" {
			continue
		}
		cut, ok := s.t.w.deepest(dns.Question{Name: server.Name, Qtype: dns.TypeA}, clock.Now())
		if !ok {
			continue
		}
		for _, other := range cut.Servers {
			if other.Name == server.Name {
				s.add(other.Addrs)
			}
		}
	}
	s.resort = true
	return len(s.addrs) > before
}

// keep takes what lookups have found that ended too late to be waited for; those
// that were broken off may be needed yet.
func (s *servers) keep(results chan lookup) {
	close(results)
	var again []dns.Question
	for l := range results {
		switch {
		case l.panic != nil:
			panic(l.panic)
		case l.err == nil:
			s.take(l)
		default:
			again = append(again, l.q)
		}
	}
	s.lookups = append(again, s.lookups...)
}

// launch begins the next lookup if busy ones leave room for it and the Budget
// has it, and returns how many are under way then.
func (s *servers) launch(ctx context.Context, results chan<- lookup, running *sync.WaitGroup, busy int) int {
	room := 1
	if s.t.depth < len(lookupsAtOnce) {
		room = lookupsAtOnce[s.t.depth]
	}
	if busy >= room || len(s.lookups) == 0 {
		return busy
	}
	if !s.t.b.Lookup() {
		s.t.touch(limit.Lookups)
		s.starved = true
		s.lookups = nil
		return busy
	}
	q := s.lookups[0]
	s.lookups = s.lookups[1:]
	running.Go(func() {
		l := lookup{q: q}
		defer func() {
			l.panic = recover()
			results <- l
		}()
		var r *found.Records
		if r, l.err = s.t.below(ctx, q, "address of a server of "+s.cut.Zone); l.err == nil {
			l.addrs, l.gone = s.t.w.addresses(r), r.Rcode == dns.RcodeNameError
		}
	})
	return busy + 1
}

// take takes in what a lookup found. The server may have the other family yet.
func (s *servers) take(l lookup) {
	same := func(q dns.Question) bool { return q.Name == l.q.Name }
	var e *Error
	s.local = s.local || errors.As(l.err, &e) && e.Local
	if l.gone {
		s.lookups = slices.DeleteFunc(s.lookups, same)
	}
	if s.add(l.addrs) == 0 && !slices.ContainsFunc(s.lookups, same) {
		s.t.b.FoundNothing()
	}
}

// below answers a question that t raises for a reason, from the cache or by a task of its
// own.
func (t *task) below(ctx context.Context, q dns.Question, why string) (*found.Records, error) {
	for up := t; up != nil; up = up.up {
		if up.q == q {
			return nil, t.strike(limit.Cycle, q.Name)
		}
	}
	if t.depth >= t.b.Depth {
		return nil, t.strike(limit.Depth, q.Name)
	}
	t.w.counts.servers.Add(1)
	child := &task{w: t.w, b: t.b, q: q, depth: t.depth + 1, up: t, unchecked: t.unchecked, note: t.note.Raise(q, why)}
	r, err := child.follow(ctx, q, nil)
	var e *Error
	if errors.As(err, &e) {
		e.Chain = nil // the client did not ask about the server
	}
	return r, err
}

// seeks reports whether a task above t, or t itself, is already looking for
// the servers of zone: a cycle of delegations (TsuNAME).
func (t *task) seeks(zone string) bool {
	for up := t; up != nil; up = up.up {
		if up.seeking == zone {
			return true
		}
	}
	return false
}
