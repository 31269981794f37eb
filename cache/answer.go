package cache

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"proxima/clock"
	"proxima/wire"
)

// A State says what an answer is worth at some moment.
type State uint8

// The states, in the order in which every answer passes through them.
const (
	Fresh State = iota // its time to live lasts
	Stale              // served only if nothing better can be had, RFC 8767
	Dead               // not served
)

// String returns the state's name in lower case.
func (s State) String() string { return [...]string{"fresh", "stale", "dead"}[s] }

// A Security says what is proven of an answer, RFC 4035 section 4.3.
type Security uint8

// What may be proven of an answer.
const (
	Insecure Security = iota // nothing
	Secure                   // all of it
	Bogus                    // that it is wrong: the answer says SERVFAIL, and why
	Unproven                 // nothing, for want of a reply: the answer says SERVFAIL, and why
)

// String returns the word for it, in lower case.
func (s Security) String() string { return [...]string{"insecure", "secure", "bogus", "unproven"}[s] }

// A Meta is what an answer's message does not say of it. Spans count in whole
// seconds, rounded up.
type Meta struct {
	At    time.Time     // when it was learned
	TTL   time.Duration // its life if no record says one: of a failure
	Stale time.Duration // how long it may be served after its life; 0 = never
	EDE   *wire.EDE     // sent with every reply that is made of it; nil = none

	Security Security
}

// An Answer is a complete reply, less its OPT record, together with the places
// of its TTLs and its times. It never changes after NewAnswer, but for one flag
// that no reply shows: whether somebody has claimed it, see Claim.
//
// It is the head of a block of memory, and has no pointers, so that the garbage
// collector looks at none of millions. Behind the head come the parts, see
// octets.
type Answer struct {
	at          instant // when it was learned
	life, stale uint32  // seconds, see span
	claimed     atomic.Bool
	units       uint16 // the memory of the block, in units of unitOctets
	full        uint16 // octets of the message
	shared      uint16 // octets at its beginning that the plain message has, too
	tail        uint16 // octets that the plain message has instead of the others
	ttls        uint16 // TTLs of the message
	sharedTTLs  uint16 // those of them that are in its shared octets
	tailTTLs    uint16 // TTLs of the plain message that are in its tail
	reason      uint16 // octets of the EDE; 0 = there is none
	name        uint8  // octets of the name asked for
	security    Security
}

// An instant is a moment as answers keep it: nanoseconds by clock.Count.
type instant int64

func instantOf(t time.Time) instant { return instant(clock.Count(t)) }

// since returns how much later now is than at. What is too long to be said is
// the longest that can be.
func (at instant) since(now instant) time.Duration {
	d := now - at
	switch {
	case now > at && d < 0:
		return math.MaxInt64
	case now < at && d > 0:
		return math.MinInt64
	}
	return time.Duration(d)
}

// span returns the duration of so many seconds. The most that a field holds, 136
// years, stands for all that is longer.
func span(seconds uint32) time.Duration {
	if seconds == math.MaxUint32 {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}

// secondsOf is the inverse of span. It rounds up.
func secondsOf(d time.Duration) uint32 {
	s := d / time.Second
	if d%time.Second > 0 {
		s++
	}
	return uint32(min(max(s, 0), math.MaxUint32))
}

// Name returns the name asked for, in wire form and lower case. Read only.
func (a *Answer) Name() []byte { return a.octets()[wire.HeaderLen:][:a.name] }

// key returns what the answer is found by, see appendKey: it stands in the
// question, which is kept in lower case.
func (a *Answer) key() []byte { return a.octets()[wire.HeaderLen:a.body()] }

// body is the offset of the first octet after the question.
func (a *Answer) body() int { return wire.HeaderLen + int(a.name) + 4 }

// Type returns the type asked for.
func (a *Answer) Type() uint16 { return binary.BigEndian.Uint16(a.octets()[a.body()-4:]) }

// Class returns the class asked for.
func (a *Answer) Class() uint16 { return binary.BigEndian.Uint16(a.octets()[a.body()-2:]) }

// Rcode returns the response code.
func (a *Answer) Rcode() uint16 { return uint16(a.octets()[3] & 15) }

// Security returns what is proven of the answer.
func (a *Answer) Security() Security { return a.security }

// Packet returns the message that the answer is made of, with its TTLs as they
// were learned and its question in lower case. Read only.
func (a *Answer) Packet() []byte { return a.octets()[:a.full:a.full] }

// endingPart is the part of an answer's life, its last, that makes it worth
// having a newer one: a tenth, as Unbound and PowerDNS have it.
const endingPart = 10

// Ending reports whether no more than a tenth of the answer's life is left.
func (a *Answer) Ending(at time.Time) bool {
	life := a.Life()
	return a.at.since(instantOf(at)) >= life-life/endingPart
}

// Claim is true for the first caller and no other. Who has claimed the answer
// sees to it that a newer one comes. The claim ends with the answer.
func (a *Answer) Claim() bool { return !a.claimed.Load() && a.claimed.CompareAndSwap(false, true) }

// Life returns how long the answer lives, from when it was learned.
func (a *Answer) Life() time.Duration { return span(a.life) }

// Expires returns the end of the answer's life.
func (a *Answer) Expires() time.Time { return clock.Counted(time.Duration(a.at)).Add(a.Life()) }

// State returns what the answer is worth at a moment.
func (a *Answer) State(at time.Time) State { return a.worth(a.at.since(instantOf(at))) }

// worth is State for an age.
func (a *Answer) worth(age time.Duration) State {
	switch life := a.Life(); {
	case age < life:
		return Fresh
	case age-life < span(a.stale):
		return Stale
	}
	return Dead
}

// Size returns the octets of memory that the answer occupies, with what the
// allocator adds.
func (a *Answer) Size() int { return int(a.units) * unitOctets }
