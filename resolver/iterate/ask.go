package iterate

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"proxima/resolver/selection"
	"proxima/wire"

	"github.com/miekg/dns"
)

// An asking is one question to the servers of one cut.
type asking struct {
	t       *task
	cut     *Cut
	q       dns.Question
	servers servers
	tried   []netip.AddrPort
	streams map[netip.AddrPort]bool // asked over TCP, which is done once
	tally   tally
}

// ask asks the servers of cut one after another until one says something
// useful, or all tries are used up: those for this question, of which patience
// is the number, or those for the zone.
func (t *task) ask(ctx context.Context, cut *Cut, q dns.Question, patience int) (*verdict, error) {
	a := &asking{t: t, cut: cut, q: q, streams: make(map[netip.AddrPort]bool)}
	a.servers = t.serversOf(cut, time.Now())
	for a.tally.failed() < patience && !t.b.dead(cut.key()) {
		to, timeout, ok := t.w.next(a.servers.addrs, a.tried)
		if !ok {
			found, err := a.servers.more(ctx)
			if err != nil {
				return nil, err
			}
			if !found {
				return nil, a.tally.failure(q.Name, cut.Zone, false)
			}
			continue
		}
		a.tried = append(a.tried, to)
		v, err := a.try(ctx, to, timeout)
		if err != nil {
			return nil, err
		}
		if v != nil {
			t.b.forgive(cut.key())
			return v, nil
		}
		t.b.fault(cut.key())
	}
	dead := t.b.dead(cut.key())
	if dead {
		t.w.counts.limits[limitFaults].Add(1)
	}
	return nil, a.tally.failure(q.Name, cut.Zone, dead)
}

// next chooses a server.
func (w *Walker) next(from, tried []netip.AddrPort) (netip.AddrPort, time.Duration, bool) {
	w.chance.Lock()
	defer w.chance.Unlock()
	return w.selection.Next(w.rand, from, tried, time.Now())
}

// try asks one server: with EDNS, again without if it does not know that, and
// over TCP if the reply was cut. It notes how that went, and returns a verdict
// that is not lame, an error if the whole question must end, or neither.
func (a *asking) try(ctx context.Context, to netip.AddrPort, timeout time.Duration) (*verdict, error) {
	w := a.t.w
	began := time.Now()
	known := w.isPlain(to)
	plain := known
	reply, err := a.exchange(ctx, to, timeout, plain, false)
	rtt := time.Since(began)
	if reply != nil && !plain && rejectsEDNS(reply) {
		plain = true
		reply, err = a.exchange(ctx, to, timeout, plain, false)
	}
	if reply != nil && reply.Truncated && !a.streams[to] {
		a.streams[to] = true
		reply, err = a.exchange(ctx, to, streamTimeout, plain, true)
	}
	if reply == nil {
		return nil, err
	}
	v := classify(a.q, reply, a.cut)
	if plain && !known && v.kind != lame { // so it was EDNS that it did not know
		w.plain.Add(to, time.Now().Add(plainLife))
	}
	outcome := selection.Answered
	switch {
	case v.kind == lame && v.broken:
		outcome = selection.Broken
	case v.kind == lame:
		outcome = selection.Lame
	}
	w.selection.Note(to, outcome, rtt, time.Now())
	if v.kind != lame {
		return &v, nil
	}
	w.counts.lame.Add(1)
	a.tally.lame++
	a.tally.reason = v.reason
	a.tried = append(a.tried, to, to) // it would say the same again: its further tries are forfeit
	return nil, nil
}

// exchange pays for one exchange and makes it. It returns the reply; nothing if
// there was none, which it notes; an error if the question must end.
func (a *asking) exchange(ctx context.Context, to netip.AddrPort, timeout time.Duration, plain, stream bool) (*dns.Msg, error) {
	w := a.t.w
	if struck, ok := a.t.b.exchange(a.t.q.Name); !ok {
		return nil, w.strike(struck, a.t.q.Name)
	}
	w.counts.exchanges.Add(1)
	if stream {
		w.counts.streams.Add(1)
	}
	if plain {
		w.counts.plain.Add(1)
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := w.exchanger.Exchange(within, to, a.message(plain), stream)
	switch {
	case err == nil:
		a.t.b.receive(size(reply))
		return reply, nil
	case ctx.Err() != nil:
		return nil, late(a.t.q.Name)
	case errors.Is(err, context.DeadlineExceeded):
		w.counts.timeouts.Add(1)
		a.tally.timeouts++
		w.selection.Note(to, selection.TimedOut, 0, time.Now())
	default:
		w.counts.faults.Add(1)
		a.tally.faults++
		outcome, theirs := blame(err)
		if !theirs {
			return nil, &Error{Name: a.t.q.Name, Code: wire.EDEOther, Reason: "no socket", Local: true, spent: true}
		}
		w.selection.Note(to, outcome, 0, time.Now())
	}
	return nil, nil
}

// blame tells what an exchange that failed otherwise than by silence says of
// the server: nothing if this host had no socket for it (EMFILE and its like),
// no more than a network that refuses if the kernel says so, else that it
// refused or broke off a stream or answered nonsense.
func blame(err error) (o selection.Outcome, theirs bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return selection.Broken, true
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN:
		return 0, false
	case syscall.ECONNREFUSED, syscall.ECONNRESET: // over UDP these are but ICMP, which nobody believes
		return selection.Broken, true
	}
	return selection.Refused, true
}

// message composes the question: no recursion wanted of a server, DO set so
// that signatures can be passed on.
func (a *asking) message(plain bool) *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{a.q}}
	m.RecursionDesired = a.cut.recursive
	if !plain {
		m.SetEdns0(wire.PayloadSize, true)
	}
	return m
}

// size returns the octets of a reply on the wire, or about.
func size(reply *dns.Msg) int {
	m := *reply
	m.Compress = true
	return m.Len()
}

// rejectsEDNS reports whether the reply says that the server does not know
// EDNS: FORMERR or NOTIMP without an OPT record, RFC 6891 section 7.
func rejectsEDNS(reply *dns.Msg) bool {
	return (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) && reply.IsEdns0() == nil
}

// isPlain reports whether the server is asked without EDNS for now.
func (w *Walker) isPlain(to netip.AddrPort) bool {
	until, ok := w.plain.Get(to)
	return ok && time.Now().Before(until)
}
