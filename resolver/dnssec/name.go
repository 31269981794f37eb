package dnssec

import (
	"bytes"
	"fmt"

	"github.com/miekg/dns"
)

// maxName is the length of a name in octets, RFC 1035 section 2.3.4.
const maxName = 255

// A name is a domain name in canonical wire form: uncompressed, lower case
// (RFC 4034 section 6.2). Text has many spellings of one name, this has one.
type name []byte

// canonical returns the name that the text s spells.
func canonical(s string) (name, error) {
	var buf [maxName]byte
	n, err := dns.PackDomainName(s, buf[:], 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", s, err)
	}
	return name(bytes.Clone(lower(buf[:n]))), nil
}

// lower changes ASCII letters to lower case in place. It may be used on a whole
// name in wire form: the length of a label is below 'A'.
func lower(wire []byte) []byte {
	for i, c := range wire {
		if 'A' <= c && c <= 'Z' {
			wire[i] = c + 'a' - 'A'
		}
	}
	return wire
}

// depth counts the labels without the root's.
func (n name) depth() int {
	count := 0
	for ; len(n) > 1; n = n.parent() {
		count++
	}
	return count
}

// labels counts the labels without the root's and without a leading "*", as
// the Labels field of an RRSIG does (RFC 4034 section 3.1.3).
func (n name) labels() int {
	if n.wildcard() {
		return n.depth() - 1
	}
	return n.depth()
}

// last returns the last labels of n: the name of that depth at or above it.
func (n name) last(labels int) name {
	for range n.depth() - labels {
		n = n.parent()
	}
	return n
}

// wildcard reports whether the first label is "*".
func (n name) wildcard() bool { return len(n) > 2 && n[0] == 1 && n[1] == '*' }

// parent returns the name less its first label; the root has none.
func (n name) parent() name { return n[1+int(n[0]):] }

// within reports whether n is zone or below it, label by label.
func (n name) within(zone name) bool {
	for len(n) > len(zone) {
		n = n.parent()
	}
	return bytes.Equal(n, zone)
}

// String returns the name as text, with the final dot.
func (n name) String() string {
	s, _, err := dns.UnpackDomainName(n, 0)
	if err != nil {
		return fmt.Sprintf("%x", []byte(n))
	}
	return s
}
