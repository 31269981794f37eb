package iterate

import (
	"context"
	"errors"
	"slices"
	"time"

	"proxima/clock"
	"proxima/resolver/anchor"
	"proxima/resolver/dnssec"
	"proxima/resolver/found"
	"proxima/resolver/limit"
	"proxima/resolver/minimize"
	"proxima/resolver/phrase"
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

	// afar says that the root's servers are asked although a copy of it is here.
	afar bool

	// unchecked says that nothing is to be proven, and so nothing to be kept.
	unchecked bool

	// refresh says that an answer is wanted which outlives the one there is.
	refresh bool

	note phrase.Note // what is done for q is told here; nil for nobody
}

// resolve answers q: it finds the records and follows the aliases. path are
// the names that led here.
func (t *task) resolve(ctx context.Context, q dns.Question, path []string) (*found.Records, error) {
	v, err := t.find(ctx, q)
	if err != nil {
		return nil, err
	}
	if !t.b.Alias(v.Steps) {
		return nil, t.partial(limit.Aliases, q, v.Answer)
	}
	t.w.counts.aliases.Add(uint64(v.Steps))
	r := &found.Records{Rcode: v.Rcode, Answer: v.Answer, Authority: v.Authority, Status: v.proven.Status,
		Why: v.proven.Why, Until: v.proven.Until}
	if v.Kind != reply.Alias {
		return r, nil
	}
	path = append(path, q.Name)
	if slices.Contains(path, v.Target) || slices.Contains(aliases(v.Answer), v.Target) {
		return nil, t.partial(limit.AliasLoop, q, v.Answer)
	}
	next := dns.Question{Name: v.Target, Qtype: q.Qtype, Qclass: q.Qclass}
	at := *t
	at.note = t.note.Raise(next, "what "+q.Name+" is an alias of")
	rest, err := at.follow(ctx, next, path)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Chain = append(slices.Clip(v.Answer), e.Chain...)
		}
		return nil, err
	}
	r.Append(rest)
	return r, nil
}

// follow answers the question for an alias's target, from the cache or anew.
// A new answer is stored.
func (t *task) follow(ctx context.Context, q dns.Question, path []string) (r *found.Records, err error) {
	defer func() { t.noteEnd(q, r, err) }()
	if r := t.w.store.Get(q, clock.Now(), t.refresh); r != nil {
		t.note.Recall(q, "answer in the cache", 0)
		if !t.b.Alias(len(aliases(r.Answer))) {
			return nil, t.partial(limit.Aliases, q, r.Answer)
		}
		return r, nil
	}
	if err := t.recallFailure(q); err != nil {
		return nil, err
	}
	r, err = t.resolve(ctx, q, path)
	if err != nil {
		t.noteFailure(q, err)
		return nil, err
	}
	if _, ok := anchor.ReadSentinel(q.Name); !ok && !t.unchecked { // a sentinel is judged where a client asks for it
		t.w.store.Put(q, r, clock.Now())
	}
	return r, nil
}

// partial is the error that ends a chain, of which it keeps what was followed.
func (t *task) partial(l limit.Limit, q dns.Question, chain []dns.RR) *Error {
	e := t.strike(l, q.Name)
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
			t.note.Recall(q, "special name, answered here", 0)
			return &verdict{Verdict: reply.Verdict{Kind: reply.Answer, Rcode: m.Rcode, Answer: m.Answer, Authority: m.Ns}}, nil
		}
	}
	if z, ok := t.w.forwarder(q); ok {
		v, said, err := t.forward(ctx, z, q)
		if err == nil || !z.first || said || ctx.Err() != nil {
			return v, err
		}
	}
	return t.walk(ctx, q)
}

// forward asks the resolvers to which a zone is forwarded. said is false if they
// were of no use. If nobody knows whether the zone is signed, those of a zone that
// is first are asked all the same: only if they fail, too, it is walked to.
func (t *task) forward(ctx context.Context, z *forward, q dns.Question) (v *verdict, said bool, err error) {
	cut, unknown := t.configured(ctx, z.cut)
	judge := func(context.Context, *verdict) error { said = true; return unknown }
	switch {
	case unknown == nil:
		judge = t.judgeOf(cut, q, true)
	case !z.first:
		return nil, false, unknown // what they say could not be given to anybody
	default:
		cut = z.cut
	}
	if z.first {
		within, cancel := context.WithTimeout(ctx, firstTimeout)
		defer cancel()
		ctx = within
	}
	t.noteCut(cut, "forwarded by configuration")
	v, err = t.ask(ctx, cut, q, limit.MaxFaults, judge)
	if z.first && ctx.Err() != nil {
		t.note.Limit("time for the servers of a zone with first: %v", firstTimeout)
	}
	return v, said, err
}

// walk follows referrals from the deepest known cut to the servers that answer
// q.
func (t *task) walk(ctx context.Context, q dns.Question) (*verdict, error) {
	cut, err := t.start(ctx, q)
	if err != nil {
		return nil, err
	}
	m := minimize.Name{Q: q, Full: t.w.minimize == Off || t.depth > 0 || cut.full}
	at := cut.Zone // known to exist
	if v, ok := t.known(cut, q); ok {
		return v, nil
	}
	for referrals := 0; ; {
		short := m.Question(at)
		v, err := t.ask(ctx, cut, short, t.patience(short, q), t.judgeOf(cut, short, short == q))
		switch {
		case err != nil && short != q && t.w.minimize == Relaxed && ctx.Err() == nil && !final(err):
			m.Full = true
		case err != nil:
			return nil, err
		case v.Kind == reply.Referral:
			if referrals++; referrals > maxReferrals {
				return nil, t.strike(limit.Referrals, q.Name)
			}
			cut = t.learn(cut, v, clock.Now())
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
			m.Full = true
		case v.Rcode != dns.RcodeSuccess || v.Steps > 0:
			m.Full = true
		default:
			at = short.Name
			m.Full = v.stream && t.w.minimize == Relaxed // each further step would take a stream, too
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
	case wrong && proof.Spent: // nothing more can be proven for this client
		t.note.Struck(proof.Reason)
		return false, unproven(proof)
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
	return limit.MaxFaults
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
	cut, ok := t.w.deepest(q, clock.Now())
	if !ok {
		cut = t.w.root(ctx, t.note)
	}
	if ctx.Err() != nil {
		return nil, late(q.Name)
	}
	cut, err := t.configured(ctx, cut)
	if err == nil {
		t.noteCut(cut, origin(cut, ok))
	}
	return cut, err
}

// learn makes the cut of a referral known, unless nobody has checked it.
func (t *task) learn(parent *Cut, v *verdict, at time.Time) *Cut {
	t.w.counts.referrals.Add(1)
	if n := len(v.Servers); n > maxServers {
		t.note.Limit("servers of one zone: %d of the %d of %s are used", maxServers, n, v.Zone)
	}
	cut := t.w.descend(parent, v, at)
	if cut.Expires.After(at) && !t.unchecked {
		t.w.cuts.Add(cut.Zone, cut)
	}
	t.noteCut(cut, "referral")
	return cut
}

// late is the error when time ran out while name was being resolved.
func late(name string) *Error {
	return &Error{Name: name, Code: wire.EDENoReachableAuthority, Reason: "no answer in time", Silent: true, spent: true}
}
