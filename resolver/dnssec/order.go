package dnssec

import (
	"bytes"
	"slices"
)

// path returns the labels of a name, the root's side first. In this form the
// canonical order of names is the order of slices.Compare: octet by octet in a
// label, label by label in a name, and what ends comes first.
func (n name) path() []string {
	var labels []string
	for rest := n; len(rest) > 1; rest = rest.parent() {
		labels = append(labels, string(rest[1:1+int(rest[0])]))
	}
	slices.Reverse(labels)
	return labels
}

// before reports whether n comes before m in canonical order, RFC 4034
// section 6.1.
func (n name) before(m name) bool { return slices.Compare(n.path(), m.path()) < 0 }

// equal reports whether n and m are the same name.
func (n name) equal(m name) bool { return bytes.Equal(n, m) }

// below reports whether n stands below m.
func (n name) below(m name) bool { return len(n) > len(m) && n.within(m) }

// common returns the longest name that both n and m are within.
func (n name) common(m name) name {
	for !m.within(n) {
		n = n.parent()
	}
	return n
}

// towards returns the name one label below n on the way to m, which is below n:
// the "next closer name" of RFC 5155 section 1.3 if n is the closest encloser.
func (n name) towards(m name) name {
	for !m.parent().equal(n) {
		m = m.parent()
	}
	return m
}

// star returns the wildcard whose parent is n. It may be longer than a name can
// be; then it is nobody's.
func (n name) star() name { return append(name{1, '*'}, n...) }
