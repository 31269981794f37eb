package upstream

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Where things are in a message, RFC 1035 section 4.1.
const (
	headerLen = 12 // octets

	qdcount = 4 // offset of the number of questions
	ancount = 6 // offset of the numbers of answer, authority and additional records
	arcount = 10

	flagQR     = 0x80 // in octet 2
	flagTC     = 0x02
	flagRD     = 0x01
	flagCD     = 0x10 // in octet 3
	maskOpcode = 0x78
	maskRcode  = 0x0f // in octet 3

	maxLabel   = 63   // octets
	compressed = 0xc0 // a length octet from here on begins a pointer
)

const (
	// maxOPT is room for an OPT record with a cookie of 40 octets.
	maxOPT = 11 + 4 + 40

	// minRecord is the shortest record: root name, type, class, TTL, length.
	minRecord = 11

	// maxRecords bounds the records of one reply. Unpacked, a record of 12
	// octets may point at three names of 1,000 characters each, so that the
	// longest message takes 4 MiB and not 20. It leaves room for four RRsets of
	// 256 records, of which the walk believes no longer ones (CVE-2024-1737): to
	// read more would only delay the failure.
	maxRecords = 1_024
)

// A query is a packed question together with what its reply must repeat.
type query struct {
	packet []byte
	name   string    // as it was asked
	end    int       // offset of the first octet after the question
	began  time.Time // when it got its slot
	stream bool      // it goes over TCP, where nobody forges: letter case is free
	cookie *cookie   // nil if it carries none
}

// pack packs a copy of m under a fresh ID, with k if k is not nil and m has an
// OPT record.
func pack(m *dns.Msg, k *cookie) (*query, error) {
	if len(m.Question) != 1 {
		return nil, fmt.Errorf("query has %d questions, want 1", len(m.Question))
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	packet, ok := packPlain(m, k)
	if !ok {
		var err error
		if packet, err = packAny(m, k); err != nil {
			return nil, fmt.Errorf("pack query: %w", err)
		}
	}
	copy(packet, id[:])
	end, ok := skipName(packet, headerLen)
	if !ok || len(packet) > dns.MaxMsgSize {
		return nil, fmt.Errorf("query for %q cannot be asked", m.Question[0].Name)
	}
	if m.IsEdns0() == nil {
		k = nil
	}
	return &query{packet: packet, name: m.Question[0].Name, end: end + 4, cookie: k}, nil
}

// packAny packs whatever there is in m.
func packAny(m *dns.Msg, k *cookie) ([]byte, error) {
	m = m.Copy() // packing writes into the OPT record
	putCookie(m, k)
	return m.Pack()
}

// packPlain packs m if it is what we ask as a rule: a question and no more than
// an OPT record, with no option but cookies.
func packPlain(m *dns.Msg, k *cookie) (packet []byte, ok bool) {
	plain := dns.MsgHdr{Id: m.Id, RecursionDesired: m.RecursionDesired, CheckingDisabled: m.CheckingDisabled}
	if m.MsgHdr != plain || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > 1 {
		return nil, false
	}
	packet = make([]byte, headerLen+len(m.Question[0].Name)+2+4+maxOPT)
	if m.RecursionDesired {
		packet[2] = flagRD
	}
	if m.CheckingDisabled {
		packet[3] = flagCD
	}
	packet[qdcount+1] = 1
	end, err := dns.PackDomainName(m.Question[0].Name, packet, headerLen, nil, false)
	if err != nil {
		return nil, false
	}
	packet = binary.BigEndian.AppendUint16(packet[:end], m.Question[0].Qtype)
	packet = binary.BigEndian.AppendUint16(packet, m.Question[0].Qclass)
	if len(m.Extra) == 0 {
		return packet, true
	}
	opt, ok := m.Extra[0].(*dns.OPT)
	if !ok || opt.Hdr.Name != "." || opt.Hdr.Rrtype != dns.TypeOPT {
		return nil, false
	}
	for _, o := range opt.Option {
		if o.Option() != dns.EDNS0COOKIE {
			return nil, false
		}
	}
	packet[arcount+1] = 1
	return appendOPT(packet, opt, k), true
}

// appendOPT appends the record opt with k, if k is not nil, as its only option:
// RFC 6891 section 6.1.2, RFC 7873 section 4.
func appendOPT(packet []byte, opt *dns.OPT, k *cookie) []byte {
	packet = append(packet, 0, 0, byte(dns.TypeOPT))
	packet = binary.BigEndian.AppendUint16(packet, opt.Hdr.Class)
	packet = binary.BigEndian.AppendUint32(packet, opt.Hdr.Ttl)
	if k == nil {
		return append(packet, 0, 0)
	}
	octets := (len(k.client) + len(k.server)) / 2
	packet = binary.BigEndian.AppendUint16(packet, uint16(4+octets))
	packet = binary.BigEndian.AppendUint16(packet, dns.EDNS0COOKIE)
	packet = binary.BigEndian.AppendUint16(packet, uint16(octets))
	for _, digits := range [...]string{k.client, k.server} {
		packet, _ = hex.AppendDecode(packet, []byte(digits)) // they were encoded here, or by miekg/dns
	}
	return packet
}

// A verdict says what a packet is to a query.
type verdict uint8

const (
	genuine verdict = iota
	wrongID
	wrongCase     // the question's letters are those that were sent, but their case is not
	wrongQuestion // another one
	malformed     // no reply at all, or one that cannot be read
	wrongCookie   // of another's making
	noCookie      // although the server gives them, or none that BADCOOKIE is content with
	verdicts      // how many there are
)

// read returns the message in packet if it is the reply to q. Everything that a
// forger must guess is compared, and the counts are checked against the length,
// before anything is unpacked (CVE-2026-82399). It may change packet.
func (q *query) read(packet []byte) (*dns.Msg, verdict) {
	if v := q.judge(packet); v != genuine {
		return nil, v
	}
	if packet[2]&flagTC != 0 {
		packet = append([]byte(nil), packet[:q.end]...)
		clear(packet[ancount:headerLen])
	}
	if !isBare(packet) && !q.readable(packet) {
		return nil, malformed
	}
	asked, err := q.settle(packet)
	if err != nil {
		return nil, malformed
	}
	packet, types := conceal(packet, q.end)
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, malformed
	}
	for i := range m.Question {
		m.Question[i].Name = asked
	}
	all := slices.Concat(m.Answer, m.Ns, m.Extra)
	if len(all) != records(packet) {
		return nil, malformed // fewer than announced
	}
	for i, typ := range types {
		all[i].Header().Rrtype = typ
	}
	return m, genuine
}

// settle writes the name of the question in lower case, so that names which are
// compressed to point there do not bring to clients what was drawn by lot, and
// returns it as it came.
func (q *query) settle(packet []byte) (asked string, err error) {
	if isBare(packet) {
		return "", nil
	}
	if q.name != "" && bytes.Equal(packet[headerLen:q.end-4], q.packet[headerLen:q.end-4]) {
		asked = q.name
	} else {
		asked, _, err = dns.UnpackDomainName(packet, headerLen)
	}
	for i := headerLen; i < q.end-4; i++ {
		packet[i] = lower(packet[i])
	}
	return asked, err
}

// unknownType is one for private use, RFC 6895 section 3.1, of which miekg/dns
// knows nothing.
const unknownType = 65_280

// conceal returns packet with its CAA and URI records under unknownType, and
// the types of these by their numbers. So their data stays as it is, as
// dns.RFC3597, whatever the octets: miekg/dns would take a backslash in their
// texts for an escape when it packs them again, and refuse long ones. The
// records, from off on, are readable.
func conceal(packet []byte, off int) (concealed []byte, types map[int]uint16) {
	for i := range records(packet) {
		at, _ := skipName(packet, off)
		off, _ = skipRecord(packet, off)
		typ := binary.BigEndian.Uint16(packet[at:])
		if typ != dns.TypeCAA && typ != dns.TypeURI {
			continue
		}
		if types == nil {
			packet, types = bytes.Clone(packet), make(map[int]uint16)
		}
		types[i] = typ
		binary.BigEndian.PutUint16(packet[at:], unknownType)
	}
	return packet, types
}

// isBare reports whether packet is a header that says FORMERR or NOTIMP and
// nothing else: how servers that read no OPT record may reply to it.
func isBare(packet []byte) bool {
	return len(packet) == headerLen && binary.BigEndian.Uint64(packet[qdcount:]) == 0 && packet[2]&flagTC == 0 &&
		(packet[3]&maskRcode == dns.RcodeFormatError || packet[3]&maskRcode == dns.RcodeNotImplemented)
}

// judge compares the header and the question of packet with those of q.
func (q *query) judge(packet []byte) verdict {
	switch {
	case len(packet) < headerLen || packet[2]&flagQR == 0 || packet[2]&maskOpcode != 0:
		return malformed
	case packet[0] != q.packet[0] || packet[1] != q.packet[1]:
		return wrongID
	case isBare(packet):
		return genuine
	case binary.BigEndian.Uint16(packet[qdcount:]) != 1 || len(packet) < q.end:
		return wrongQuestion
	}
	// A length octet is at most 63 and so no letter: the name can be compared
	// octet by octet.
	name, typeClass := headerLen, q.end-4
	for i := name; i < typeClass; i++ {
		if lower(packet[i]) != lower(q.packet[i]) {
			return wrongQuestion
		}
	}
	if !bytes.Equal(packet[typeClass:q.end], q.packet[typeClass:q.end]) {
		return wrongQuestion
	}
	if !q.stream && !bytes.Equal(packet[name:typeClass], q.packet[name:typeClass]) {
		return wrongCase
	}
	return genuine
}

// readable reports whether the records after the question are as many as
// announced, not too many, and without what would blow up when unpacked. It
// allocates nothing.
func (q *query) readable(packet []byte) bool {
	n := records(packet)
	if n > maxRecords || n*minRecord > len(packet)-q.end {
		return false
	}
	off, ok := q.end, true
	for ; n > 0; n-- {
		if off, ok = skipRecord(packet, off); !ok {
			return false
		}
	}
	return true
}

// records returns the sum of the announced records.
func records(packet []byte) int {
	n := 0
	for i := ancount; i < headerLen; i += 2 {
		n += int(binary.BigEndian.Uint16(packet[i:]))
	}
	return n
}

// skipRecord returns the offset after the record at off. A HIP record whose
// servers are compressed is refused: RFC 8005 section 5 forbids that, and each
// of its pointers, of 2 octets, would unpack to a name of 1,000 characters.
func skipRecord(packet []byte, off int) (next int, ok bool) {
	off, ok = skipName(packet, off)
	if !ok || off+10 > len(packet) {
		return 0, false
	}
	typ := binary.BigEndian.Uint16(packet[off:])
	data := off + 10
	next = data + int(binary.BigEndian.Uint16(packet[off+8:]))
	if next > len(packet) {
		return 0, false
	}
	if typ == dns.TypeHIP && !plainHIP(packet[data:next]) {
		return 0, false
	}
	return next, true
}

// plainHIP reports whether the servers at the end of a HIP record's data
// (RFC 8005 section 5) are uncompressed names.
func plainHIP(data []byte) bool {
	if len(data) < 4 {
		return false
	}
	off := 4 + int(data[0]) + int(binary.BigEndian.Uint16(data[2:]))
	for off < len(data) {
		for off < len(data) && data[off] != 0 {
			if data[off] >= compressed {
				return false
			}
			off += 1 + int(data[off])
		}
		off++
	}
	return true
}

// skipName returns the offset after the name at off, which may end in a
// compression pointer.
func skipName(packet []byte, off int) (next int, ok bool) {
	for off < len(packet) {
		switch n := packet[off]; {
		case n == 0:
			return off + 1, true
		case n >= compressed:
			return off + 2, off+2 <= len(packet)
		case n > maxLabel:
			return 0, false
		default:
			off += 1 + int(n)
		}
	}
	return 0, false
}

// lower returns the lower case of an ASCII letter and any other octet as it is.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
