package cache

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

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

// staleTTL is the TTL, in seconds, of the records of a Stale answer. Not
// configurable: RFC 8767 section 4 recommends 30.
const staleTTL = 30

// answerOctets is the memory of an Answer without what it points to, as the
// allocator rounds it. A test compares it with the struct.
const answerOctets = 192

// A Security says what is proven of an answer, RFC 4035 section 4.3.
type Security uint8

// What may be proven of an answer.
const (
	Insecure Security = iota // nothing
	Secure                   // all of it
	Bogus                    // that it is wrong: the answer says SERVFAIL, and why
)

// A Meta is what an answer's message does not say of it.
type Meta struct {
	At    time.Time     // when it was learned
	TTL   time.Duration // its life if no record says one: of a failure
	Stale time.Duration // how long it may be served after its life; 0 = never
	EDE   *wire.EDE     // sent with every reply that is made of it; nil = none

	Security Security
}

// An Answer is a complete reply, less its OPT record, together with the places
// of its TTLs and its times. It never changes after NewAnswer.
type Answer struct {
	key         []byte // see appendKey
	full        packet
	plain       packet // full for clients that did not set DO
	body        int    // offset of the first octet after the question, in both
	at          time.Time
	life, stale time.Duration
	ede         *wire.EDE
	typ, class  uint16
	rcode       uint16
	security    Security
}

// A packet is a message and the offsets of the TTL fields in it.
type packet struct {
	msg  []byte
	ttls []uint16
}

// NewAnswer makes an answer of msg: a complete reply with one question and no
// OPT record. It takes ownership of msg. The answer lives as long as the least
// TTL among its answer and authority records, or m.TTL if there are none.
// A life of nothing is for the transaction in progress only (RFC 2181 section
// 8), so such an answer is never stale either.
func NewAnswer(msg []byte, m Meta) (*Answer, error) {
	var room [64]wire.Record
	records, ok := wire.AppendRecords(room[:0], msg)
	if !ok {
		return nil, fmt.Errorf("cache: message of %d octets is malformed", len(msg))
	}
	if n := binary.BigEndian.Uint16(msg[4:]); n != 1 {
		return nil, fmt.Errorf("cache: message has %d questions, want 1", n)
	}
	end, _ := wire.SkipName(msg, wire.HeaderLen)
	a := &Answer{
		body:  end + 4,
		at:    m.At,
		life:  m.TTL,
		stale: m.Stale,
		ede:   m.EDE,
		typ:   binary.BigEndian.Uint16(msg[end:]),
		class: binary.BigEndian.Uint16(msg[end+2:]),
		rcode: uint16(msg[3] & 15),

		security: m.Security,
	}
	name := msg[wire.HeaderLen:end]
	a.key = appendKey(slices.Grow([]byte(nil), len(name)+4), name, a.typ, a.class)
	if ttl, ok := leastTTL(msg, records); ok {
		a.life = time.Duration(ttl) * time.Second
	}
	if a.life <= 0 {
		a.life, a.stale = 0, 0
	}
	if err := a.setPackets(msg, records); err != nil {
		return nil, err
	}
	return a, nil
}

// setPackets makes full and plain, which share memory unless they differ.
func (a *Answer) setPackets(msg []byte, records []wire.Record) error {
	if slices.ContainsFunc(records, func(r wire.Record) bool { return r.Type == wire.TypeOPT }) {
		return fmt.Errorf("cache: message has an OPT record")
	}
	var ok bool
	if a.full, ok = copyPacket(msg, records); !ok {
		return fmt.Errorf("cache: message of %d octets has malformed data", len(msg))
	}
	a.plain = a.full
	kept := slices.DeleteFunc(slices.Clone(records), func(r wire.Record) bool { return a.authenticates(r.Type) })
	if len(kept) == len(records) {
		return nil
	}
	if plain, ok := copyPacket(msg, kept); ok { // else it outgrew a message: rather signatures than nothing
		a.plain = plain
	}
	return nil
}

// authenticates tells whether records of this type are only for clients that
// set DO: the types of RFC 4035 section 3.2.1, except the one asked for.
func (a *Answer) authenticates(typ uint16) bool {
	switch typ {
	case wire.TypeRRSIG, wire.TypeNSEC, wire.TypeNSEC3:
		return typ != a.typ
	}
	return false
}

// leastTTL is the least TTL, in seconds, among the answer and authority
// records, if there are any.
func leastTTL(msg []byte, records []wire.Record) (least uint32, ok bool) {
	for _, r := range records {
		if r.Section == wire.Additional {
			continue
		}
		ttl := readTTL(msg[r.TTL:])
		if !ok || ttl < least {
			least, ok = ttl, true
		}
	}
	return least, ok
}

// readTTL reads a TTL field. One with its top bit set counts as 0, RFC 2181
// section 8.
func readTTL(field []byte) uint32 {
	ttl := binary.BigEndian.Uint32(field)
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}

// Name returns the name asked for, in wire form and lower case. Read only.
func (a *Answer) Name() []byte { return a.key[:len(a.key)-4] }

// Type returns the type asked for.
func (a *Answer) Type() uint16 { return a.typ }

// Class returns the class asked for.
func (a *Answer) Class() uint16 { return a.class }

// Rcode returns the response code.
func (a *Answer) Rcode() uint16 { return a.rcode }

// Security returns what is proven of the answer.
func (a *Answer) Security() Security { return a.security }

// EDE returns what is sent with every reply that is made of the answer, or nil.
func (a *Answer) EDE() *wire.EDE { return a.ede }

// Packet returns the message that the answer is made of, with its TTLs as they
// were learned. Read only.
func (a *Answer) Packet() []byte { return a.full.msg }

// Expires returns the end of the answer's life.
func (a *Answer) Expires() time.Time { return a.at.Add(a.life) }

// State returns what the answer is worth at a moment.
func (a *Answer) State(at time.Time) State {
	switch over := at.Sub(a.at) - a.life; {
	case over < 0:
		return Fresh
	case over < a.stale:
		return Stale
	}
	return Dead
}

// Size returns the octets of memory that the answer occupies, with what the
// allocator adds to each of its parts.
func (a *Answer) Size() int {
	n := answerOctets + cap(a.key) + a.full.size()
	if &a.plain.msg[0] != &a.full.msg[0] {
		n += a.plain.size()
	}
	if a.ede != nil {
		n += 32 + len(a.ede.Text)
	}
	return n
}

// size is the memory of a packet. What is smaller than 16 octets shares as
// many with something else, which may be long gone.
func (p packet) size() int { return cap(p.msg) + max(16, 2*cap(p.ttls)) }

// AppendReply appends the reply to q as of at, with OPT last if q had one, and
// returns the extended slice. It keeps neither dst nor q. q must ask what the
// answer answers, in any letter case: owners that are compressed to the
// question show the client's. TTLs, in seconds, are reduced by the answer's
// age and never below 0; a Stale answer gets staleTTL instead.
func (a *Answer) AppendReply(dst []byte, q *wire.Query, at time.Time) []byte {
	start := len(dst)
	p := &a.plain
	if q.DO {
		p = &a.full
	}
	dst = wire.AppendHead(dst, q, a.rcode)
	copy(dst[start+6:], p.msg[6:wire.HeaderLen])
	dst = append(dst, p.msg[a.body:]...)

	stale := a.State(at) == Stale
	if a.security == Secure && (q.AD || q.DO) && !stale {
		dst[start+3] |= wire.MaskAD
	}
	age := max(0, int64(at.Sub(a.at)/time.Second))
	for _, off := range p.ttls {
		ttl := uint32(staleTTL)
		if !stale {
			ttl = uint32(max(0, int64(binary.BigEndian.Uint32(p.msg[off:]))-age))
		}
		binary.BigEndian.PutUint32(dst[start+int(off):], ttl)
	}
	return wire.AppendOPT(dst, start, q, a.rcode, a.reason(stale))
}

// What is said of a stale answer that has nothing else to say.
var (
	staleAnswer   = &wire.EDE{Code: wire.EDEStaleAnswer}
	staleNXDomain = &wire.EDE{Code: wire.EDEStaleNXDomain}
)

// reason is the extended error that goes with a reply.
func (a *Answer) reason(stale bool) *wire.EDE {
	switch {
	case a.ede != nil || !stale:
		return a.ede
	case a.rcode == wire.RcodeNXDomain:
		return staleNXDomain
	}
	return staleAnswer
}
