package wire

import "encoding/binary"

// maxHops bounds the compression pointers of one name. 64, not configurable:
// a genuine name has one or two, and 127 labels with a pointer after each one
// are only ever seen in attacks (CVE-2024-8508).
const maxHops = 64

// SkipName returns the offset of the first octet after the name at off. It
// follows the pointers of a compressed name, but only to see that the name is
// sound: at most MaxName octets, at most maxHops pointers, and each of them to
// an octet before the labels it ends, so that no name is part of itself.
func SkipName(msg []byte, off int) (next int, ok bool) {
	length, hops, from := 1, 0, off // from: where the labels being read begin
	for off >= 0 && off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			if hops == 0 {
				next = off + 1
			}
			return next, true
		case c < 0x40:
			off += 1 + c
			length += 1 + c
			if length > MaxName {
				return 0, false
			}
		case c >= 0xC0 && off+1 < len(msg):
			if hops == 0 {
				next = off + 2
			}
			hops++
			off = (c&0x3F)<<8 | int(msg[off+1])
			if off < HeaderLen || off >= from || hops > maxHops {
				return 0, false
			}
			from = off
		default: // half a pointer, or a label type that RFC 6891 section 5 retired
			return 0, false
		}
	}
	return 0, false
}

// AppendLower appends an uncompressed name with its letters in lower case.
// Length octets are below the letters, so they need no care.
func AppendLower(dst, name []byte) []byte {
	start := len(dst)
	dst = append(dst, name...)
	rest := dst[start:]
	for ; len(rest) >= 8; rest = rest[8:] {
		binary.LittleEndian.PutUint64(rest, lower8(binary.LittleEndian.Uint64(rest)))
	}
	for i, c := range rest {
		rest[i] = Lower(c)
	}
	return dst
}

// lower8 is Lower for the eight octets of a number at once. In each octet that
// is below 0x80 a sum has the highest bit set if the octet is at least A, or
// above Z; no sum reaches the next octet.
func lower8(x uint64) uint64 {
	const each = 0x0101010101010101
	low := x &^ (0x80 * each)
	fromA, aboveZ := low+(0x80-'A')*each, low+(0x80-'Z'-1)*each
	letters := (fromA &^ aboveZ) &^ x & (0x80 * each)
	return x | letters>>2 // 0x20 is what tells the cases apart
}

// Lower returns the octet c of a name in lower case. Only A to Z have another
// case, RFC 4343.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// skipPlain is SkipName for a name that may not be compressed.
func skipPlain(msg []byte, off int) (next int, ok bool) {
	end := min(len(msg), off+MaxName)
	for off < end {
		c := int(msg[off])
		if c == 0 {
			return off + 1, true
		}
		if c >= 0x40 {
			return 0, false
		}
		off += 1 + c
	}
	return 0, false
}
