package iterate

import (
	"fmt"
	"slices"
	"time"

	"proxima/cache"
	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
	"proxima/wire"

	"github.com/miekg/dns"
)

// compose makes the answer to q of what a task found out, learned at time at.
// Owner names are written in lower case, so that those equal to q's name
// become pointers to the question.
func (w *Walker) compose(q dns.Question, r *finding, at time.Time) (*cache.Answer, error) {
	m := dns.Msg{Compress: true, Question: []dns.Question{q}}
	m.Response, m.RecursionAvailable, m.Rcode = true, true, r.rcode
	longest := uint32(w.maxTTL / time.Second)
	floor := uint32(w.minTTL / time.Second)
	meta := cache.Meta{At: at, Stale: w.stale, EDE: r.why}
	if r.status == dnssec.Secure {
		meta.Security = cache.Secure
		floor = 0 // what is signed lives no longer than its signature says
	}
	lasting, ok := denialTTL(r)
	if !ok && r.denies(q.Qtype) {
		longest = uint32(bareDenialTTL / time.Second)
		meta.TTL, meta.Stale = bareDenialTTL, 0
	}
	m.Answer = dress(r.answer, floor, longest)
	m.Ns = dress(r.authority, floor, min(longest, lasting))
	packet, err := m.Pack()
	if err != nil {
		return nil, &Error{Name: q.Name, Code: wire.EDEInvalidData, Reason: fmt.Sprintf("answer cannot be written: %v", err)}
	}
	a, err := cache.NewAnswer(packet, meta)
	if err != nil {
		return nil, &Error{Name: q.Name, Code: wire.EDEInvalidData, Reason: fmt.Sprintf("answer cannot be kept: %v", err)}
	}
	return a, nil
}

// dress copies records for a client: owner in lower case, TTL between floor and
// longest seconds.
func dress(rrs []dns.RR, floor, longest uint32) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		h := out[i].Header()
		h.Name = dns.CanonicalName(h.Name)
		h.Ttl = min(max(reply.TTL(rr), floor), longest)
	}
	return out
}

// denialTTL returns, in seconds, how long a denial lasts: the SOA's own TTL or
// its MINIMUM, whichever is less (RFC 2308 section 5), but never more than an
// hour. ok is false if there is no SOA, which says so.
func denialTTL(r *finding) (ttl uint32, ok bool) {
	for _, rr := range r.authority {
		if soa, isSOA := rr.(*dns.SOA); isSOA {
			return min(reply.TTL(soa), soa.Minttl, uint32(maxNegativeTTL/time.Second)), true
		}
	}
	return reply.MaxTTL, false
}

// denies reports whether r denies records of typ, maybe at the end of aliases.
func (r *finding) denies(typ uint16) bool {
	data := func(rr dns.RR) bool { return rr.Header().Rrtype == typ }
	return r.rcode == dns.RcodeNameError || r.rcode == dns.RcodeSuccess && !slices.ContainsFunc(r.answer, data)
}

// remember stores the answer to a question that came up on the way.
func (w *Walker) remember(q dns.Question, r *finding, at time.Time) {
	if a, err := w.compose(q, r, at); err == nil {
		w.cache.Put(a)
	}
}

// recall returns what the cache holds about q and is still alive, or nil. TTLs
// are cut to what is left of the answer's life.
func (w *Walker) recall(q dns.Question, at time.Time) *finding {
	var space [wire.MaxName + 1]byte
	end, err := dns.PackDomainName(q.Name, space[:], 0, nil, false)
	if err != nil || q.Qtype == dns.TypeCAA || q.Qtype == dns.TypeURI { // miekg/dns would change their texts
		return nil
	}
	a := w.cache.Get(space[:end], q.Qtype, q.Qclass)
	if a == nil || a.State(at) != cache.Fresh {
		return nil
	}
	var m dns.Msg
	if m.Unpack(a.Packet()) != nil || (m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError) {
		return nil
	}
	left := uint32(max(a.Expires().Sub(at)/time.Second, 0))
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		rr.Header().Ttl = min(rr.Header().Ttl, left)
	}
	r := &finding{rcode: m.Rcode, answer: m.Answer, authority: m.Ns, why: a.EDE()}
	if a.Security() == cache.Secure {
		r.status = dnssec.Secure
	}
	return r
}
