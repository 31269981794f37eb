package wire

import "encoding/binary"

// A Fault says what is wrong with a packet that a client sent, and so how to
// refuse it.
type Fault uint8

// The faults of a packet.
const (
	OK      Fault = iota
	Drop          // no reply: too short to have an ID, or itself a reply
	FormErr       // malformed
	NotImp        // an opcode other than QUERY
	BadVers       // an EDNS version above 0, RFC 6891 section 6.1.3
)

// maxAdditional bounds the additional records of a query. 2, not configurable:
// an OPT and one signature of the message (TSIG or SIG(0)), which is not read.
const maxAdditional = 2

// maxOptions bounds the EDNS options of a query. 32, not configurable: four
// are common, and thousands of empty ones cost the reader time
// (CVE-2026-41292).
const maxOptions = 32

// A Query is a view of one question packet. It borrows Packet and is valid as
// long as Packet is.
type Query struct {
	Packet         []byte
	Name           []byte // wire form, in the client's letter case
	Type, Class    uint16
	End            int // offset of the first octet after the question; 0 if there is no readable one
	RD, CD, AD, DO bool
	EDNS           bool
	UDPSize        uint16 // octets, never below MinUDP; MinUDP without EDNS
	Cookie         []byte // RFC 7873 option data, nil if absent
	NSID           bool   // asks for the server's identity, RFC 5001
	Keepalive      bool   // asks how long a TCP connection may idle, RFC 7828
}

// CheckHeader judges a packet by its first twelve octets. It is the one check
// that every transport makes before anything is parsed or reserved, so that no
// count in a header is ever believed (CVE-2026-82399, CVE-2026-86003).
func CheckHeader(packet []byte) Fault {
	if len(packet) < HeaderLen {
		return Drop
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	switch {
	case flags&flagQR != 0:
		return Drop
	case flags&maskOpcode != 0:
		return NotImp
	case binary.BigEndian.Uint16(packet[4:]) != 1, // RFC 9619
		binary.BigEndian.Uint32(packet[6:]) != 0, // answer and authority
		binary.BigEndian.Uint16(packet[10:]) > maxAdditional:
		return FormErr
	}
	return OK
}

// ParseQuery reads packet into q, replacing what q was. Whatever the fault,
// q.Packet is set, and so is the question if it could be read.
func ParseQuery(q *Query, packet []byte) Fault {
	*q = Query{Packet: packet, UDPSize: MinUDP}
	if f := CheckHeader(packet); f != OK {
		return f
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	q.RD = flags&flagRD != 0
	q.AD = flags&flagAD != 0
	q.CD = flags&flagCD != 0

	end, ok := skipPlain(packet, HeaderLen)
	if !ok || end+4 > len(packet) {
		return FormErr
	}
	q.Name = packet[HeaderLen:end]
	q.Type = binary.BigEndian.Uint16(packet[end:])
	q.Class = binary.BigEndian.Uint16(packet[end+2:])
	q.End = end + 4
	return q.readAdditional()
}

// readAdditional reads the records after the question. OPT is the only one
// that matters; others are stepped over.
func (q *Query) readAdditional() Fault {
	fault, off := OK, q.End
	for range binary.BigEndian.Uint16(q.Packet[10:]) {
		r, ok := readRecord(q.Packet, off)
		if !ok {
			return FormErr
		}
		off = r.End
		if r.Type != TypeOPT {
			continue
		}
		if q.EDNS || q.Packet[r.Start] != 0 { // one, owned by the root, RFC 6891 section 6.1
			return FormErr
		}
		if fault = q.readOPT(r); fault == FormErr {
			return FormErr
		}
	}
	if off != len(q.Packet) {
		return FormErr
	}
	return fault
}

// readOPT reads what an OPT record says in its class and TTL, and its options
// if they are of the version we know.
func (q *Query) readOPT(r Record) Fault {
	q.EDNS = true
	q.UDPSize = max(r.Class, MinUDP)
	ttl := binary.BigEndian.Uint32(q.Packet[r.TTL:])
	q.DO = ttl&0x8000 != 0
	if version := ttl >> 16 & 0xFF; version > 0 {
		return BadVers
	}
	return q.readOptions(q.Packet[r.RData:r.End])
}

// readOptions reads the options of an OPT record. Of a repeated option the
// first counts (CVE-2026-42944); what is unknown is ignored.
func (q *Query) readOptions(data []byte) Fault {
	for n := 0; len(data) > 0; n++ {
		if n == maxOptions || len(data) < 4 {
			return FormErr
		}
		code := binary.BigEndian.Uint16(data)
		end := 4 + int(binary.BigEndian.Uint16(data[2:]))
		if end > len(data) {
			return FormErr
		}
		option := data[4:end:end]
		data = data[end:]
		switch code {
		case OptionNSID:
			q.NSID = q.NSID || len(option) == 0
		case OptionKeepalive:
			q.Keepalive = q.Keepalive || len(option) == 0
		case OptionCookie:
			if q.Cookie != nil {
				continue
			}
			if n := len(option); n != 8 && (n < 16 || n > 40) { // RFC 7873 section 5.2.2
				return FormErr
			}
			q.Cookie = option
		}
	}
	return OK
}
