package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/sim"
)

// stillness is for how long nothing must happen until nothing will: longer than
// any pause between two exchanges of a walk.
const stillness = 2 * roundTrip

// failure is what Deckard's servers say that have nothing to say.
var failure = &entry{msg: &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: dns.RcodeServerFailure}}, copyQuery: true}

// deckardSays returns what a span says of Deckard's to what none of its entries
// matches. Such files know minimised queries of type NS only: an entry that
// refers these elsewhere will do for type A, which Proxima minimises to.
func (s *span) deckardSays(q *dns.Msg, stream bool) *entry {
	if asked(q).Qtype == dns.TypeA {
		q = q.Copy()
		q.Question[0].Qtype = dns.TypeNS
		for _, e := range s.entries {
			if len(e.msg.Answer) == 0 && len(e.msg.Ns) > 0 && e.takes(q, stream) {
				return &entry{msg: e.msg, copyQuery: true}
			}
		}
	}
	return failure
}

// A held exchange is one that no span of a foreign file answers: it waits for a
// step that does.
type held struct {
	exchange
	reply chan *dns.Msg // nil: the server cannot be reached
}

// hold waits for a step, or for the asker's patience to end.
func (v *servers) hold(ctx context.Context, x exchange) (*dns.Msg, error) {
	h := &held{x, make(chan *dns.Msg, 1)}
	v.mu.Lock()
	v.held = append(v.held, h)
	v.mu.Unlock()
	defer v.release(h)
	select {
	case m := <-h.reply:
		if m == nil {
			return nil, fmt.Errorf("scenario: %s: %w", x.to, sim.ErrUnreachable)
		}
		return m, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("scenario: %s: %w", x.to, ctx.Err())
	}
}

// release takes h out of those that are held, and reports whether it was there.
func (v *servers) release(h *held) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.held)
	v.held = slices.DeleteFunc(v.held, func(o *held) bool { return o == h })
	return len(v.held) < n
}

// pick returns the oldest held exchange that the step speaks of, nil if there
// is none.
func (v *servers) pick(st *step) *held {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range v.held {
		if (!st.addr.IsValid() || st.addr == h.to) && (st.entry == nil || st.entry.takes(h.q, h.stream)) {
			return h
		}
	}
	return nil
}

// busy returns how many exchanges go on, and how many of them are held.
func (v *servers) busy() (active, held int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.active, len(v.held)
}

// performForeign plays one step of a foreign file. As Unbound's testbound does,
// it first lets everything happen that needs no step.
func (p *play) performForeign(ctx context.Context, st *step) error {
	p.settle()
	switch st.verb {
	case "QUERY":
		err := p.ask(ctx, st)
		if p.scenario.dialect == deckard { // which waits here, so that this step's servers speak
			p.settle()
		}
		return err
	case "NOTHING", "TRAFFIC":
		return nil
	case "REPLY":
		return p.replyStep(st)
	case "TIMEOUT": // a resolver may have given up by itself
		for h := p.servers.pick(st); h != nil && p.servers.isHeld(h); {
			time.Sleep(time.Millisecond)
		}
		return nil
	case "ERROR":
		if h := p.servers.pick(st); h != nil && p.servers.release(h) {
			h.reply <- nil
		}
		return nil
	case "CHECK_ANSWER":
		return p.checkForeign(st)
	case "CHECK_OUT_QUERY":
		if p.scenario.dialect == deckard { // which ignores it, and so its files do not hold
			return nil
		}
		err := p.perform(ctx, st)
		if h := p.servers.pick(st); err == nil && st.entry.copyID && h != nil && p.servers.release(h) {
			h.reply <- st.entry.answer(h.q)
		}
		return err
	}
	return p.perform(ctx, st)
}

// isHeld reports whether h still waits.
func (v *servers) isHeld(h *held) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Contains(v.held, h)
}

// replyStep answers a held exchange. Deckard's files have such steps also for
// what is never asked.
func (p *play) replyStep(st *step) error {
	h := p.servers.pick(st)
	switch {
	case h != nil && p.servers.release(h):
		h.reply <- st.entry.answer(h.q)
		return nil
	case p.scenario.dialect == deckard:
		return nil
	}
	return errors.New("no query waits for this")
}

// settle lets time pass until nothing happens by itself any more: all clients
// have their answers, or servers wait for a step.
func (p *play) settle() {
	began, since := time.Now(), time.Now()
	for time.Since(since) < stillness && time.Since(began) < patience {
		time.Sleep(time.Millisecond)
		active, held := p.servers.busy()
		if active > held || held == 0 && !p.answered() {
			since = time.Now()
		}
	}
}

// answered takes the answers that have come, and tells whether all have.
func (p *play) answered() bool {
	all := true
	for _, c := range p.waiting {
		if c.got == nil {
			select {
			case a := <-c.answers[0]:
				c.got = &a
			default:
				all = false
			}
		}
	}
	return all
}

// checkForeign compares: Unbound's files mean any answer that waits to be
// looked at, Deckard's the one to the last QUERY.
func (p *play) checkForeign(st *step) error {
	if p.scenario.dialect == deckard && len(p.waiting) > 0 {
		p.waiting = p.waiting[len(p.waiting)-1:]
	}
	for began := time.Now(); !p.answered() && time.Since(began) < patience; {
		time.Sleep(roundTrip)
	}
	err := errors.New("no QUERY waits for an answer")
	for i, c := range p.waiting {
		if c.got == nil {
			err = fmt.Errorf("no answer to line %d within %v", c.line, patience)
		} else if wrong := st.judge(*c.got); wrong != nil {
			err = fmt.Errorf("the answer to line %d: %w", c.line, wrong)
		} else {
			p.waiting = slices.Delete(p.waiting, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("%w\nsent were\n\t%s", err, strings.Join(p.sent(), "\n\t"))
}

// checkMandatory looks for entries that had to be said and were not.
func (p *play) checkMandatory() error {
	p.settle()
	p.servers.mu.Lock()
	defer p.servers.mu.Unlock()
	for _, s := range p.scenario.ranges {
		for _, e := range s.entries {
			if e.mandatory && !p.servers.used[e] {
				return fmt.Errorf("%s:%d: this entry is mandatory, and nobody asked for it", p.scenario.file, e.line)
			}
		}
	}
	return nil
}
