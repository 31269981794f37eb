package reply

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// mustQuestion reads "www.example. A".
func mustQuestion(t testing.TB, s string) dns.Question {
	t.Helper()
	name, typ, _ := strings.Cut(s, " ")
	return dns.Question{Name: name, Qtype: dns.StringToType[typ], Qclass: dns.ClassINET}
}

// mustRecords reads one record a line.
func mustRecords(t testing.TB, text string) []dns.RR {
	t.Helper()
	var out []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	parser.SetDefaultTTL(3600)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		out = append(out, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// mustReply reads a reply: flags and rcode in words, then sections as records,
// each begun by a line "-".
func mustReply(t testing.TB, q dns.Question, head, text string) *dns.Msg {
	t.Helper()
	m := &dns.Msg{Question: []dns.Question{q}}
	m.Response = true
	for _, word := range strings.Fields(head) {
		switch word {
		case "aa":
			m.Authoritative = true
		case "ra":
			m.RecursionAvailable = true
		case "tc":
			m.Truncated = true
		case "query":
			m.Response = false
		case "notify":
			m.Opcode = dns.OpcodeNotify
		default:
			m.Rcode = dns.StringToRcode[word]
		}
	}
	sections := strings.Split(text, "-\n")
	for i, to := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		if i < len(sections) {
			*to = mustRecords(t, sections[i])
		}
	}
	return m
}

// words tells a verdict in words.
func (v *Verdict) words() string {
	names := func(rrs []dns.RR) string {
		var out []string
		for _, rr := range rrs {
			out = append(out, strings.TrimSuffix(rr.Header().Name, ".example.")+"/"+dns.TypeToString[rr.Header().Rrtype])
		}
		return strings.Join(out, " ")
	}
	switch v.Kind {
	case Lame:
		return "lame: " + v.Reason
	case Referral:
		var glue []string
		for _, s := range v.Servers {
			glue = append(glue, s+fmt.Sprint(v.Glue[s]))
		}
		return strings.TrimSpace(fmt.Sprintf("referral to %s for %d s: %s; %s", v.Zone, v.TTL, strings.Join(glue, " "), names(v.Authority)))
	case Alias:
		return strings.TrimSpace(fmt.Sprintf("alias to %s: %s; %s", v.Target, names(v.Answer), names(v.Authority)))
	case Denial:
		return strings.TrimSpace(fmt.Sprintf("denial %s: %s", dns.RcodeToString[v.Rcode], names(v.Authority)))
	}
	return strings.TrimSpace(fmt.Sprintf("answer %s: %s; %s", dns.RcodeToString[v.Rcode], names(v.Answer), names(v.Authority)))
}

const (
	soa   = "one.example. SOA ns hostmaster 1 2 3 4 5\n"
	nsec  = "one.example. NSEC z.one.example. A\n"
	sigOf = " RRSIG %s 13 2 60 20300101000000 20200101000000 1 one.example. AAAA\n"
)

func TestClassify(t *testing.T) {
	sig := func(owner, typ string) string { return owner + fmt.Sprintf(sigOf, typ) }
	tests := []struct {
		name     string
		question string // to a server of one.example.
		head     string
		text     string
		want     string
	}{
		{"an answer is the records asked for", "www.one.example. A", "aa", "www.one.example. A 192.0.2.1\nwww.one.example. A 192.0.2.2\n", "answer NOERROR: www.one/A www.one/A;"},
		{"letter case of a server does not matter", "www.one.example. A", "aa", "WWW.One.EXAMPLE. A 192.0.2.1\n", "answer NOERROR: WWW.One.EXAMPLE./A;"},
		{"signatures go with what they cover", "www.one.example. A", "aa", "www.one.example. A 192.0.2.1\n" + sig("www.one.example.", "A") + sig("www.one.example.", "MX"), "answer NOERROR: www.one/A www.one/RRSIG;"},
		{"a wildcard's proof goes with the answer", "www.one.example. A", "aa", "www.one.example. A 192.0.2.1\n-\n" + nsec + sig("one.example.", "NSEC"), "answer NOERROR: www.one/A; one/NSEC one/RRSIG"},
		{"other records in the answer are left out", "www.one.example. A", "aa", "www.one.example. A 192.0.2.1\nftp.one.example. A 192.0.2.2\nwww.one.example. MX 1 a.\nwww.two.example. A 192.0.2.3\n", "answer NOERROR: www.one/A;"},
		{"NS beside an answer is left out", "www.one.example. A", "aa", "www.one.example. A 192.0.2.1\n-\none.example. NS evil.two.example.\n-\nevil.two.example. A 192.0.2.66\n", "answer NOERROR: www.one/A;"},
		{"an answer without AA will do", "www.one.example. A", "", "www.one.example. A 192.0.2.1\n", "answer NOERROR: www.one/A;"},
		{"another class is left out", "www.one.example. A", "aa", "www.one.example. CH A 192.0.2.1\n-\n" + soa, "denial NOERROR: one/SOA"},

		{"an alias leads on", "www.one.example. A", "aa", "www.one.example. CNAME www.two.example.\n", "alias to www.two.example.: www.one/CNAME;"},
		{"what an alias leads to outside the zone is left out", "www.one.example. A", "aa", "www.one.example. CNAME www.two.example.\nwww.two.example. A 192.0.2.66\n", "alias to www.two.example.: www.one/CNAME;"},
		{"what an alias leads to inside the zone is taken", "www.one.example. A", "aa", "a.one.example. A 192.0.2.1\nwww.one.example. CNAME a.one.example.\n", "answer NOERROR: www.one/CNAME a.one/A;"},
		{"of two aliases the first counts", "www.one.example. A", "aa", "www.one.example. CNAME a.one.example.\nwww.one.example. CNAME b.one.example.\n", "alias to a.one.example.: www.one/CNAME;"},
		{"a loop ends where it closes", "www.one.example. A", "aa", "www.one.example. CNAME a.one.example.\na.one.example. CNAME www.one.example.\n", "alias to www.one.example.: www.one/CNAME a.one/CNAME;"},
		{"an alias and NXDOMAIN is an alias", "www.one.example. A", "aa NXDOMAIN", "www.one.example. CNAME a.one.example.\n-\n" + soa, "alias to a.one.example.: www.one/CNAME;"},
		{"a DNAME makes its own CNAME", "a.old.one.example. A", "aa", "old.one.example. DNAME new.one.example.\na.old.one.example. CNAME evil.one.example.\n", "alias to a.new.one.example.: old.one/DNAME a.old.one/CNAME;"},
		{"the CNAME that a DNAME makes comes with it", "a.old.one.example. CNAME", "aa", "old.one.example. DNAME new.one.example.\na.old.one.example. CNAME a.new.one.example.\n", "answer NOERROR: old.one/DNAME a.old.one/CNAME;"},
		{"a DNAME above the zone is left out", "a.one.example. A", "aa", "example. DNAME evil.test.\n-\n" + soa, "denial NOERROR: one/SOA"},
		{"a DNAME does not rename its owner", "old.one.example. A", "aa", "old.one.example. DNAME new.one.example.\n-\n" + soa, "denial NOERROR: one/SOA"},
		{"YXDOMAIN is believed of a DNAME that is too long", strings.Repeat(strings.Repeat("y", 60)+".", 3) + "one.example. A", "aa YXDOMAIN", "one.example. DNAME " + strings.Repeat("x", 60) + "." + strings.Repeat("x", 20) + ".one.example.\n", "answer YXDOMAIN: one/DNAME;"},
		{"YXDOMAIN alone is not", "a.one.example. A", "aa YXDOMAIN", "", "lame: YXDOMAIN without a DNAME that says so"},

		{"a name that does not exist", "www.one.example. A", "aa NXDOMAIN", "-\n" + soa + sig("one.example.", "SOA") + nsec, "denial NXDOMAIN: one/SOA one/RRSIG one/NSEC"},
		{"a type that does not exist", "www.one.example. A", "aa", "-\n" + soa, "denial NOERROR: one/SOA"},
		{"a denial without SOA counts from the authority only", "www.one.example. A", "aa NXDOMAIN", "", "denial NXDOMAIN:"},
		{"nothing at all", "www.one.example. A", "", "", "lame: neither answer nor referral"},
		{"the SOA of another zone is left out", "www.one.example. A", "aa", "-\ntwo.example. SOA a. b. 1 2 3 4 5\n", "denial NOERROR:"},
		{"the SOA of the parent is left out", "www.one.example. A", "aa", "-\nexample. SOA a. b. 1 2 3 4 5\n", "denial NOERROR:"},
		{"NS beside a denial is left out", "www.sub.one.example. A", "aa", "-\n" + soa + "sub.one.example. NS evil.test.\n-\nevil.test. A 192.0.2.66\n", "denial NOERROR: one/SOA"},
		{"a proof of another zone is left out", "www.one.example. A", "aa NXDOMAIN", "-\n" + soa + "two.example. NSEC z.two.example. A\n", "denial NXDOMAIN: one/SOA"},

		{"a referral to a zone below", "www.sub.one.example. A", "", "-\nsub.one.example. 300 NS ns.sub.one.example.\nsub.one.example. NS ns.two.example.\n-\nns.sub.one.example. A 192.0.2.1\n", "referral to sub.one.example. for 300 s: ns.sub.one.example.[192.0.2.1] ns.two.example.[];"},
		{"glue shortens the lease", "www.sub.one.example. A", "", "-\nsub.one.example. 300 NS ns.sub.one.example.\n-\nns.sub.one.example. 60 A 192.0.2.1\n", "referral to sub.one.example. for 60 s: ns.sub.one.example.[192.0.2.1];"},
		{"glue of a sibling in the asked zone is used", "www.sub.one.example. A", "", "-\nsub.one.example. NS ns.sib.one.example.\n-\nns.sib.one.example. A 192.0.2.1\n", "referral to sub.one.example. for 3600 s: ns.sib.one.example.[192.0.2.1];"},
		{"glue from outside the asked zone is left out", "www.sub.one.example. A", "", "-\nsub.one.example. NS ns.two.example.\n-\nns.two.example. A 192.0.2.66\n", "referral to sub.one.example. for 3600 s: ns.two.example.[];"},
		{"addresses of no server are left out", "www.sub.one.example. A", "", "-\nsub.one.example. NS ns.sub.one.example.\n-\nwww.one.example. A 192.0.2.66\n", "referral to sub.one.example. for 3600 s: ns.sub.one.example.[];"},
		{"the same address twice counts once", "www.sub.one.example. A", "", "-\nsub.one.example. NS ns.sub.one.example.\n-\nns.sub.one.example. A 192.0.2.1\nns.sub.one.example. AAAA ::ffff:192.0.2.1\n", "referral to sub.one.example. for 3600 s: ns.sub.one.example.[192.0.2.1];"},
		{"a referral brings DS and its signature", "www.sub.one.example. A", "", "-\nsub.one.example. NS ns.two.example.\nsub.one.example. DS 1 13 2 00\n" + sig("sub.one.example.", "DS") + "www.one.example. DS 1 13 2 00\n", "referral to sub.one.example. for 3600 s: ns.two.example.[]; sub.one/DS sub.one/RRSIG"},
		{"a referral to the zone itself", "www.one.example. A", "", "-\none.example. NS ns.one.example.\n", "lame: neither answer nor referral"},
		{"a referral upwards", "www.one.example. A", "", "-\nexample. NS ns.example.\n", "lame: neither answer nor referral"},
		{"a referral to the root", "www.one.example. A", "", "-\n. NS a.root-servers.example.\n", "lame: neither answer nor referral"},
		{"a referral sideways", "www.one.example. A", "", "-\nftp.one.example. NS ns.one.example.\n", "lame: neither answer nor referral"},
		{"a referral to two zones", "www.sub.one.example. A", "", "-\nsub.one.example. NS a.\nwww.sub.one.example. NS a.\n", "lame: referred to two zones"},
		{"DS is not referred to the zone itself", "sub.one.example. DS", "", "-\nsub.one.example. NS ns.sub.one.example.\n", "lame: neither answer nor referral"},

		{"REFUSED", "www.one.example. A", "REFUSED", "", "lame: REFUSED"},
		{"SERVFAIL with an answer", "www.one.example. A", "SERVFAIL aa", "www.one.example. A 192.0.2.1\n", "lame: SERVFAIL"},
		{"NXDOMAIN with an answer", "www.one.example. A", "NXDOMAIN aa", "www.one.example. A 192.0.2.1\n", "lame: denied what it answered"},
		{"a resolver", "www.one.example. A", "ra", "www.one.example. A 192.0.2.1\n", "lame: a resolver, not a server of the zone"},
		{"a resolver's denial", "www.one.example. A", "ra NXDOMAIN", "-\n" + soa, "lame: a resolver, not a server of the zone"},
		{"a referral by a server that resolves too", "www.sub.one.example. A", "ra", "-\nsub.one.example. NS ns.two.example.\n", "referral to sub.one.example. for 3600 s: ns.two.example.[];"},
		{"a cut reply", "www.one.example. A", "aa tc", "www.one.example. A 192.0.2.1\n", "lame: truncated"},
		{"a query", "www.one.example. A", "query", "", "lame: not a reply to a query"},
		{"a notification", "www.one.example. A", "notify", "", "lame: not a reply to a query"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := mustQuestion(t, tt.question)
			v := Classify(q, mustReply(t, q, tt.head, tt.text), From{Zone: "one.example."})
			if got := v.words(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestClassify_limits(t *testing.T) {
	q := mustQuestion(t, "www.one.example. A")
	from := From{Zone: "one.example."}
	t.Run("a set of 256 records is believed, one of 257 is not", func(t *testing.T) {
		m := mustReply(t, q, "aa", "")
		for i := range maxRRset + 1 {
			if v := Classify(q, m, from); i > 0 && v.Kind != Answer {
				t.Fatalf("with %d records: %s", i, v.words())
			}
			m.Answer = append(m.Answer, mustRecords(t, fmt.Sprintf("www.one.example. A 192.0.2.%d\n", i%256))...)
		}
		if v := Classify(q, m, from); v.Kind != Lame {
			t.Errorf("with %d records: %s", len(m.Answer), v.words())
		}
	})
	t.Run("of 300 signatures 256 are read, and the record is believed", func(t *testing.T) {
		m := mustReply(t, q, "aa", "www.one.example. A 192.0.2.1\n")
		for range 300 {
			m.Answer = append(m.Answer, mustRecords(t, "www.one.example. RRSIG A 8 3 60 20270101000000 20260101000000 1 one.example. AAAA\n")...)
		}
		if v := Classify(q, m, from); v.Kind != Answer || len(v.Answer) != 1+maxRRset {
			t.Errorf("%d records: %s", len(v.Answer), v.words())
		}
	})
	t.Run("a chain in one reply is followed no further than aliases are", func(t *testing.T) {
		m := mustReply(t, q, "aa", "www.one.example. CNAME c0.one.example.\n")
		for i := range 100 {
			m.Answer = append(m.Answer, mustRecords(t, fmt.Sprintf("c%d.one.example. CNAME c%d.one.example.\n", i, i+1))...)
		}
		if v := Classify(q, m, from); v.Steps != MaxAliases+1 {
			t.Errorf("%d steps, want %d", v.Steps, MaxAliases+1)
		}
	})
	t.Run("of many servers and addresses only so many are read", func(t *testing.T) {
		q := mustQuestion(t, "www.sub.one.example. A")
		m := mustReply(t, q, "", "")
		for i := range 1500 {
			m.Ns = append(m.Ns, mustRecords(t, fmt.Sprintf("sub.one.example. NS ns%d.one.example.\n", i))...)
			m.Extra = append(m.Extra, mustRecords(t, fmt.Sprintf("ns0.one.example. A 192.0.2.%d\n", i%256))...)
		}
		v := Classify(q, m, from)
		if len(v.Servers) != maxReferredServers || len(v.Glue["ns0.one.example."]) != MaxAddresses {
			t.Errorf("%d servers, %d addresses", len(v.Servers), len(v.Glue["ns0.one.example."]))
		}
	})
}

// FuzzClassify sees that no reply makes Classify panic, and that whatever it
// lets in lies in the zone that was asked and belongs to the question.
func FuzzClassify(f *testing.F) {
	from := From{Zone: "one.example."}
	seeds := []struct{ question, head, text string }{
		{"www.one.example. A", "aa", "www.one.example. CNAME a.one.example.\na.one.example. A 192.0.2.1\n"},
		{"www.sub.one.example. A", "", "-\nsub.one.example. NS ns.sub.one.example.\n-\nns.sub.one.example. A 192.0.2.1\n"},
		{"a.old.one.example. A", "aa", "old.one.example. DNAME new.one.example.\n"},
		{"www.one.example. A", "aa NXDOMAIN", "-\n" + soa + nsec},
	}
	for _, s := range seeds {
		packet, err := mustReply(f, mustQuestion(f, s.question), s.head, s.text).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, false)
		f.Add(packet, true)
	}
	f.Fuzz(func(t *testing.T, packet []byte, recursive bool) {
		var m dns.Msg
		if m.Unpack(packet) != nil || len(m.Question) != 1 {
			return
		}
		q := m.Question[0]
		q.Name = dns.CanonicalName(q.Name)
		if q.Qclass != dns.ClassINET || !dns.IsSubDomain(from.Zone, q.Name) {
			return
		}
		v := Classify(q, &m, From{Zone: from.Zone, Recursive: recursive})
		for _, rr := range slices.Concat(v.Answer, v.Authority) {
			if !dns.IsSubDomain(from.Zone, rr.Header().Name) {
				t.Fatalf("let in from outside the zone: %v", rr)
			}
			switch rr.Header().Rrtype {
			case q.Qtype, dns.TypeCNAME, dns.TypeDNAME, dns.TypeSOA, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeRRSIG:
			case dns.TypeDS:
				if v.Kind != Referral {
					t.Fatalf("let in: %v", rr)
				}
			default:
				t.Fatalf("let in: %v", rr)
			}
		}
		if v.Kind == Referral && (!strictlyBelow(from.Zone, v.Zone) || !dns.IsSubDomain(v.Zone, q.Name)) {
			t.Fatalf("referred from %s to %s for %s", from.Zone, v.Zone, q.Name)
		}
		if v.Kind == Referral && recursive {
			t.Fatal("a resolver referred")
		}
		for name := range v.Glue {
			if !slices.Contains(v.Servers, name) || !dns.IsSubDomain(from.Zone, name) {
				t.Fatalf("glue for %s", name)
			}
		}
	})
}
