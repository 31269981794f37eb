package localroot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// summary writes a reply: its rcode and, for each section, owner, type and data
// of the records. Signatures are told by what they cover.
func summary(m *dns.Msg) string {
	if m == nil {
		return "nothing"
	}
	out := dns.RcodeToString[m.Rcode]
	if m.Authoritative {
		out += " aa"
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var list []string
		for _, rr := range section {
			text := strings.TrimPrefix(rr.String(), rr.Header().String())
			if sig, ok := rr.(*dns.RRSIG); ok {
				text = dns.Type(sig.TypeCovered).String()
			}
			if unknown, ok := rr.(*dns.RFC3597); ok {
				text = unknown.Rdata
			}
			if rr.Header().Rrtype == dns.TypeSOA || rr.Header().Rrtype == dns.TypeDS {
				text = fmt.Sprint(rr.Header().Ttl)
			}
			list = append(list, strings.Join([]string{rr.Header().Name, dns.Type(rr.Header().Rrtype).String(), text}, " "))
		}
		if len(list) > 0 {
			out += "; " + []string{"answer", "authority", "additional"}[i] + " " + strings.Join(list, ", ")
		}
	}
	return out
}

func TestZone_Answer(t *testing.T) {
	const soa = ". SOA 86400, . RRSIG SOA"
	tests := []struct {
		name, qname string
		typ         uint16
		want        string
	}{
		{"a signed delegation", "test.", dns.TypeA, "NOERROR; authority test. NS a.root-servers.test., test. DS 86400, test. RRSIG DS; " +
			"additional a.root-servers.test. A 192.0.2.1, a.root-servers.test. AAAA 2001:db8::1"},
		{"an unsigned one, from far below, in capitals", "www.Deep.EXAMPLE.", dns.TypeTXT,
			"NOERROR; authority example. NS ns.example., example. NS ns.test., example. NSEC own. NS RRSIG NSEC, example. RRSIG NSEC; " +
				"additional ns.example. A 192.0.2.3"},
		{"a name with glue is not the zone's own", "ns.example.", dns.TypeA,
			"NOERROR; authority example. NS ns.example., example. NS ns.test., example. NSEC own. NS RRSIG NSEC, example. RRSIG NSEC; " +
				"additional ns.example. A 192.0.2.3"},
		{"DS belongs to the parent", "test.", dns.TypeDS, "NOERROR aa; answer test. DS 86400, test. RRSIG DS"},
		{"DS that is not there", "example.", dns.TypeDS,
			"NOERROR aa; authority " + soa + ", example. NSEC own. NS RRSIG NSEC, example. RRSIG NSEC"},
		{"DS of a name below a delegation", "www.test.", dns.TypeDS, "NOERROR; authority test. NS a.root-servers.test., test. DS 86400, test. RRSIG DS; " +
			"additional a.root-servers.test. A 192.0.2.1, a.root-servers.test. AAAA 2001:db8::1"},
		{"DS of the root", ".", dns.TypeDS,
			"NOERROR aa; authority " + soa + ", . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"no such name", "nothing.", dns.TypeA, "NXDOMAIN aa; authority " + soa +
			", example. NSEC own. NS RRSIG NSEC, example. RRSIG NSEC, . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"no such name, and one proof for it and the wildcard", "a.", dns.TypeA, "NXDOMAIN aa; authority " + soa +
			", . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"the last name of all", "zzz.", dns.TypeA, "NXDOMAIN aa; authority " + soa +
			", test. NSEC . NS DS RRSIG NSEC, test. RRSIG NSEC, . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"an empty name", "down.", dns.TypeA, "NOERROR aa; authority " + soa +
			", . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"a name below an empty one", "shallow.down.", dns.TypeA, "NXDOMAIN aa; authority " + soa +
			", deep.down. NSEC example. NS RRSIG NSEC, deep.down. RRSIG NSEC, . NSEC deep.down. NS SOA RRSIG NSEC DNSKEY ZONEMD TYPE65280, . RRSIG NSEC"},
		{"no such type", "own.", dns.TypeA, "NOERROR aa; authority " + soa + ", own. NSEC test. TXT RRSIG NSEC, own. RRSIG NSEC"},
		{"priming", ".", dns.TypeNS, "NOERROR aa; answer . NS a.root-servers.test., . NS b.root-servers.test., . RRSIG NS; " +
			"additional a.root-servers.test. A 192.0.2.1, a.root-servers.test. AAAA 2001:db8::1, b.root-servers.test. A 192.0.2.2"},
		{"a type that nobody knows", ".", 65280, `NOERROR aa; answer . TYPE65280 0a000001, . RRSIG TYPE65280`},
		{"signatures", ".", dns.TypeRRSIG, "nothing"},
		{"everything", ".", dns.TypeANY, "nothing"},
		{"a transfer", ".", dns.TypeAXFR, "nothing"},
	}
	z, _ := mustZone(t, rootText)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := dns.Question{Name: tt.qname, Qtype: tt.typ, Qclass: dns.ClassINET}
			m := z.Answer(q)
			if got := summary(m); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if m != nil && (!m.Response || !slices.Equal(m.Question, []dns.Question{q})) {
				t.Errorf("not a reply to the question: %v", m)
			}
		})
	}
	if m := z.Answer(dns.Question{Name: ".", Qtype: dns.TypeNS, Qclass: dns.ClassCHAOS}); m != nil {
		t.Errorf("answered another class: %v", m)
	}
}

func TestZone_Answer_givesCopies(t *testing.T) {
	z, _ := mustZone(t, rootText)
	q := dns.Question{Name: "test.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	before := summary(z.Answer(q))
	m := z.Answer(q)
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		rr.Header().Ttl, rr.Header().Name = 1, "changed."
	}
	if after := summary(z.Answer(q)); after != before {
		t.Errorf("a change of the reply changed the zone: %s", after)
	}
}
