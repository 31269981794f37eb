package iterate

import (
	"context"
	"errors"
	"slices"
	"time"

	"proxima/wire"

	"github.com/miekg/dns"
)

// A task is one question of the tree that a client query grows: the client's
// own, or one for the address of a name server.
type task struct {
	w     *Walker
	b     *Budget
	q     dns.Question
	depth int
	up    *task // who needs this one; nil for the client's

	// seeking is the zone whose servers' addresses this task is looking up, ""
	// if none. Set by the task before it starts tasks below, read by those.
	seeking string
}

// A reply is what a task found out.
type reply struct {
	rcode     int
	answer    []dns.RR
	authority []dns.RR
}

// resolve answers q: it finds the records and follows the aliases. path are
// the names that led here.
func (t *task) resolve(ctx context.Context, q dns.Question, path []string) (*reply, error) {
	v, err := t.find(ctx, q)
	if err != nil {
		return nil, err
	}
	if !t.b.alias(v.steps) {
		return nil, t.w.partial(limitAliases, q, v.answer)
	}
	t.w.counts.aliases.Add(uint64(v.steps))
	r := &reply{rcode: v.rcode, answer: v.answer, authority: v.authority}
	if v.kind != alias {
		return r, nil
	}
	path = append(path, q.Name)
	if slices.Contains(path, v.target) || slices.Contains(aliases(v.answer), v.target) {
		return nil, t.w.partial(limitAliasLoop, q, v.answer)
	}
	rest, err := t.follow(ctx, dns.Question{Name: v.target, Qtype: q.Qtype, Qclass: q.Qclass}, path)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Chain = append(slices.Clip(v.answer), e.Chain...)
		}
		return nil, err
	}
	r.rcode = rest.rcode
	r.answer = append(slices.Clip(r.answer), rest.answer...)
	r.authority = append(slices.Clip(r.authority), rest.authority...)
	return r, nil
}

// follow answers the question for an alias's target, from the cache or anew.
// A new answer is stored.
func (t *task) follow(ctx context.Context, q dns.Question, path []string) (*reply, error) {
	if r := t.w.recall(q, time.Now()); r != nil {
		if !t.b.alias(len(aliases(r.answer))) {
			return nil, t.w.partial(limitAliases, q, r.answer)
		}
		return r, nil
	}
	r, err := t.resolve(ctx, q, path)
	if err != nil {
		return nil, err
	}
	t.w.remember(q, r, time.Now())
	return r, nil
}

// partial is the error that ends a chain, of which it keeps what was followed.
func (w *Walker) partial(l limit, q dns.Question, chain []dns.RR) *Error {
	e := w.strike(l, q.Name)
	e.Chain = chain
	return e
}

// aliases returns the names in a chain that stand for others.
func aliases(chain []dns.RR) (names []string) {
	for _, rr := range chain {
		if rr.Header().Rrtype == dns.TypeCNAME {
			names = append(names, dns.CanonicalName(rr.Header().Name))
		}
	}
	return names
}

// find returns the answer, denial or alias for q from the servers whose
// business it is.
func (t *task) find(ctx context.Context, q dns.Question) (*verdict, error) {
	if t.w.Local != nil {
		if m := t.w.Local(q); m != nil {
			return &verdict{kind: answer, rcode: m.Rcode, answer: m.Answer, authority: m.Ns}, nil
		}
	}
	if z, ok := t.w.forwarder(q); ok {
		if !z.first {
			return t.ask(ctx, z.cut, q, maxFaults)
		}
		within, cancel := context.WithTimeout(ctx, firstTimeout)
		v, err := t.ask(within, z.cut, q, maxFaults)
		cancel()
		if err == nil || ctx.Err() != nil {
			return v, err
		}
	}
	return t.walk(ctx, q)
}

// walk follows referrals from the deepest known cut to the servers that answer
// q.
func (t *task) walk(ctx context.Context, q dns.Question) (*verdict, error) {
	cut, err := t.start(ctx, q)
	if err != nil {
		return nil, err
	}
	m := minimizer{q: q, full: t.w.minimize == Off}
	at := cut.Zone // known to exist
	for referrals := 0; ; {
		short := m.question(at)
		v, err := t.ask(ctx, cut, short, t.patience(short, q))
		switch {
		case err != nil && short != q && t.w.minimize == Relaxed && ctx.Err() == nil && !spent(err):
			m.full = true
		case err != nil:
			return nil, err
		case v.kind == referral:
			if referrals++; referrals > maxReferrals {
				return nil, t.w.strike(limitReferrals, q.Name)
			}
			cut = t.w.learn(cut, v, time.Now())
			at = cut.Zone
		case short == q:
			return v, nil
		case v.rcode == dns.RcodeNameError && (t.w.minimize == Strict || cut.Zone == "."):
			// Nothing exists below a name that does not, RFC 8020. Of servers only
			// the root's are known to keep to that.
			return v, nil
		case v.rcode != dns.RcodeSuccess || v.steps > 0:
			m.full = true
		default:
			at = short.Name
		}
	}
}

// patience is how many faults short may cost, a question on the way to q.
func (t *task) patience(short, q dns.Question) int {
	if short != q && t.w.minimize == Relaxed {
		return maxMinimizedFaults
	}
	return maxFaults
}

// spent reports whether err says that the Budget is gone, so that asking in
// another way is no use.
func spent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.spent
}

// start returns the cut at which to begin with q.
func (t *task) start(ctx context.Context, q dns.Question) (*Cut, error) {
	if cut, ok := t.w.deepest(q, time.Now()); ok {
		return cut, nil
	}
	cut := t.w.root(ctx)
	if ctx.Err() != nil {
		return nil, late(q.Name)
	}
	return cut, nil
}

// learn makes the cut of a referral known.
func (w *Walker) learn(parent *Cut, v *verdict, at time.Time) *Cut {
	w.counts.referrals.Add(1)
	cut := w.descend(parent, v, at)
	if cut.Expires.After(at) {
		w.cuts.Add(cut.Zone, cut)
	}
	return cut
}

// late is the error when time ran out while name was being resolved.
func late(name string) *Error {
	return &Error{Name: name, Code: wire.EDENoReachableAuthority, Reason: "no answer in time", spent: true}
}
