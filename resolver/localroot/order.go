package localroot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxName is the length of a name in octets, RFC 1035 section 2.3.4.
const maxName = 255

// canonical returns the one spelling that a name has in messages, in lower
// case, and its key.
func canonical(s string) (name, key string, err error) {
	var wire [maxName + 1]byte
	end, err := dns.PackDomainName(s, wire[:], 0, nil, false)
	if err != nil {
		return "", "", fmt.Errorf("name %q: %w", s, err)
	}
	lower(wire[:end])
	if name, _, err = dns.UnpackDomainName(wire[:end], 0); err != nil {
		return "", "", fmt.Errorf("name %q: %w", s, err)
	}
	return name, keyOf(wire[:end]), nil
}

// lower changes ASCII letters of a name in wire form to lower case in place. The
// length of a label is below 'A'.
func lower(wire []byte) {
	for i, c := range wire {
		if 'A' <= c && c <= 'Z' {
			wire[i] = c + 'a' - 'A'
		}
	}
}

// keyOf returns the key of a name in wire form and lower case: keys sort by
// their octets as RFC 4034 section 6.1 wants names sorted, and each begins with
// the keys of all names above it. It is the labels, the root's side first, each
// with a 0 after it; the octets 0 and 1 in a label are written as 1 1 and 1 2.
func keyOf(wire []byte) string {
	var starts []int
	for at := 0; wire[at] != 0; at += 1 + int(wire[at]) {
		starts = append(starts, at)
	}
	var b strings.Builder
	for _, at := range slices.Backward(starts) {
		for _, c := range wire[at+1 : at+1+int(wire[at])] {
			if c <= 1 {
				b.WriteByte(1)
				c++
			}
			b.WriteByte(c)
		}
		b.WriteByte(0)
	}
	return b.String()
}

// above returns the key of the name one label shorter; the root has none.
func above(key string) string { return key[:strings.LastIndexByte(key[:len(key)-1], 0)+1] }

// covering returns the last name with data of the zone that does not come after
// key, the one whose NSEC record covers it.
func (z *Zone) covering(key string) *node {
	i, _ := slices.BinarySearchFunc(z.chain, key, func(n *node, key string) int {
		if n.key <= key {
			return -1
		}
		return 1
	})
	return z.chain[max(i-1, 0)]
}

// exists reports whether there is anything at or below a name.
func (z *Zone) exists(key string) bool {
	i, _ := slices.BinarySearchFunc(z.sorted, key, func(n *node, key string) int { return strings.Compare(n.key, key) })
	return i < len(z.sorted) && strings.HasPrefix(z.sorted[i].key, key)
}
