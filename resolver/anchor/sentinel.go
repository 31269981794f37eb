package anchor

import (
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// A Sentinel is a question by which a user finds out whether the resolver trusts
// a key of the root: RFC 8509.
type Sentinel struct {
	Tag   uint16
	Trust bool // "is it?", which fails unless it is; otherwise "is it not?"
}

// ReadSentinel reads the first label of a name as "root-key-sentinel-is-ta-" or
// "root-key-sentinel-not-ta-" and five digits, and reports whether it is one.
func ReadSentinel(name string) (s Sentinel, ok bool) {
	const is, not, digits = "root-key-sentinel-is-ta-", "root-key-sentinel-not-ta-", 5
	if len(name) < len(is)+digits || name[0]|0x20 != 'r' { // nearly all names
		return Sentinel{}, false
	}
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	number, ok := strings.CutPrefix(label, is)
	if s.Trust = ok; !ok {
		number, ok = strings.CutPrefix(label, not)
	}
	if !ok || len(number) != digits {
		return Sentinel{}, false
	}
	tag, err := strconv.ParseUint(number, 10, 16) // takes no sign
	s.Tag = uint16(tag)
	return s, err == nil
}

// Fails reports whether the answer is SERVFAIL instead of what it would be, given
// what is trusted of the root. The caller has found that the question is for A
// or AAAA without CD, and that what the answer would be is secure: RFC 8509
// section 2.2.
func (s Sentinel) Fails(trusted []*dns.DS) bool {
	return slices.Contains(Tags(".", trusted), s.Tag) != s.Trust
}
