package iterate

import (
	"context"
	"errors"
	"slices"
	"time"

	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
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

	// unchecked says that nothing is to be proven, and so nothing to be kept.
	unchecked bool
}

// A finding is what a task found out.
type finding struct {
	rcode     int
	answer    []dns.RR
	authority []dns.RR
	status    dnssec.Status // the least of all parts
	why       *wire.EDE     // why it is not more, if clients are told
}

// resolve answers q: it finds the records and follows the aliases. path are
// the names that led here.
func (t *task) resolve(ctx context.Context, q dns.Question, path []string) (*finding, error) {
	v, err := t.find(ctx, q)
	if err != nil {
		return nil, err
	}
	if !t.b.alias(v.Steps) {
		return nil, t.w.partial(limitAliases, q, v.Answer)
	}
	t.w.counts.aliases.Add(uint64(v.Steps))
	r := &finding{rcode: v.Rcode, answer: v.Answer, authority: v.Authority, status: v.proven.Status, why: v.proven.Why}
	if v.Kind != reply.Alias {
		return r, nil
	}
	path = append(path, q.Name)
	if slices.Contains(path, v.Target) || slices.Contains(aliases(v.Answer), v.Target) {
		return nil, t.w.partial(limitAliasLoop, q, v.Answer)
	}
	rest, err := t.follow(ctx, dns.Question{Name: v.Target, Qtype: q.Qtype, Qclass: q.Qclass}, path)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Chain = append(slices.Clip(v.Answer), e.Chain...)
		}
		return nil, err
	}
	r.append(rest)
	return r, nil
}

// append adds what was found at the end of an alias. What is proven of a chain
// is what is proven of all of it.
func (r *finding) append(rest *finding) {
	r.rcode = rest.rcode
	r.answer = append(slices.Clip(r.answer), rest.answer...)
	r.authority = append(slices.Clip(r.authority), rest.authority...)
	if rest.status != dnssec.Secure {
		r.status = dnssec.Insecure
	}
	if r.why == nil {
		r.why = rest.why
	}
}

// follow answers the question for an alias's target, from the cache or anew.
// A new answer is stored.
func (t *task) follow(ctx context.Context, q dns.Question, path []string) (*finding, error) {
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
	if !t.unchecked {
		t.w.remember(q, r, time.Now())
	}
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
			return &verdict{Verdict: reply.Verdict{Kind: reply.Answer, Rcode: m.Rcode, Answer: m.Answer, Authority: m.Ns}}, nil
		}
	}
	if z, ok := t.w.forwarder(q); ok {
		if !z.first {
			return t.forward(ctx, z.cut, q)
		}
		within, cancel := context.WithTimeout(ctx, firstTimeout)
		v, err := t.forward(within, z.cut, q)
		cancel()
		if err == nil || ctx.Err() != nil {
			return v, err
		}
	}
	return t.walk(ctx, q)
}

// forward asks the resolvers to which a zone is forwarded.
func (t *task) forward(ctx context.Context, cut *Cut, q dns.Question) (*verdict, error) {
	cut, err := t.configured(ctx, cut)
	if err != nil {
		return nil, err
	}
	return t.ask(ctx, cut, q, maxFaults, t.judgeOf(cut, q, true))
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
	if v, ok := t.known(cut, q); ok {
		return v, nil
	}
	for referrals := 0; ; {
		short := m.question(at)
		v, err := t.ask(ctx, cut, short, t.patience(short, q), t.judgeOf(cut, short, short == q))
		switch {
		case err != nil && short != q && t.w.minimize == Relaxed && ctx.Err() == nil && !final(err):
			m.full = true
		case err != nil:
			return nil, err
		case v.Kind == reply.Referral:
			if referrals++; referrals > maxReferrals {
				return nil, t.w.strike(limitReferrals, q.Name)
			}
			cut = t.learn(cut, v, time.Now())
			at = cut.Zone
			if v, ok := t.known(cut, q); ok {
				return v, nil
			}
		case short == q:
			return v, nil
		case v.Rcode == dns.RcodeNameError:
			done, err := t.nothingBelow(ctx, cut, short, v)
			if done || err != nil {
				return v, err
			}
			m.full = true
		case v.Rcode != dns.RcodeSuccess || v.Steps > 0:
			m.full = true
		default:
			at = short.Name
		}
	}
}

// nothingBelow reports whether the denial of a shortened name denies all below
// it, RFC 8020: if that is proven, or wanted to be believed, or said by the
// root's servers, which of all servers are known to keep to it.
func (t *task) nothingBelow(ctx context.Context, cut *Cut, short dns.Question, v *verdict) (bool, error) {
	var proof *dnssec.ProofError
	var err error
	if judge := t.judgeOf(cut, short, true); judge != nil {
		err = judge(ctx, v)
	}
	switch wrong := errors.As(err, &proof); {
	case err != nil && !wrong:
		return false, err
	case t.w.minimize == Strict || cut.Zone == ".":
		if wrong {
			return false, unproven(proof)
		}
		return true, nil
	case wrong:
		return false, nil // it may not know empty names: ask the full one
	}
	return v.proven.Status == dnssec.Secure, nil
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

// final reports whether err will not go away by asking for another name.
func final(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.spent || e.Bogus)
}

// start returns the cut at which to begin with q.
func (t *task) start(ctx context.Context, q dns.Question) (*Cut, error) {
	cut, ok := t.w.deepest(q, time.Now())
	if !ok {
		cut = t.w.root(ctx)
	}
	if ctx.Err() != nil {
		return nil, late(q.Name)
	}
	return t.configured(ctx, cut)
}

// learn makes the cut of a referral known, unless nobody has checked it.
func (t *task) learn(parent *Cut, v *verdict, at time.Time) *Cut {
	t.w.counts.referrals.Add(1)
	cut := t.w.descend(parent, v, at)
	if cut.Expires.After(at) && !t.unchecked {
		t.w.cuts.Add(cut.Zone, cut)
	}
	return cut
}

// late is the error when time ran out while name was being resolved.
func late(name string) *Error {
	return &Error{Name: name, Code: wire.EDENoReachableAuthority, Reason: "no answer in time", spent: true}
}
