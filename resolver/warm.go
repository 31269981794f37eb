package resolver

import (
	"context"
	"fmt"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/wire"

	"github.com/miekg/dns"
)

const (
	// maxWarm bounds Options.Warm: 2,000 questions, so that looking after them
	// once a second costs a thousandth of one core.
	maxWarm = 2_000

	// warmEvery is how often each of them is looked at: every second, a tenth of
	// the shortest life in whose last tenth an answer is refreshed.
	warmEvery = time.Second

	// warmPause is how long a question rests after it was asked for, whatever came
	// of it: an answer that may not be kept is not worth asking for every second.
	// 5 s, as after a failure.
	warmPause = minFailureTTL
)

// A warmth is a question whose answer is kept in the cache although no client
// may ask for it. Owned by KeepWarm.
type warmth struct {
	key  question
	rest time.Time // it is not asked for before
}

// warmths returns the questions to be kept warm, each once: a list may have a
// name for all its types, and again with one of them. Special names need no
// warmth, since no answer to them comes out of the cache.
func warmths(questions []dns.Question, special *specialNames) ([]warmth, error) {
	if len(questions) > maxWarm {
		return nil, fmt.Errorf("resolver: Warm: %d questions, want at most %d", len(questions), maxWarm)
	}
	all := make([]warmth, 0, len(questions))
	seen := make(map[question]bool)
	for _, q := range questions {
		var space [wire.MaxName + 1]byte
		end, err := dns.PackDomainName(dns.CanonicalName(q.Name), space[:], 0, nil, false)
		if err != nil {
			return nil, fmt.Errorf("resolver: Warm: %q: %v", q.Name, err)
		}
		if q.Qclass != dns.ClassINET || !isData(q.Qtype) {
			return nil, fmt.Errorf("resolver: Warm: %s: no type of records in class IN", q.String())
		}
		key := question{name: string(space[:end]), typ: q.Qtype}
		_, kind := special.find(&wire.Query{Name: space[:end], Type: q.Qtype})
		if kind == walked && !seen[key] {
			all = append(all, warmth{key: key})
		}
		seen[key] = true
	}
	return all, nil
}

// KeepWarm asks for the questions of Options.Warm, and again before their
// answers end, until ctx ends. After a failure it asks again when a client's
// question would be asked for. It is to be called once.
func (r *Resolver) KeepWarm(ctx context.Context) {
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	for {
		for i := range r.warm {
			if ctx.Err() != nil || !r.keepWarm(&r.warm[i], clock.Now()) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// keepWarm has one question asked for if that is due. It is false after Close.
func (r *Resolver) keepWarm(w *warmth, at time.Time) bool {
	a := r.cache.Get([]byte(w.key.name), w.key.typ, wire.ClassIN)
	switch {
	case a != nil && a.State(at) == cache.Fresh && !r.ends(a, at):
	case at.Before(w.rest) || r.isFailing(w.key, at):
	case !r.takePlace():
		return false
	default:
		w.rest = at.Add(warmPause)
		r.renew(w.key)
	}
	return true
}

// isFailing reports whether the question has just failed, and is not to be asked
// for now.
func (r *Resolver) isFailing(key question, at time.Time) bool {
	a := r.failures.Get([]byte(key.name), key.typ, wire.ClassIN)
	return a != nil && a.State(at) == cache.Fresh
}
