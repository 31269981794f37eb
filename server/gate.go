package server

import (
	"context"
	"net/netip"
	"slices"
	"sort"
	"time"

	"go.uber.org/zap"

	"proxima/server/ratelimit"
	"proxima/wire"
)

// What clients are told when it is the server that decides.
var (
	edeProhibited = &wire.EDE{Code: wire.EDEProhibited, Text: "not allowed to ask here"}
	edeInternal   = &wire.EDE{Code: wire.EDEOther, Text: "internal error"}

	// edeDenied are for those who get no place.
	edeDenied = [...]*wire.EDE{
		crowded:  {Code: wire.EDEOther, Text: "too many queries of this client in flight"},
		repeated: {Code: wire.EDEOther, Text: "too many queries of this client for this question in flight"},
		full:     {Code: wire.EDEOther, Text: "too many queries in flight"},
	}
)

// answerNow appends the reply to p if it can be had without waiting: a fault, a
// refusal, or what the Handler knows. Otherwise done is false and dst is as it
// was.
func (s *Server) answerNow(dst []byte, p *packet, t *tally, at time.Time) (reply []byte, done bool) {
	q := &p.query
	fault := wire.ParseQuery(q, p.message())
	if fault == wire.OK && p.cut {
		fault = wire.FormErr
	}
	if p.portZero {
		fault = wire.Drop
	}
	if fault != wire.Drop && !s.allow.contains(p.from) { // whatever he sent
		t.refused.Add(1)
		return wire.AppendError(dst, q, wire.RcodeRefused, edeProhibited), true
	}
	if fault != wire.OK {
		t.noteFault(fault)
		return wire.AppendFault(dst, q, fault), true
	}
	reply, done = s.tryNow(dst, q, at)
	if done && len(reply) == len(dst) {
		t.silent.Add(1)
	}
	return reply, done
}

// noteFault counts a faulty packet.
func (t *tally) noteFault(f wire.Fault) {
	switch f {
	case wire.Drop:
		t.garbage.Add(1)
	case wire.FormErr:
		t.formErr.Add(1)
	case wire.NotImp:
		t.notImp.Add(1)
	case wire.BadVers:
		t.badVers.Add(1)
	}
}

// tryNow asks the Handler for what it knows.
//
// A panic of the Handler, here and in answer, costs the query that caused it
// and nothing else. If it ended the process, the network would carry the
// client's next try to the next node, and one question would end them all.
func (s *Server) tryNow(dst []byte, q *wire.Query, at time.Time) (reply []byte, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			s.notePanic(v)
			reply, ok = wire.AppendError(dst, q, wire.RcodeServFail, edeInternal), true
		}
	}()
	return s.handler.AnswerNow(dst, q, at)
}

// answer asks the Handler and waits, for as long as ctx lasts. The caller holds
// a place.
func (s *Server) answer(ctx context.Context, dst []byte, q *wire.Query, t *tally, at time.Time) (reply []byte) {
	defer func() {
		if v := recover(); v != nil {
			s.notePanic(v)
			reply = wire.AppendError(dst, q, wire.RcodeServFail, edeInternal)
		}
	}()
	reply = s.handler.Answer(ctx, dst, q, at)
	if len(reply) == len(dst) {
		t.silent.Add(1)
	}
	return reply
}

// notePanic counts a panic of the Handler. Only the first is logged, with its
// stack: a client can repeat its question as often as it likes.
func (s *Server) notePanic(v any) {
	if s.panics.Add(1) == 1 {
		s.o.Log.Error("handler panicked; further panics are only counted", zap.Any("panic", v), zap.Stack("stack"))
	}
}

// A place is what a query gets that has to wait, or why it gets none.
type place = ratelimit.Verdict

const (
	granted  = ratelimit.Granted
	crowded  = ratelimit.Crowded
	repeated = ratelimit.Repeated
	full     = repeated + 1 // all clients together have as many as there may be
)

// takePlace takes a place for p, on a stream or not. The node's checks of itself
// count among all, but not as a client.
func (s *Server) takePlace(p *packet, stream bool, t *tally) place {
	got := granted
	if !s.isOwn(p.from) {
		got = s.places.Take(p.waiting(stream))
	}
	if got == granted && s.inflight.Add(1) > int64(s.o.MaxInflight) {
		s.givePlace(p, stream)
		got = full
	}
	if got != granted {
		t.denied[got].Add(1)
	}
	return got
}

// givePlace gives back what takePlace has taken.
func (s *Server) givePlace(p *packet, stream bool) {
	s.inflight.Add(-1)
	if !s.isOwn(p.from) {
		s.places.Give(p.waiting(stream))
	}
}

// waiting is p's query as one that may have to wait.
func (p *packet) waiting(stream bool) ratelimit.Query {
	return ratelimit.Query{From: p.from, Stream: stream, Name: p.query.Name, Type: p.query.Type}
}

// finish adds to the reply dst[start:] what every transport adds, and makes it
// fit limit octets: without the reason if that is enough, else without records.
func (s *Server) finish(dst []byte, start int, q *wire.Query, t *tally, limit int) []byte {
	if len(dst) == start {
		return dst
	}
	if q.NSID && len(s.nsid) > 0 {
		dst = wire.AddOption(dst, start, wire.OptionNSID, s.nsid)
	}
	if len(dst)-start > limit {
		dst = wire.DropEDE(dst, start, limit)
	}
	if len(dst)-start > limit {
		t.truncated.Add(1)
		dst = wire.Truncate(dst, start, q, limit)
	}
	return dst
}

// An allowlist is a set of prefixes, none inside another, in order. Empty, it
// holds every address.
type allowlist []netip.Prefix

// newAllowlist returns the set of all addresses in prefixes.
func newAllowlist(prefixes []netip.Prefix) allowlist {
	sorted := slices.Clone(prefixes)
	for i, p := range sorted {
		sorted[i] = p.Masked()
	}
	slices.SortFunc(sorted, netip.Prefix.Compare) // the wider of two first
	var list allowlist
	for _, p := range sorted {
		if n := len(list); n == 0 || !list[n-1].Overlaps(p) {
			list = append(list, p)
		}
	}
	return list
}

// contains reports whether a may ask.
func (l allowlist) contains(a netip.Addr) bool {
	if len(l) == 0 {
		return true
	}
	after := sort.Search(len(l), func(i int) bool { return a.Less(l[i].Addr()) })
	return after > 0 && l[after-1].Contains(a)
}
