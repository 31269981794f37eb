package anchor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The root's keys as the root zone has them.
const (
	ksk2010 = ". 172800 IN DNSKEY 257 3 8 AwEAAagAIKlVZrpC6Ia7gEzahOR+9W29euxhJhVVLOyQbSEW0O8gcCjFFVQUTf6v58fLjwBd0YI0EzrAcQqBGCzh/RStIoO8g0NfnfL2MTJRkxoXbfDaUeVPQuYEhg37NZWAJQ9VnMVDxP/VHL496M/QZxkjf5/Efucp2gaDX6RS6CXpoY68LsvPVjR0ZSwzz1apAzvN9dlzEheX7ICJBBtuA6G3LQpzW5hOA2hzCTMjJPJ8LbqF6dsV6DoBQzgul0sGIcGOYl7OyQdXfZ57relSQageu+ipAdTTJ25AsRTAoub8ONGcLmqrAmRLKBP1dfwhYB4N7knNnulqQxA+Uk1ihz0="
	ksk2017 = ". 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU="
	ksk2024 = ". 172800 IN DNSKEY 257 3 8 AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5eeHspaQWOmOElZsjICMQMC3aeHbGiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRAAxm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqpdVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijtzN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUeayffKC73PYc="
)

func TestKeys_areTheDigestsOfTheRootsKeys(t *testing.T) {
	want, err := ReadKeys(strings.NewReader(ksk2017 + "\n" + ksk2024))
	if err != nil {
		t.Fatal(err)
	}
	if got := Keys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Keys = %v\nwant %v", got, want)
	}
}

func TestKeys_areEachCallersOwn(t *testing.T) {
	Keys()[0].KeyTag = 1
	if got := Keys()[0].KeyTag; got != 20326 {
		t.Error("a caller's change reached the next caller")
	}
}

func TestReadKeys(t *testing.T) {
	const ds = "Example. IN DS 1 13 2 " + "00000000000000000000000000000000000000000000000000000000000000aa"
	const want = "example.\t0\tIN\tDS\t1 13 2 00000000000000000000000000000000000000000000000000000000000000AA"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"a DS", ds, []string{want}},
		{"a DS with TTL, comment and parentheses", "; mine\n\nexample. 60 IN DS ( 1 13 2\n 00000000000000000000000000000000\n 000000000000000000000000000000AA ) ; end\n", []string{want}},
		{"a DS without class", strings.Replace(ds, "IN ", "", 1), []string{want}},
		{"one twice counts once", ds + "\n" + strings.ToUpper(ds), []string{want}},
		{"a DNSKEY becomes its DS", ksk2010, []string{".\t0\tIN\tDS\t19036 8 2 49AAC11D7B6F6446702E54A1607371607A1A41855200FD2CE1CDDE32F24E8FB5"}},
		{"the DNSKEY and the DS of RFC 8080 section 6.1 are one", "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n" +
			"example.com. 3600 IN DS 3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
			[]string{"example.com.\t0\tIN\tDS\t3613 15 2 3AA5AB37EFCE57F737FC1627013FEE07BDF241BD10F3B1964AB55C78E79A304B"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadKeys(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var text []string
			for _, a := range got {
				text = append(text, a.String())
			}
			if fmt.Sprint(text) != fmt.Sprint(tt.want) {
				t.Errorf("anchors %q\nwant    %q", text, tt.want)
			}
		})
	}
}

func TestReadKeys_refuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an empty file", "; none\n", "no DS or DNSKEY record"},
		{"another type", ksk2017 + "\nexample. A 192.0.2.1\n", "line 2: A record"},
		{"another class", "example. CH DS 1 13 2 " + strings.Repeat("0", 64), "line 1: class CH"},
		{"a digest that nobody trusts any more", "example. DS 1 13 1 " + strings.Repeat("0", 40), "line 1: digest type 1"},
		{"a digest that nobody knows", "example. DS 1 13 9 " + strings.Repeat("0", 64), "line 1: digest type 9"},
		{"a digest cut short", "\nexample. DS 1 13 2 " + strings.Repeat("0", 62), "line 2: digest of 62"},
		{"a digest that is none", "example. DS 1 13 2 " + strings.Repeat("x", 64), "line 1: "},
		{"a revoked key", strings.Replace(ksk2017, "257", "385", 1), "line 1: flags 385"},
		{"a key that is not the zone's", strings.Replace(ksk2017, "257", "1", 1), "line 1: flags 1"},
		{"a key of another protocol", strings.Replace(ksk2017, "257 3", "257 2", 1), "line 1: flags 257 and protocol 2"},
		{"a key that is none", "example. DNSKEY 257 3 8 ====", "line 1: "},
		{"a file included", "$INCLUDE other\n", "line 1:"},
		{"no zone file at all", "<html>\n", "line 1:"},
		{"sixty-five anchors", repeat(65, "z%d.example. DS 1 13 2 "+strings.Repeat("0", 64)+"\n"), "line 65: more than 64"},
		{"a file without end", strings.Repeat("; the Aeneid\n", 10_000), "more than 65536 octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadKeys(strings.NewReader(tt.text))
			if err == nil {
				t.Fatalf("no error but %v", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add(ksk2017)
	f.Add(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D")
	f.Fuzz(func(t *testing.T, text string) {
		anchors, err := ReadKeys(strings.NewReader(text))
		if err == nil && (len(anchors) == 0 || len(anchors) > maxAnchors) {
			t.Errorf("%d anchors and no error", len(anchors))
		}
	})
}

func TestReadSentinel(t *testing.T) {
	trusted := Keys()
	tests := []struct {
		name, q string
		ok      bool // it is a sentinel
		fails   bool
	}{
		{"is a key trusted that is", "root-key-sentinel-is-ta-20326.example.", true, false},
		{"is a key trusted that is not", "root-key-sentinel-is-ta-19036.example.", true, true},
		{"is a key not trusted that is", "root-key-sentinel-not-ta-38696.example.", true, true},
		{"is a key not trusted that is not", "root-key-sentinel-not-ta-00001.example.", true, false},
		{"letter case does not matter", "Root-Key-Sentinel-IS-TA-20326.example.", true, false},
		{"four digits", "root-key-sentinel-is-ta-2032.example.", false, false},
		{"six digits", "root-key-sentinel-is-ta-020326.example.", false, false},
		{"more than a tag can be", "root-key-sentinel-is-ta-65536.example.", false, false},
		{"a sign", "root-key-sentinel-is-ta-+2032.example.", false, false},
		{"hexadecimal digits", "root-key-sentinel-is-ta-0x4f6.example.", false, false},
		{"not the first label", "www.root-key-sentinel-is-ta-20326.example.", false, false},
		{"another name", "example.", false, false},
		{"the root", ".", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ok := ReadSentinel(tt.q)
			if ok != tt.ok || ok && s.Fails(trusted) != tt.fails {
				t.Errorf("%+v, %t, fails %t; want %t, fails %t", s, ok, s.Fails(trusted), tt.ok, tt.fails)
			}
		})
	}
}

func TestTagOption(t *testing.T) {
	both := append(Keys(), Keys()...)
	both = append(both, &dns.DS{Hdr: dns.RR_Header{Name: "example."}, KeyTag: 7})
	var many []*dns.DS
	for i := range 20 {
		many = append(many, &dns.DS{Hdr: dns.RR_Header{Name: "."}, KeyTag: uint16(i)})
	}
	tests := []struct {
		name    string
		zone    string
		anchors []*dns.DS
		option  string
	}{
		{"the root's, in order and none twice", ".", both, "4f669728"},
		{"another zone's, with leading zeros", "example.", both, "0007"},
		{"none", "test.", both, ""},
		{"no more than twelve", ".", many, "0000000100020003000400050006000700080009000a000b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var octets string
			if o, ok := TagOption(tt.zone, tt.anchors).(*dns.EDNS0_LOCAL); ok {
				octets = fmt.Sprintf("%x", o.Data)
			}
			if octets != tt.option {
				t.Errorf("option %q, want %q", octets, tt.option)
			}
		})
	}
}
