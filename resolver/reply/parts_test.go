package reply

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestPart_Home(t *testing.T) {
	sig := func(owner, typ, signer string) string {
		return fmt.Sprintf("%s RRSIG %s 13 2 60 20300101000000 20200101000000 1 %s AAAA\n", owner, typ, signer)
	}
	const a = "www.sub.one.example. A 192.0.2.1\n"
	tests := []struct {
		name    string
		records string // from a server of one.example.
		want    string
	}{
		{"signed by the zone that was asked", a + sig("www.sub.one.example.", "A", "one.example."), "one.example."},
		{"signed by a zone below", a + sig("www.sub.one.example.", "A", "Sub.one.example."), "sub.one.example."},
		{"signed by who has the name itself", a + sig("www.sub.one.example.", "A", "www.sub.one.example."), "www.sub.one.example."},
		{"signed by the parent: the zone's, and wrong", a + sig("www.sub.one.example.", "A", "example."), "one.example."},
		{"signed by somebody else: perhaps an insecure zone's", a + sig("www.sub.one.example.", "A", "two.example."), "www.sub.one.example."},
		{"not signed: perhaps an insecure zone's", a, "www.sub.one.example."},
		{"DS are the parent's", "sub.one.example. DS 1 13 2 00\n", "one.example."},
		{"the zone's own DS are not here", "one.example. DS 1 13 2 00\n", "one.example."},
		{"of two signatures the first that fits counts", a + sig("www.sub.one.example.", "A", "two.example.") + sig("www.sub.one.example.", "A", "sub.one.example."), "sub.one.example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Verdict{Kind: Answer, Answer: mustRecords(t, tt.records)}
			parts := v.Parts()
			if len(parts) != 1 || parts[0].Home("one.example.") != tt.want {
				t.Errorf("%d parts, at home in %s, want %s", len(parts), parts[0].Home("one.example."), tt.want)
			}
		})
	}
}

func TestVerdict_Parts(t *testing.T) {
	tests := []struct {
		name     string
		question string
		records  string
		want     string // owner and type of each
	}{
		{"each alias is a part", "a.one.example. A", "a.one.example. CNAME b.one.example.\nb.one.example. A 192.0.2.1\n", "a.one.example. CNAME, b.one.example. A"},
		{"what a DNAME makes is a part of it", "x.old.one.example. A", "old.one.example. DNAME new.one.example.\nx.new.one.example. A 192.0.2.1\n", "old.one.example. DNAME, x.new.one.example. A"},
		{"however often a chain passes it", "x.old.one.example. A",
			"old.one.example. DNAME new.one.example.\nx.new.one.example. CNAME y.old.one.example.\ny.new.one.example. A 192.0.2.1\n",
			"old.one.example. DNAME, x.new.one.example. CNAME, y.new.one.example. A"},
		{"signatures asked for are none", "a.one.example. RRSIG", "a.one.example. RRSIG A 13 2 60 20300101000000 20200101000000 1 one.example. AAAA\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := mustQuestion(t, tt.question)
			v := Classify(q, mustReply(t, q, "aa", tt.records), From{Zone: "one.example."})
			var got []string
			for _, p := range v.Parts() {
				got = append(got, p.set.Name()+" "+dns.Type(p.set.Type()).String())
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("parts %s, want %s", s, tt.want)
			}
		})
	}
}

// FuzzVerdict_homes sees that whatever a reply says, the zones of its parts are
// looked for in the zone that was asked, and on the way to the question.
func FuzzVerdict_homes(f *testing.F) {
	const zone = "one.example."
	seeds := []struct{ question, head, text string }{
		{"www.one.example. A", "aa", "www.one.example. CNAME a.one.example.\na.one.example. A 192.0.2.1\na.one.example. RRSIG A 13 3 60 20300101000000 20200101000000 1 example. AAAA\n"},
		{"www.sub.one.example. A", "", "-\nsub.one.example. NS ns.sub.one.example.\nsub.one.example. DS 1 13 2 00\nsub.one.example. RRSIG DS 13 2 60 20300101000000 20200101000000 1 one.example. AAAA\n"},
		{"one.example. DS", "aa NXDOMAIN", "-\n" + soa + nsec},
	}
	for _, s := range seeds {
		packet, err := mustReply(f, mustQuestion(f, s.question), s.head, s.text).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var m dns.Msg
		if m.Unpack(packet) != nil || len(m.Question) != 1 {
			return
		}
		q := m.Question[0]
		q.Name = dns.CanonicalName(q.Name)
		if q.Qclass != dns.ClassINET || !dns.IsSubDomain(zone, q.Name) {
			return
		}
		v := Classify(q, &m, From{Zone: zone})
		homes := []string{v.Denier(q, zone)}
		for _, p := range v.Parts() {
			homes = append(homes, p.Home(zone))
		}
		if r := v.Referrer(zone); v.Kind == Referral && r != "" {
			homes = append(homes, r)
			if !strictlyBelow(r, v.Zone) {
				t.Fatalf("%s says what %s is", r, v.Zone)
			}
		}
		for _, home := range homes {
			if !dns.IsSubDomain(zone, home) {
				t.Fatalf("at home in %s", home)
			}
		}
	})
}
