package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// matchers compare a message with that of an entry. A matcher returns what
// differs, nothing if the two are alike.
var matchers = map[string]func(e *entry, got *dns.Msg) string{
	"opcode": func(e *entry, got *dns.Msg) string {
		return differ("opcode", dns.OpcodeToString[got.Opcode], dns.OpcodeToString[e.msg.Opcode])
	},
	"rcode": func(e *entry, got *dns.Msg) string {
		return differ("rcode", dns.RcodeToString[got.Rcode], dns.RcodeToString[e.msg.Rcode])
	},
	"flags": func(e *entry, got *dns.Msg) string { return differ("flags", flags(got), flags(e.msg)) },
	"qtype": func(e *entry, got *dns.Msg) string {
		return differ("type", dns.Type(asked(got).Qtype).String(), dns.Type(asked(e.msg).Qtype).String())
	},
	"qname": func(e *entry, got *dns.Msg) string {
		return differ("name", strings.ToLower(asked(got).Name), strings.ToLower(asked(e.msg).Name))
	},
	"qcase": func(e *entry, got *dns.Msg) string { return differ("name", asked(got).Name, asked(e.msg).Name) },
	"subdomain": func(e *entry, got *dns.Msg) string {
		if dns.IsSubDomain(asked(e.msg).Name, asked(got).Name) {
			return ""
		}
		return fmt.Sprintf("%s is not below %s", asked(got).Name, asked(e.msg).Name)
	},
	"question": func(e *entry, got *dns.Msg) string {
		lower := func(m *dns.Msg) string { q := asked(m); return strings.ToLower(q.String()) }
		return differ("question", lower(got), lower(e.msg))
	},
	"DO": func(_ *entry, got *dns.Msg) string {
		opt := got.IsEdns0()
		return truly(opt != nil && opt.Do(), "DO is off")
	},
	"RD":     func(_ *entry, got *dns.Msg) string { return truly(got.RecursionDesired, "RD is off") },
	"edns":   func(_ *entry, got *dns.Msg) string { return truly(got.IsEdns0() != nil, "no OPT record") },
	"noedns": func(_ *entry, got *dns.Msg) string { return truly(got.IsEdns0() == nil, "an OPT record") },

	"answer":     func(e *entry, got *dns.Msg) string { return compare(e, "answer", got.Answer, e.msg.Answer) },
	"authority":  func(e *entry, got *dns.Msg) string { return compare(e, "authority", got.Ns, e.msg.Ns) },
	"additional": func(e *entry, got *dns.Msg) string { return compare(e, "additional", got.Extra, e.msg.Extra) },

	"ednsdata": func(e *entry, got *dns.Msg) string { return differ("options", options(got), options(e.msg)) },

	// These two are for takes, which knows how a query came.
	"UDP": func(*entry, *dns.Msg) string { return "" },
	"TCP": func(*entry, *dns.Msg) string { return "" },
}

// takes tells whether a query that came by a stream or not is one of e's.
func (e *entry) takes(q *dns.Msg, stream bool) bool {
	for _, w := range e.match {
		if w == "UDP" && stream || w == "TCP" && !stream {
			return false
		}
	}
	return e.differences(q) == nil
}

// differences returns in what got is not what e wants.
func (e *entry) differences(got *dns.Msg) []string {
	var all []string
	for _, w := range e.match {
		if w == "ttl" {
			continue // see compare
		}
		if d := matchers[w](e, got); d != "" {
			all = append(all, d)
		}
	}
	if wrong := e.differentCode(extendedError(got)); wrong != "" {
		all = append(all, wrong)
	}
	return all
}

// differentCode tells in what an extended error, or anyEDE for none, is not
// what e wants. If e is lenient, codes that tell more exactly what is bogus
// will do for Bogus.
func (e *entry) differentCode(code int) string {
	const bogus, last = int(dns.ExtendedErrorCodeDNSBogus), int(dns.ExtendedErrorCodeNSECMissing)
	switch {
	case e.ede == someEDE && code == anyEDE:
		return "no extended error, want one"
	case e.ede == noEDE && code != anyEDE:
		return fmt.Sprintf("extended error %d, want none", code)
	case e.lenient && e.ede == bogus && bogus <= code && code <= last:
		return ""
	case e.ede >= 0 && code != e.ede:
		return fmt.Sprintf("extended error %d, want %d", code, e.ede)
	}
	return ""
}

// compare compares sections as sets, except that aliases keep their order and
// stand before the data. If e is lenient, nothing is compared that Proxima
// leaves out of replies: the additional section, and NS records of the
// authority section with their signatures.
func compare(e *entry, section string, got, want []dns.RR) string {
	if e.lenient && section == "additional" {
		return ""
	}
	if e.lenient && section == "authority" {
		got, want = withoutNS(got), withoutNS(want)
	}
	ttl := slices.Contains(e.match, "ttl")
	g, w := lines(got, ttl), lines(want, ttl)
	gotAliases, wantAliases := aliases(g), aliases(w)
	slices.Sort(g)
	slices.Sort(w)
	if slices.Equal(g, w) && slices.Equal(gotAliases, wantAliases) && aliasesFirst(got) {
		return ""
	}
	return fmt.Sprintf("%s section:\n\t\t%s\n\twant\n\t\t%s", section, strings.Join(g, "\n\t\t"), strings.Join(w, "\n\t\t"))
}

// withoutNS leaves NS records and their signatures out.
func withoutNS(section []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(section), func(rr dns.RR) bool {
		sig, signature := rr.(*dns.RRSIG)
		return rr.Header().Rrtype == dns.TypeNS || signature && sig.TypeCovered == dns.TypeNS
	})
}

// lines writes records, less OPT, each as a line in lower case.
func lines(section []dns.RR, ttl bool) []string {
	var all []string
	for _, rr := range section {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		rr = dns.Copy(rr)
		if !ttl {
			rr.Header().Ttl = 0
		}
		all = append(all, strings.ToLower(rr.String()))
	}
	return all
}

// aliasesFirst reports whether no alias stands behind data. Signatures stand
// anywhere.
func aliasesFirst(section []dns.RR) bool {
	data := false
	for _, rr := range section {
		switch rr.Header().Rrtype {
		case dns.TypeCNAME, dns.TypeDNAME:
			if data {
				return false
			}
		case dns.TypeRRSIG:
		default:
			data = true
		}
	}
	return true
}

// aliases keeps the lines of CNAME and DNAME records.
func aliases(lines []string) []string {
	var all []string
	for _, l := range lines {
		if strings.Contains(l, "\tcname\t") || strings.Contains(l, "\tdname\t") {
			all = append(all, l)
		}
	}
	return all
}

// asked returns the question of m, a zero one if there is none.
func asked(m *dns.Msg) dns.Question {
	if len(m.Question) == 0 {
		return dns.Question{}
	}
	return m.Question[0]
}

// flags writes the flags of m as in REPLY.
func flags(m *dns.Msg) string {
	var all []string
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"QR", m.Response}, {"AA", m.Authoritative}, {"TC", m.Truncated}, {"RD", m.RecursionDesired},
		{"RA", m.RecursionAvailable}, {"AD", m.AuthenticatedData}, {"CD", m.CheckingDisabled},
	} {
		if f.on {
			all = append(all, f.name)
		}
	}
	return strings.Join(all, " ")
}

// extendedError returns the first RFC 8914 code of m, anyEDE if it has none.
func extendedError(m *dns.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				return int(ede.InfoCode)
			}
		}
	}
	return anyEDE
}

// options writes the EDNS options of m, extended errors apart.
func options(m *dns.Msg) string {
	var all []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if o.Option() != dns.EDNS0EDE {
				all = append(all, fmt.Sprintf("%d %s", o.Option(), o))
			}
		}
	}
	return strings.Join(all, ", ")
}

func differ(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s %s, want %s", what, got, want)
}

func truly(is bool, otherwise string) string {
	if is {
		return ""
	}
	return otherwise
}
