package iterate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"proxima/clock"
	"proxima/resolver/anchor"
	"proxima/resolver/dialogue"
	"proxima/resolver/dnssec"
	"proxima/resolver/limit"
	"proxima/resolver/reply"
	"proxima/wire"

	"github.com/miekg/dns"
)

// An asking is one question to the servers of one cut.
type asking struct {
	t        *task
	cut      *Cut
	q        dns.Question
	question dialogue.Question // q as it is put
	servers  servers
	tried    []netip.AddrPort
	tally    tally

	judge     judge
	bogus     []*Error       // what was wrong with replies that judge refused
	otherwise *reply.Verdict // what there is if nobody says more; nil for nothing
}

// A judge looks at a verdict that is not lame. It may change it. If it returns
// a *dnssec.ProofError, another server may say better; any other error ends the
// question.
type judge func(context.Context, *verdict) error

// ask takes a seat at cut's zone and asks there.
func (t *task) ask(ctx context.Context, cut *Cut, q dns.Question, patience int, judge judge) (v *verdict, err error) {
	if !t.w.seatAt(cut) {
		return nil, t.strike(limit.ZoneSeats, q.Name)
	}
	defer func() {
		var e *Error
		t.w.leave(cut, errors.As(err, &e) && e.lasting && e.Silent)
	}()
	return t.askSeated(ctx, cut, q, patience, judge)
}

// askSeated asks the servers of cut one after another until one says something
// useful, or all tries are used up: those for this question, of which patience
// is the number, or those for the zone.
func (t *task) askSeated(ctx context.Context, cut *Cut, q dns.Question, patience int, judge judge) (*verdict, error) {
	if v, err := t.askCopy(ctx, cut, q, judge); v != nil || err != nil {
		return v, err
	}
	a := &asking{t: t, cut: cut, q: q, question: t.question(cut, q), judge: judge}
	a.servers = t.serversOf(cut, clock.Now())
	for a.tally.failed() < patience && !t.b.Dead(cut.key()) {
		if !t.w.selection.Promising(a.servers.addrs, a.tried, clock.Now()) {
			switch found, err := a.servers.more(ctx); {
			case err != nil:
				return nil, err
			case found:
				continue
			}
		}
		to, timeout, ok := t.w.next(a.servers.addrs, a.tried)
		if !ok {
			return a.settle(ctx, false)
		}
		a.tried = append(a.tried, to)
		if !t.w.serverSeatAt(cut, to) {
			a.tried = append(a.tried, to, to)
			a.tally.full++
			t.note.Limit("questions at one server, %v", to.Addr())
			continue
		}
		v, err := a.try(ctx, to, timeout)
		if err != nil {
			return nil, err
		}
		if v != nil {
			t.b.Forgive(cut.key())
			return v, nil
		}
		t.b.Fault(cut.key())
	}
	dead := t.b.Dead(cut.key())
	switch {
	case dead:
		t.touch(limit.Faults)
	case a.tally.failed() >= patience:
		t.note.Limit("tries for one question: %d", patience)
	}
	return a.settle(ctx, dead)
}

// settle ends a question to which no server has said anything useful: with what
// a resolver has said that stands where a server should, or an error.
func (a *asking) settle(ctx context.Context, dead bool) (*verdict, error) {
	if last := a.otherwise; last != nil && len(a.bogus) == 0 {
		a.otherwise = nil
		if v, err := a.judged(ctx, &verdict{Verdict: *last}); v != nil || err != nil {
			return v, err
		}
	}
	return nil, a.failure(dead)
}

// failure is the error when no server has said anything useful; dead says that
// the zone was given up.
func (a *asking) failure(dead bool) *Error {
	if len(a.bogus) > 0 {
		return a.bogus[0]
	}
	a.tally.starved = a.tally.starved || a.servers.starved
	a.tally.local = a.servers.local
	return a.tally.failure(a.q.Name, a.cut.Zone, dead)
}

// isCommon reports whether the cut is everybody's way: the root, what is right
// below it, and the reverse zones. There are as many seats there as there are
// questions.
func isCommon(cut *Cut) bool {
	return dns.CountLabel(cut.Zone) < 2 || cut.Zone == "in-addr.arpa." || cut.Zone == "ip6.arpa."
}

// seatAt takes one of the seats at cut's zone.
func (w *Walker) seatAt(cut *Cut) bool {
	return isCommon(cut) || w.zoneSeats.Take(cut.key())
}

// leave frees the seat that seatAt took.
func (w *Walker) leave(cut *Cut, silent bool) {
	if !isCommon(cut) {
		w.zoneSeats.Free(cut.key(), silent)
	}
}

// serverSeatAt takes one of the seats at a server, for cut.
func (w *Walker) serverSeatAt(cut *Cut, to netip.AddrPort) bool {
	return isCommon(cut) || w.serverSeats.Take(to.Addr())
}

// leaveServer frees the seat that serverSeatAt took.
func (w *Walker) leaveServer(cut *Cut, to netip.AddrPort, silent bool) {
	if !isCommon(cut) {
		w.serverSeats.Free(to.Addr(), silent)
	}
}

// next chooses a server.
func (w *Walker) next(from, tried []netip.AddrPort) (netip.AddrPort, time.Duration, bool) {
	w.chance.Lock()
	defer w.chance.Unlock()
	return w.selection.Next(w.rand, from, tried, clock.Now())
}

// try asks one server. It returns a verdict that is not lame, an error if the
// whole question must end, or neither.
func (a *asking) try(ctx context.Context, to netip.AddrPort, timeout time.Duration) (*verdict, error) {
	end := dialogue.Failed
	defer func() { a.t.w.leaveServer(a.cut, to, end == dialogue.Silent) }()
	v, end, err := a.t.w.asker.Ask(ctx, &a.question, to, timeout)
	var paid *Error
	switch {
	case errors.As(err, &paid):
		return nil, paid
	case errors.Is(err, dialogue.ErrNoSocket):
		return nil, &Error{Name: a.t.q.Name, Code: wire.EDEOther, Reason: "no socket", Local: true, spent: true}
	case err != nil:
		return nil, late(a.t.q.Name)
	case end == dialogue.Silent:
		a.tally.timeouts++
		return nil, nil
	case end == dialogue.Barred:
		a.tally.barred++
		fallthrough
	case end == dialogue.Failed:
		a.tally.faults++
		return nil, nil
	case end == dialogue.Unpaid:
		a.tried = append(a.tried, to, to)
		a.tally.lame++
		a.tally.reason, a.tally.starved = "truncated, and no connection left to try", true
		return nil, nil
	}
	a.tried = append(a.tried, to, to) // it would say the same again: its further tries are forfeit
	return a.judged(ctx, &verdict{Verdict: v, stream: a.question.Streamed(to)})
}

// judged has a verdict judged, and returns it if it stands. One that proves
// nothing is as good as none, but only so many servers are asked for a better
// one: mostly it is the zone that is broken.
func (a *asking) judged(ctx context.Context, v *verdict) (*verdict, error) {
	if v.Kind == reply.Lame {
		a.t.note.Judge(&v.Verdict, nil)
		a.t.w.counts.lame.Add(1)
		a.tally.lame++
		a.tally.reason = v.Reason
		if a.otherwise == nil {
			a.otherwise = v.Otherwise
		}
		return nil, nil
	}
	if a.judge == nil {
		a.t.note.Judge(&v.Verdict, nil)
		return v, nil
	}
	err := a.judge(ctx, v)
	a.t.note.Judge(&v.Verdict, err)
	var proof *dnssec.ProofError
	if err == nil || !errors.As(err, &proof) {
		return v, err
	}
	a.bogus = append(a.bogus, unproven(proof))
	if len(a.bogus) == maxBogus {
		a.t.note.Limit("servers whose replies prove nothing: %d", maxBogus)
	}
	if proof.Spent || len(a.bogus) >= maxBogus {
		return nil, a.bogus[0]
	}
	a.tally.lame++
	return nil, nil
}

// question is q as it is put to each of the servers of cut, all paid for by t.
func (t *task) question(cut *Cut, q dns.Question) dialogue.Question {
	d := dialogue.Question{
		Question: q, From: reply.From{Zone: cut.Zone, Recursive: cut.recursive},
		Secure:    cut.Trust != nil && cut.Trust.Status == dnssec.Secure,
		Unchecked: cut.recursive && t.w.chain.Validates(),
		Lower:     cut.lower, Stream: cut.stream,
		Pay: func() error {
			if struck, ok := t.b.Exchange(t.q.Name); !ok {
				return t.strike(struck, t.q.Name)
			}
			return nil
		},
		Budget: t.b, Note: t.note.Question,
	}
	if q.Qtype == dns.TypeDNSKEY { // tell the zone which of its keys are trusted, RFC 8145
		if tags := anchor.TagOption(q.Name, t.w.chain.Anchors(q.Name)); tags != nil {
			d.Option = tags
		}
	}
	return d
}
