package dialogue

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestUndress(t *testing.T) {
	const drawn = "wWw.eXaMple."
	tests := []struct{ name, record, want string }{
		{"a target that ends as the question", "a. 60 IN CNAME x.eXaMple.", "a.\t60\tIN\tCNAME\tx.example."},
		{"one that is the question", "a. 60 IN PTR wWw.eXaMple.", "a.\t60\tIN\tPTR\twww.example."},
		{"one below it", "a. 60 IN DNAME B.wWw.eXaMple.", "a.\t60\tIN\tDNAME\tB.www.example."},
		{"both names of an SOA", "a. 60 IN SOA nS.eXaMple. Root.eXaMple. 1 2 3 4 5", "a.\t60\tIN\tSOA\tnS.example. Root.example. 1 2 3 4 5"},
		{"servers", "a. 60 IN NS ns.eXaMple.", "a.\t60\tIN\tNS\tns.example."},
		{"mail exchangers", "a. 60 IN MX 1 mx.eXaMple.", "a.\t60\tIN\tMX\t1 mx.example."},
		{"services", "a. 60 IN SRV 1 2 3 srv.eXaMple.", "a.\t60\tIN\tSRV\t1 2 3 srv.example."},
		{"a letter case that is the server's own stays", "a. 60 IN CNAME X.Example.", "a.\t60\tIN\tCNAME\tX.Example."},
		{"also where only a part of a label is the same", "a. 60 IN CNAME noteXaMple.", "a.\t60\tIN\tCNAME\tnoteXaMple."},
		{"text is not touched", "a. 60 IN TXT \"wWw.eXaMple.\"", "a.\t60\tIN\tTXT\t\"wWw.eXaMple.\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rr, err := dns.NewRR(tt.record)
			if err != nil {
				t.Fatal(err)
			}
			undress(&dns.Msg{Question: []dns.Question{{Name: drawn}}}, &dns.Msg{Ns: []dns.RR{rr}})
			if got := rr.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPrice_isAboutTheSize(t *testing.T) {
	for _, text := range []string{
		"www.example. 60 A 192.0.2.1\nwww.example. 60 A 192.0.2.2\n",
		"www.example. 60 AAAA 2001:db8::1\n",
		"www.example. 60 MX 10 mail.example.\nwww.example. 60 TXT \"some text\"\n",
	} {
		m := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
		for line := range strings.Lines(text) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.SetEdns0(1232, true)
		if got, want := price(m), size(m); got < want-2 || got > want+20 {
			t.Errorf("price = %d, want about %d:\n%v", got, want, m)
		}
	}
}
