package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// AppendFault appends the reply to the packet in which ParseQuery found f: the
// question, if it could be read, and the code. For Drop, and for OK, it
// appends nothing.
func AppendFault(dst []byte, q *Query, f Fault) []byte {
	switch f {
	case FormErr:
		return AppendError(dst, q, RcodeFormErr, nil)
	case NotImp:
		return AppendError(dst, q, RcodeNotImp, nil)
	case BadVers:
		return AppendError(dst, q, RcodeBadVers, nil)
	}
	return dst
}

// AppendError appends a reply to q that has no records but OPT, for a query
// that had one. It needs no more of q than a header.
func AppendError(dst []byte, q *Query, rcode uint16, ede *EDE) []byte {
	start := len(dst)
	dst = AppendHead(dst, q, rcode)
	return AppendOPT(dst, start, q, rcode, ede)
}

// AppendHead appends the header of a reply to q, which counts no records yet,
// and the question as the client wrote it, if it could be read. Of the client's
// flags RD and CD come back; AA and AD are off.
func AppendHead(dst []byte, q *Query, rcode uint16) []byte {
	flags := binary.BigEndian.Uint16(q.Packet[2:]) & (maskOpcode | flagRD | flagCD)
	dst = append(dst, q.Packet[0], q.Packet[1])
	dst = binary.BigEndian.AppendUint16(dst, flagQR|flagRA|flags|rcode&15)
	if q.End == 0 {
		return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	dst = append(dst, 0, 1, 0, 0, 0, 0, 0, 0)
	return append(dst, q.Packet[HeaderLen:q.End]...)
}

// AppendOPT ends the message dst[start:] with an OPT record if q had one. It
// carries the bits of rcode that the header has no room for, the client's DO
// bit, our own UDP size and ede.
func AppendOPT(dst []byte, start int, q *Query, rcode uint16, ede *EDE) []byte {
	if !q.EDNS {
		return dst
	}
	var do byte
	if q.DO {
		do = 0x80
	}
	arcount := dst[start+10 : start+12]
	binary.BigEndian.PutUint16(arcount, binary.BigEndian.Uint16(arcount)+1)
	dst = append(dst, 0, 0, TypeOPT, PayloadSize>>8, PayloadSize&0xFF, byte(rcode>>4), 0, do, 0)
	if ede == nil {
		return append(dst, 0, 0)
	}
	text := cut(ede.Text, maxText)
	dst = binary.BigEndian.AppendUint16(dst, uint16(4+2+len(text)))
	dst = binary.BigEndian.AppendUint16(dst, OptionEDE)
	dst = binary.BigEndian.AppendUint16(dst, uint16(2+len(text)))
	dst = binary.BigEndian.AppendUint16(dst, ede.Code)
	return append(dst, text...)
}

// cut returns the first n octets of s at most, without half a character at the
// end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// AddOption adds an option to the OPT record that ends the message dst[start:].
// A message without one is returned unchanged, and so is one whose OPT would
// outgrow its length field.
func AddOption(dst []byte, start int, code uint16, data []byte) []byte {
	opt, ok := findOPT(dst[start:])
	if !ok {
		return dst
	}
	size := len(dst) - start - opt.RData + 4 + len(data)
	if size > 0xFFFF {
		return dst
	}
	binary.BigEndian.PutUint16(dst[start+opt.RData-2:], uint16(size))
	dst = binary.BigEndian.AppendUint16(dst, code)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}

// DropEDE removes the extended error from the OPT record that ends the message
// dst[start:] if without it the message fits limit: what is said beside an
// answer must not cost the answer.
func DropEDE(dst []byte, start, limit int) []byte {
	msg := dst[start:]
	opt, found := findOPT(msg)
	if !found {
		return dst
	}
	for off := opt.RData; off+4 <= opt.End; {
		end := off + 4 + int(binary.BigEndian.Uint16(msg[off+2:]))
		if binary.BigEndian.Uint16(msg[off:]) != OptionEDE {
			off = end
			continue
		}
		if end > opt.End || len(msg)-(end-off) > limit {
			return dst
		}
		binary.BigEndian.PutUint16(msg[opt.RData-2:], uint16(opt.End-opt.RData-(end-off)))
		return append(dst[:start+off], msg[end:]...)
	}
	return dst
}

// Truncate cuts the message dst[start:], a reply to q, if it is longer than
// limit, which is at least MinUDP: what is left is the header with TC, the
// question, and OPT, which loses its options only if they do not fit.
func Truncate(dst []byte, start int, q *Query, limit int) []byte {
	msg := dst[start:]
	if len(msg) <= limit {
		return dst
	}
	opt, found := findOPT(msg)
	end := HeaderLen
	if binary.BigEndian.Uint16(msg[4:]) > 0 {
		end = max(end, q.End)
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	binary.BigEndian.PutUint16(msg[2:], flags|flagTC)
	clear(msg[6:12])
	if !found {
		return dst[:start+end]
	}
	msg[11] = 1
	if end+opt.End-opt.Start > limit {
		msg[opt.RData-2], msg[opt.RData-1] = 0, 0
		opt.End = opt.RData
	}
	end += copy(msg[end:], msg[opt.Start:opt.End])
	return dst[:start+end]
}

// findOPT returns the OPT record that ends msg.
func findOPT(msg []byte) (opt Record, ok bool) {
	if len(msg) < HeaderLen || binary.BigEndian.Uint16(msg[10:]) == 0 {
		return Record{}, false
	}
	off, ok := skipQuestions(msg)
	if !ok {
		return Record{}, false
	}
	records := int(binary.BigEndian.Uint16(msg[6:])) +
		int(binary.BigEndian.Uint16(msg[8:])) + int(binary.BigEndian.Uint16(msg[10:]))
	for range records {
		if opt, ok = readRecord(msg, off); !ok {
			return Record{}, false
		}
		off = opt.End
	}
	return opt, opt.Type == TypeOPT && off == len(msg)
}
