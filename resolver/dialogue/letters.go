package dialogue

import (
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// dress returns name, which is in lower case, in the letter case in which it is
// asked: one drawn anew for each exchange. The reply repeats it, so who forges
// one has a bit more to guess for each letter (draft-vixie-dnsext-dns0x20). Over
// TCP it shows whether the server can do that at all.
func (a *Asker) dress(name string, w way) string {
	if w.lower {
		return name
	}
	letters := []byte(name)
	a.chance.Lock()
	defer a.chance.Unlock()
	var bits uint64
	left := 0
	for i, letter := range letters {
		if letter < 'a' || letter > 'z' {
			continue
		}
		if left == 0 {
			bits, left = a.rand.Uint64(), 64
		}
		letters[i] -= byte(bits&1) * ('a' - 'A')
		bits, left = bits>>1, left-1
	}
	return string(letters)
}

// undress takes the letter case that was drawn out of the data of a reply. Where
// a name ends as the question does, a server points there instead of writing it
// again (RFC 1035 section 4.1.4), and it would go on to clients so. Signatures do
// not depend on it, RFC 4034 section 6.2.
func undress(asked, m *dns.Msg) {
	drawn := asked.Question[0].Name
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		switch rr := rr.(type) {
		case *dns.CNAME:
			rr.Target = lowerEnd(rr.Target, drawn)
		case *dns.DNAME:
			rr.Target = lowerEnd(rr.Target, drawn)
		case *dns.NS:
			rr.Ns = lowerEnd(rr.Ns, drawn)
		case *dns.SOA:
			rr.Ns, rr.Mbox = lowerEnd(rr.Ns, drawn), lowerEnd(rr.Mbox, drawn)
		case *dns.MX:
			rr.Mx = lowerEnd(rr.Mx, drawn)
		case *dns.PTR:
			rr.Ptr = lowerEnd(rr.Ptr, drawn)
		case *dns.SRV:
			rr.Target = lowerEnd(rr.Target, drawn)
		}
	}
}

// lowerEnd writes in lower case what is the same at the end of a name and of
// drawn, label by label and letter by letter.
func lowerEnd(name, drawn string) string {
	for _, start := range dns.Split(drawn) {
		end := drawn[start:]
		rest, same := strings.CutSuffix(name, end)
		if same && (rest == "" || strings.HasSuffix(rest, ".")) {
			return rest + strings.ToLower(end)
		}
	}
	return name
}

// caseChanged reports whether m has the name that was asked, but in another
// letter case.
func caseChanged(asked, m *dns.Msg) bool {
	if len(m.Question) != 1 {
		return false
	}
	sent, got := asked.Question[0].Name, m.Question[0].Name
	return sent != got && strings.EqualFold(sent, got)
}

// isSuspicious reports whether the Exchanger holds what came for forged.
func isSuspicious(err error) bool {
	var s interface{ Suspicious() bool }
	return errors.As(err, &s) && s.Suspicious()
}
