package cache

import (
	"encoding/binary"
	"time"

	"proxima/wire"
)

// staleTTL is the TTL, in seconds, of the records of a Stale answer. Not
// configurable: RFC 8767 section 4 recommends 30.
const staleTTL = 30

// AppendReply appends the reply to q as of at, with OPT last if q had one, and
// returns the extended slice. It keeps neither dst nor q. q must ask what the
// answer answers, in any letter case: owners that are compressed to the
// question show the client's. TTLs, in seconds, are reduced by the answer's
// age and never below 0; a Stale answer gets staleTTL instead.
func (a *Answer) AppendReply(dst []byte, q *wire.Query, at time.Time) []byte {
	start, body := len(dst), a.body()
	age := a.at.since(instantOf(at))
	stale := a.worth(age) == Stale
	msg, rest := a.octets()[:a.full], a.octets()[a.full:]
	rcode := uint16(msg[3] & 15)

	dst = wire.AppendHead(dst, q, rcode)
	seconds := max(0, int64(age/time.Second))
	plain, rest := rest[:a.plainOctets()], rest[a.plainOctets():]
	ttls, tailTTLs := rest[:2*a.ttls], rest[2*a.ttls:][:2*a.tailTTLs]
	if q.DO || len(plain) == 0 {
		copy(dst[start+6:], msg[6:wire.HeaderLen])
		dst = append(dst, msg[body:]...)
		rebase(dst[start:], ttls, seconds, stale)
	} else {
		copy(dst[start+6:], plain[:countsOctets])
		dst = append(dst, msg[body:a.shared]...)
		dst = append(dst, plain[countsOctets:]...)
		rebase(dst[start:], ttls[:2*a.sharedTTLs], seconds, stale)
		rebase(dst[start:], tailTTLs, seconds, stale)
	}
	if a.security == Secure && (q.AD || q.DO) && !stale {
		dst[start+3] |= wire.MaskAD
	}
	if why, ok := a.ede(); ok {
		return wire.AppendOPT(dst, start, q, rcode, &why)
	}
	return wire.AppendOPT(dst, start, q, rcode, staleReason(stale, rcode))
}

// rebase reduces the TTLs of a reply, which are at these offsets, by an age in
// seconds, or makes them those of a stale answer.
func rebase(reply, offsets []byte, age int64, stale bool) {
	for ; len(offsets) >= 2; offsets = offsets[2:] {
		field := reply[binary.BigEndian.Uint16(offsets):]
		ttl := uint32(staleTTL)
		if !stale {
			ttl = uint32(max(0, int64(binary.BigEndian.Uint32(field))-age))
		}
		binary.BigEndian.PutUint32(field, ttl)
	}
}

// What is said of a stale answer that has nothing else to say.
var (
	staleAnswer   = &wire.EDE{Code: wire.EDEStaleAnswer}
	staleNXDomain = &wire.EDE{Code: wire.EDEStaleNXDomain}
)

// staleReason is the extended error that goes with a reply of no other.
func staleReason(stale bool, rcode uint16) *wire.EDE {
	switch {
	case !stale:
		return nil
	case rcode == wire.RcodeNXDomain:
		return staleNXDomain
	}
	return staleAnswer
}
