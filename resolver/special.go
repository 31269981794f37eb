package resolver

import (
	"encoding/binary"
	"strconv"
	"strings"

	"proxima/wire"

	"github.com/miekg/dns"
)

// A kind is how a special name, and all below it, is answered.
type kind uint8

const (
	walked    kind = iota // not special
	absent                // NXDOMAIN
	empty                 // a zone that has an SOA and an NS record and nothing below
	noData                // every name exists, with nothing
	localhost             // 127.0.0.1 and ::1
	loopback              // the name of these addresses
)

// specialNames are the names that are answered here. Immutable.
type specialNames struct {
	kinds map[string]kind // by name: wire form, lower case
	tops  map[string]bool // their last labels, so that most names need one look
}

// The special names, by what becomes of them: RFC 6761 (localhost, invalid,
// test), 6762 (local), 7686 (onion), 8375 (home.arpa), 9462 (resolver.arpa).
var special = map[string]kind{
	"localhost.":              localhost,
	"invalid.":                absent,
	"test.":                   absent,
	"local.":                  absent,
	"onion.":                  absent,
	"home.arpa.":              empty,
	"resolver.arpa.":          noData,
	"1.0.0.127.in-addr.arpa.": loopback,
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.": loopback,
}

// privateReverse are the reverse zones of addresses that mean something else
// everywhere, RFC 6303 section 4. Those of RFC 1918 and 7793 with a row of
// second labels are added by newSpecialNames.
var privateReverse = []string{
	"10.in-addr.arpa.", "168.192.in-addr.arpa.",
	"0.in-addr.arpa.", "127.in-addr.arpa.", "254.169.in-addr.arpa.", "255.255.255.255.in-addr.arpa.",
	"2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
	"d.f.ip6.arpa.", "8.e.f.ip6.arpa.", "9.e.f.ip6.arpa.", "a.e.f.ip6.arpa.", "b.e.f.ip6.arpa.",
	"8.b.d.0.1.0.0.2.ip6.arpa.",
}

// newSpecialNames builds the table. The configured zones are not special, even
// where they lie in special ones: who runs 10.in-addr.arpa. sends it there.
func newSpecialNames(configured []string) *specialNames {
	s := &specialNames{kinds: make(map[string]kind), tops: make(map[string]bool)}
	for name, k := range special {
		s.put(name, k)
	}
	for _, name := range privateReverse {
		s.put(name, empty)
	}
	for i := 16; i <= 31; i++ { // 172.16.0.0/12
		s.put(strconv.Itoa(i)+".172.in-addr.arpa.", empty)
	}
	for i := 64; i <= 127; i++ { // 100.64.0.0/10
		s.put(strconv.Itoa(i)+".100.in-addr.arpa.", empty)
	}
	for _, name := range configured {
		s.put(name, walked)
	}
	return s
}

// put adds a name.
func (s *specialNames) put(name string, k kind) {
	var space [wire.MaxName + 1]byte
	end, err := dns.PackDomainName(dns.CanonicalName(name), space[:], 0, nil, false)
	if err != nil {
		panic("resolver: special name " + name + ": " + err.Error())
	}
	packed := space[:end]
	s.kinds[string(packed)] = k
	if k != walked {
		s.tops[string(packed[lastLabel(packed):])] = true
	}
}

// lastOctets bounds the last label of a name, with its length and the root's: 65,
// RFC 1035 section 2.3.4.
const lastOctets = 1 + 63 + 1

// find returns the kind of the deepest special name in which q's lies, and at
// which octet of the name it begins.
func (s *specialNames) find(q *wire.Query) (zone int, k kind) {
	var top [lastOctets]byte
	if !s.tops[string(wire.AppendLower(top[:0], q.Name[lastLabel(q.Name):]))] {
		return 0, walked
	}
	var space [wire.MaxName]byte
	lower := wire.AppendLower(space[:0], q.Name)
	for lower[zone] != 0 {
		if k, ok := s.kinds[string(lower[zone:])]; ok {
			if k == empty && zone == 0 && q.Type == wire.TypeDS {
				// The DS of a zone belongs to its parent, which is not ours: RFC 8375
				// section 4 wants it looked up, for those who validate.
				k = walked
			}
			return zone, k
		}
		zone += 1 + int(lower[zone])
	}
	return 0, walked
}

// lastLabel returns where the last label of name begins, before the root's.
func lastLabel(name []byte) int {
	last, off := 0, 0
	for name[off] != 0 {
		last = off
		off += 1 + int(name[off])
	}
	return last
}

// reply answers q if it is about a special name, and returns nil if not. So do
// they stay here, also where an alias or a delegation leads to them.
func (s *specialNames) reply(question dns.Question) *dns.Msg {
	if !s.mayHave(question.Name) {
		return nil
	}
	m := &dns.Msg{Question: []dns.Question{question}}
	packet, err := m.Pack()
	var q wire.Query
	if err != nil || wire.ParseQuery(&q, packet) != wire.OK {
		return nil
	}
	zone, kind := s.find(&q)
	if kind == walked || m.Unpack(appendSpecial(nil, &q, zone, kind)) != nil {
		return nil
	}
	return m
}

// mayHave reports whether a name, in lower case with its final dot, ends as
// special names do; what an escape means there is left to others.
func (s *specialNames) mayHave(name string) bool {
	last := strings.TrimSuffix(name, ".")
	if strings.IndexByte(last, '\\') >= 0 {
		return true
	}
	last = last[strings.LastIndexByte(last, '.')+1:]
	if len(last)+2 > lastOctets {
		return true
	}
	var top [lastOctets]byte
	top[0] = byte(len(last))
	return s.tops[string(top[:1+copy(top[1:], last)+1])]
}

// Records of the special names: a pointer to the owner, type, class IN, TTL,
// length, data. The owner of an answer is the name in the question.
const (
	answerA    = "\xC0\x0C\x00\x01\x00\x01\x00\x00\x2A\x30\x00\x04\x7F\x00\x00\x01"
	answerAAAA = "\xC0\x0C\x00\x1C\x00\x01\x00\x00\x2A\x30\x00\x10" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	answerPTR = "\xC0\x0C\x00\x0C\x00\x01\x00\x00\x2A\x30\x00\x0B\x09localhost\x00"
	answerNS  = "\xC0\x0C\x00\x02\x00\x01\x00\x00\x2A\x30\x00\x02\xC0\x0C"

	// soaTail is the SOA record of RFC 6303 section 3 behind its owner and up to
	// its MNAME, which is the owner again; soaEnd the rest.
	soaTail = "\x00\x06\x00\x01\x00\x00\x2A\x30\x00\x26"
	soaEnd  = "\x06nobody\x07invalid\x00" +
		"\x00\x00\x00\x01\x00\x00\x0E\x10\x00\x00\x04\xB0\x00\x09\x3A\x80\x00\x00\x2A\x30"
)

// appendSpecial appends the reply to q, whose name lies in a special zone that
// begins at its octet zone.
func appendSpecial(dst []byte, q *wire.Query, zone int, k kind) []byte {
	l := local{soa: zone, denied: true}
	rcode := uint16(wire.RcodeNoError)
	apex := zone == 0
	switch {
	case k == absent, k == empty && !apex, k == loopback && !apex:
		rcode = wire.RcodeNXDomain
	case k == empty && q.Type == wire.TypeSOA:
		l = local{soa: zone, owned: true}
	case k == empty && q.Type == wire.TypeNS:
		l = local{answer: answerNS}
	case k == localhost && q.Type == wire.TypeA:
		l = local{answer: answerA}
	case k == localhost && q.Type == wire.TypeAAAA:
		l = local{answer: answerAAAA}
	case k == loopback && q.Type == wire.TypePTR:
		l = local{answer: answerPTR}
	}
	return appendLocal(dst, q, rcode, l)
}

// A local is the body of a reply that is made here.
type local struct {
	answer string // one record, "" for none
	soa    int    // octet of the question's name where the zone begins
	owned  bool   // the SOA record is the answer
	denied bool   // the SOA record goes into the authority section
}

// appendLocal appends the reply to q with the records of l.
func appendLocal(dst []byte, q *wire.Query, rcode uint16, l local) []byte {
	start := len(dst)
	bare := *q
	bare.EDNS = false // OPT goes behind the records
	dst = wire.AppendError(dst, &bare, rcode, nil)
	count := dst[start+6 : start+10]
	if l.answer != "" || l.owned {
		count[1] = 1
	}
	if l.denied {
		count[3] = 1
	}
	dst = append(dst, l.answer...)
	if l.owned || l.denied {
		owner := uint16(0xC000 | wire.HeaderLen + l.soa)
		dst = binary.BigEndian.AppendUint16(dst, owner)
		dst = append(dst, soaTail...)
		dst = binary.BigEndian.AppendUint16(dst, owner)
		dst = append(dst, soaEnd...)
	}
	return wire.AppendOPT(dst, start, q, rcode, nil)
}
