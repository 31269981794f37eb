package wire

import "encoding/binary"

// Sections of a message.
const (
	Answer uint8 = iota + 1
	Authority
	Additional
)

// A Record says where one resource record lies in its message. Start, TTL,
// RData and End are offsets: of the owner's name, of the TTL field, of the data
// and of the first octet after it.
type Record struct {
	Section                uint8
	Type, Class            uint16
	Start, TTL, RData, End int
}

// recordFixed is the length of what stands between owner and data: type,
// class, TTL and length, RFC 1035 section 4.1.3.
const recordFixed = 10

// AppendRecords appends the index of all records of msg, in their order. It is
// false, and dst unchanged, if msg is malformed or has octets after its last
// record. The data of the records is not looked at.
func AppendRecords(dst []Record, msg []byte) ([]Record, bool) {
	if len(msg) < HeaderLen {
		return dst, false
	}
	off, ok := skipQuestions(msg)
	if !ok {
		return dst, false
	}
	all := dst
	for section := Answer; section <= Additional; section++ {
		for range binary.BigEndian.Uint16(msg[4+2*section:]) {
			r, ok := readRecord(msg, off)
			if !ok {
				return dst, false
			}
			r.Section = section
			all = append(all, r)
			off = r.End
		}
	}
	if off != len(msg) {
		return dst, false
	}
	return all, true
}

// skipQuestions returns the offset of the first record of msg, which has at
// least a header.
func skipQuestions(msg []byte) (off int, ok bool) {
	off = HeaderLen
	for range binary.BigEndian.Uint16(msg[4:]) {
		if off, ok = SkipName(msg, off); !ok || off+4 > len(msg) {
			return 0, false
		}
		off += 4
	}
	return off, true
}

// readRecord indexes the record at off, in no section.
func readRecord(msg []byte, off int) (r Record, ok bool) {
	next, ok := SkipName(msg, off)
	if !ok || next+recordFixed > len(msg) {
		return Record{}, false
	}
	r = Record{
		Type:  binary.BigEndian.Uint16(msg[next:]),
		Class: binary.BigEndian.Uint16(msg[next+2:]),
		Start: off,
		TTL:   next + 4,
		RData: next + recordFixed,
	}
	r.End = r.RData + int(binary.BigEndian.Uint16(msg[next+8:]))
	return r, r.End <= len(msg)
}
