// Package found keeps what walks found out: it stands between the records of
// DNS messages and the cache's answers.
//
// A walk gathers Records, those of an alias's end behind those of the alias. The
// Store composes of them the answer that clients get, for as long as TTLs, the
// operator's bounds and what is proven allow, and gives Records back when the
// same question comes up on another walk.
package found

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

// Limits of life.
const (
	// maxNegativeTTL caps how long a denial is believed: below the 3 h of RFC 2308 section 5.
	maxNegativeTTL = time.Hour

	// bareDenialTTL is the life of a denial without SOA, which says nothing of
	// how long it holds. RFC 2308 section 5 would not have it kept at all; 5 s
	// spare the server its repetition.
	bareDenialTTL = 5 * time.Second
)

// A Store composes answers and keeps them. Its fields do not change.
type Store struct {
	Cache          *cache.Cache
	MinTTL, MaxTTL time.Duration // bounds of every TTL
	Stale          time.Duration // how long answers may be served after their life
}

// Compose makes the answer to q of what was found, learned at time at.
// Owner names are written in lower case, so that those equal to q's name
// become pointers to the question.
func (s *Store) Compose(q dns.Question, r *Records, at time.Time) (*cache.Answer, error) {
	m := dns.Msg{Compress: true, Question: []dns.Question{q}}
	m.Response, m.RecursionAvailable, m.Rcode = true, true, r.Rcode
	longest := uint32(s.MaxTTL / time.Second)
	floor := uint32(s.MinTTL / time.Second)
	meta := cache.Meta{At: at, Stale: s.Stale, EDE: r.Why}
	if r.Status == dnssec.Secure {
		meta.Security = cache.Secure
		floor = 0 // what is signed lives no longer than its signature says
	}
	if !r.Until.IsZero() {
		longest = min(longest, uint32(max(r.Until.Sub(at)/time.Second, 0)))
		floor, meta.Stale = 0, 0
	}
	lasting, ok := denialTTL(r)
	if !ok && r.denies(q.Qtype) {
		longest = uint32(bareDenialTTL / time.Second)
		meta.TTL, meta.Stale = bareDenialTTL, 0
	}
	m.Answer = dress(r.Answer, floor, longest)
	m.Ns = dress(r.Authority, floor, min(longest, lasting))
	packet, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("answer cannot be written: %w", err)
	}
	a, err := cache.NewAnswer(packet, meta)
	if err != nil {
		return nil, fmt.Errorf("answer cannot be kept: %w", err)
	}
	return a, nil
}

// dress copies records for a client, each once: owner in lower case, TTL between floor and
// longest seconds.
func dress(rrs []dns.RR, floor, longest uint32) []dns.RR {
	out := make([]dns.RR, 0, len(rrs))
	for i, rr := range rrs {
		if isRepeated(rrs[:i], rr) {
			continue
		}
		rr = dns.Copy(rr)
		h := rr.Header()
		h.Name = dns.CanonicalName(h.Name)
		h.Ttl = min(max(reply.TTL(rr), floor), longest)
		out = append(out, rr)
	}
	return out
}

// isRepeated reports whether rr stands before itself in a chain: a DNAME that is
// passed more than once, or its signature. RFC 2181 section 5 wants it once.
func isRepeated(before []dns.RR, rr dns.RR) bool {
	sig, ok := rr.(*dns.RRSIG)
	if rr.Header().Rrtype != dns.TypeDNAME && (!ok || sig.TypeCovered != dns.TypeDNAME) {
		return false
	}
	return slices.ContainsFunc(before, func(o dns.RR) bool { return dns.IsDuplicate(o, rr) })
}

// denialTTL returns, in seconds, how long a denial lasts: the SOA's own TTL or
// its MINIMUM, whichever is less (RFC 2308 section 5), but never more than an
// hour. ok is false if there is no SOA, which says so.
func denialTTL(r *Records) (ttl uint32, ok bool) {
	for _, rr := range r.Authority {
		if soa, isSOA := rr.(*dns.SOA); isSOA {
			return min(reply.TTL(soa), soa.Minttl, uint32(maxNegativeTTL/time.Second)), true
		}
	}
	return reply.MaxTTL, false
}

// denies reports whether r denies records of typ, maybe at the end of aliases.
func (r *Records) denies(typ uint16) bool {
	data := func(rr dns.RR) bool { return rr.Header().Rrtype == typ }
	return r.Rcode == dns.RcodeNameError || r.Rcode == dns.RcodeSuccess && !slices.ContainsFunc(r.Answer, data)
}

// Put stores what was found as the answer to q.
func (s *Store) Put(q dns.Question, r *Records, at time.Time) {
	if a, err := s.Compose(q, r, at); err == nil {
		s.Cache.Put(a)
	}
}

// Get returns what the cache holds about q and is still alive, or nil. TTLs
// are cut to what is left of the answer's life. For who wants something that
// lasts, what is ending is not alive. What must not be served stale ends for good
// with its life, also as a part of something else: an Exception may have let it
// in.
func (s *Store) Get(q dns.Question, at time.Time, lasting bool) *Records {
	var space [wire.MaxName + 1]byte
	end, err := dns.PackDomainName(q.Name, space[:], 0, nil, false)
	if err != nil || q.Qtype == dns.TypeCAA || q.Qtype == dns.TypeURI { // miekg/dns would change their texts
		return nil
	}
	a := s.Cache.Get(space[:end], q.Qtype, q.Qclass)
	if a == nil || a.State(at) != cache.Fresh || lasting && a.Ending(at) {
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
	r := &Records{Rcode: m.Rcode, Answer: m.Answer, Authority: m.Ns, Why: a.EDE()}
	if a.Security() == cache.Secure {
		r.Status = dnssec.Secure
	}
	if end := a.Expires(); a.State(end) == cache.Dead {
		r.Until = end
	}
	return r
}
