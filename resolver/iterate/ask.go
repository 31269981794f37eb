package iterate

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"proxima/resolver/anchor"
	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
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

	judge judge
	bogus []*Error // what was wrong with replies that judge refused
}

// A judge looks at a verdict that is not lame. It may change it. If it returns
// a *dnssec.ProofError, another server may say better; any other error ends the
// question.
type judge func(context.Context, *verdict) error

// ask asks the servers of cut one after another until one says something
// useful, or all tries are used up: those for this question, of which patience
// is the number, or those for the zone.
func (t *task) ask(ctx context.Context, cut *Cut, q dns.Question, patience int, judge judge) (*verdict, error) {
	a := &asking{t: t, cut: cut, q: q, streams: make(map[netip.AddrPort]bool), judge: judge}
	a.servers = t.serversOf(cut, time.Now())
	for a.tally.failed() < patience && !t.b.dead(cut.key()) {
		to, timeout, ok := t.w.next(a.servers.addrs, a.tried)
		if !ok {
			found, err := a.servers.more(ctx)
			if err != nil {
				return nil, err
			}
			if !found {
				return nil, a.failure(false)
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
	return nil, a.failure(dead)
}

// failure is the error when no server has said anything useful; dead says that
// the zone was given up.
func (a *asking) failure(dead bool) *Error {
	if len(a.bogus) > 0 {
		return a.bogus[0]
	}
	return a.tally.failure(a.q.Name, a.cut.Zone, dead)
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
	m, err := a.exchange(ctx, to, timeout, plain, false)
	rtt := time.Since(began)
	if m != nil && !plain && rejectsEDNS(m) {
		plain = true
		m, err = a.exchange(ctx, to, timeout, plain, false)
	}
	if m != nil && m.Truncated && !a.streams[to] {
		a.streams[to] = true
		m, err = a.exchange(ctx, to, streamTimeout, plain, true)
	}
	if m == nil {
		return nil, err
	}
	v := &verdict{Verdict: reply.Classify(a.q, m, reply.From{Zone: a.cut.Zone, Recursive: a.cut.recursive})}
	if plain && !known && v.Kind != reply.Lame { // so it was EDNS that it did not know
		w.plain.Add(to, time.Now().Add(plainLife))
	}
	outcome := selection.Answered
	switch {
	case v.Kind == reply.Lame && v.Broken:
		outcome = selection.Broken
	case v.Kind == reply.Lame:
		outcome = selection.Lame
	}
	w.selection.Note(to, outcome, rtt, time.Now())
	a.tried = append(a.tried, to, to) // it would say the same again: its further tries are forfeit
	if v.Kind != reply.Lame {
		return a.judged(ctx, v)
	}
	w.counts.lame.Add(1)
	a.tally.lame++
	a.tally.reason = v.Reason
	return nil, nil
}

// judged has a verdict judged, and returns it if it stands. One that proves
// nothing is as good as none, but only so many servers are asked for a better
// one: mostly it is the zone that is broken.
func (a *asking) judged(ctx context.Context, v *verdict) (*verdict, error) {
	if a.judge == nil {
		return v, nil
	}
	err := a.judge(ctx, v)
	var proof *dnssec.ProofError
	if err == nil || !errors.As(err, &proof) {
		return v, err
	}
	a.bogus = append(a.bogus, unproven(proof))
	if proof.Spent || len(a.bogus) >= maxBogus {
		return nil, a.bogus[0]
	}
	a.tally.lame++
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
	m, err := w.exchanger.Exchange(within, to, a.message(plain), stream)
	switch {
	case err == nil:
		a.t.b.receive(size(m))
		return m, nil
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
// that signatures come along. A resolver is told not to judge them for us.
func (a *asking) message(plain bool) *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{a.q}}
	m.RecursionDesired = a.cut.recursive
	m.CheckingDisabled = a.cut.recursive && a.t.w.chain.Validates()
	if plain {
		return m
	}
	m.SetEdns0(wire.PayloadSize, true)
	if a.q.Qtype == dns.TypeDNSKEY { // tell the zone which of its keys are trusted, RFC 8145
		if tags := anchor.TagOption(a.q.Name, a.t.w.chain.Anchors(a.q.Name)); tags != nil {
			m.IsEdns0().Option = append(m.IsEdns0().Option, tags)
		}
	}
	return m
}

// size returns the octets of a reply on the wire, or about.
func size(m *dns.Msg) int {
	compressed := *m
	compressed.Compress = true
	return compressed.Len()
}

// rejectsEDNS reports whether the reply says that the server does not know
// EDNS: FORMERR or NOTIMP without an OPT record, RFC 6891 section 7.
func rejectsEDNS(m *dns.Msg) bool {
	return (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) && m.IsEdns0() == nil
}

// isPlain reports whether the server is asked without EDNS for now.
func (w *Walker) isPlain(to netip.AddrPort) bool {
	until, ok := w.plain.Get(to)
	return ok && time.Now().Before(until)
}
