package denial

import (
	"strings"

	"github.com/miekg/dns"
)

// A path is a name that sorts by its octets as RFC 4034 section 6.1 wants names
// sorted, and that begins with the paths of all its ancestors. It is the labels
// in lower case, the root's side first, each with a 0 after it; the octets 0
// and 1 in a label are written as 1 1 and 1 2. The root's is empty.
type path string

// pathOf returns the path of the name that s spells.
func pathOf(s string) (path, bool) {
	var wire [256]byte // a name has up to 255 octets
	end, err := dns.PackDomainName(s, wire[:], 0, nil, false)
	if err != nil {
		return "", false
	}
	var starts []int
	for at := 0; wire[at] != 0; at += 1 + int(wire[at]) {
		starts = append(starts, at)
	}
	b := make([]byte, 0, end)
	for i := len(starts) - 1; i >= 0; i-- {
		at := starts[i]
		for _, c := range wire[at+1 : at+1+int(wire[at])] {
			switch {
			case c <= 1:
				b = append(b, 1, c+1)
			case 'A' <= c && c <= 'Z':
				b = append(b, c+'a'-'A')
			default:
				b = append(b, c)
			}
		}
		b = append(b, 0)
	}
	return path(b), true
}

// within reports whether p is q or below it.
func (p path) within(q path) bool { return strings.HasPrefix(string(p), string(q)) }

// below reports whether p is below q.
func (p path) below(q path) bool { return len(p) > len(q) && p.within(q) }

// common returns the longest path that both p and q are within.
func (p path) common(q path) path {
	end := 0
	for i := range min(len(p), len(q)) {
		if p[i] != q[i] {
			break
		}
		if p[i] == 0 {
			end = i + 1
		}
	}
	return p[:end]
}

// labels counts the labels but a "*" at the front, as the field of that name in
// an RRSIG does (RFC 4034 section 3.1.3).
func (p path) labels() int {
	n := strings.Count(string(p), "\x00")
	if _, ok := cutStar(p); ok {
		n--
	}
	return n
}

// star returns the path of the wildcard below p.
func (p path) star() path { return p + "*\x00" }

// cutStar returns the path that p is the wildcard below, if it is one.
func cutStar(p path) (encloser path, ok bool) {
	cut, ok := strings.CutSuffix(string(p), "*\x00")
	return path(cut), ok && (cut == "" || cut[len(cut)-1] == 0)
}
