package dnssec

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

func TestForm_isWhatTheReferenceSays(t *testing.T) {
	tests := []struct {
		name    string
		records []string
	}{
		{"order is that of the data", []string{"a.example. 1 IN A 192.0.2.9", "a.example. 1 IN A 192.0.2.1", "a.example. 1 IN A 192.0.2.5"}},
		{"a prefix comes first", []string{`a.example. 1 IN TXT "ab" "c"`, `a.example. 1 IN TXT "ab"`, `a.example. 1 IN TXT ""`}},
		{"duplicates count once", []string{"a.example. 1 IN A 192.0.2.1", "a.example. 1 IN A 192.0.2.1"}},
		{"duplicates but for letter case count once", []string{"a.example. 1 IN NS NS.example.", "a.example. 1 IN NS ns.example."}},
		{"TTLs may differ", []string{"a.example. 1 IN A 192.0.2.1", "a.example. 9 IN A 192.0.2.2"}},
		{"NS in lower case", []string{"A.Example. 1 IN NS NS.Example."}},
		{"SOA in lower case, both names", []string{"a.example. 1 IN SOA NS.Example. Host.Example. 1 2 3 4 5"}},
		{"MX in lower case", []string{"a.example. 1 IN MX 16706 AB.Example."}},
		{"SRV in lower case", []string{"a.example. 1 IN SRV 16705 16706 16707 AB.Example."}},
		{"NAPTR's target in lower case, not its strings", []string{`a.example. 1 IN NAPTR 1 2 "S" "SIP+D2U" "!^.*$!SIP:A!" AB.Example.`}},
		{"RP in lower case, both names", []string{"a.example. 1 IN RP Mail.Example. Text.Example."}},
		{"PX in lower case, both names", []string{"a.example. 1 IN PX 10 Mail.Example. Text.Example."}},
		{"PTR, CNAME and DNAME alike", []string{"a.example. 1 IN DNAME AB.Example."}},
		{"NSEC as it is, RFC 6840 section 5.1", []string{"a.example. 1 IN NSEC B.Example. A NSEC"}},
		{"HINFO as it is", []string{`a.example. 1 IN HINFO "PC" "UNIX"`}},
		{"SVCB as it is", []string{"a.example. 1 IN SVCB 1 AB.Example. alpn=h2 port=53"}},
		{"unknown types as they are, RFC 3597", []string{`a.example. 1 IN TYPE65400 \# 4 41424344`}},
		{"any octets", []string{`a.example. 1 IN TXT "\200\000A"`}},
		{"a label with a dot", []string{`a\.B.example. 1 IN CNAME C\.D.example.`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rrs := mustRecords(t, tt.records...)
			before := rrs[0].String()
			f, err := formOf(rrs)
			if err != nil {
				t.Fatal(err)
			}
			sig := &dns.RRSIG{TypeCovered: f.typ, Algorithm: dns.ED25519, Labels: 2, OrigTtl: 77, SignerName: "Example."}
			zone, err := canonical(sig.SignerName)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := f.signed(sig, zone, f.expandedFrom(sig)), referenceSigned(t, rrs, sig); !bytes.Equal(got, want) {
				t.Errorf("signed\n%x, want\n%x", got, want)
			}
			if rrs[0].String() != before {
				t.Errorf("the record became %s, was %s", rrs[0], before)
			}
		})
	}
}

func TestLowerNames_ofBrokenData(t *testing.T) {
	for typ := range lowered {
		for _, data := range [][]byte{nil, {0}, {63}, {1, 'A'}, {0, 0, 63, 'A'}, {0, 0, 0, 0, 0, 0, 9, 'A'}, {0, 0, 0, 0, 255, 255}, bytes.Repeat([]byte{0xff}, 300)} {
			LowerNames(typ, bytes.Clone(data)) // must not panic
		}
	}
}

func TestName_labels(t *testing.T) {
	tests := []struct {
		name   string
		labels int
	}{
		{".", 0}, {"*.", 0}, {"example.", 1}, {"*.example.", 1}, {"a.*.example.", 3}, {`a\.b.example.`, 2}, {`\*.example.`, 1},
	}
	for _, tt := range tests {
		n, err := canonical(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.labels(); got != tt.labels {
			t.Errorf("%s has %d labels, want %d", tt.name, got, tt.labels)
		}
	}
}

func TestName_hasOneSpelling(t *testing.T) {
	for _, s := range []string{"ab.example.", "AB.eXample.", `\065b.example.`, `\a\b.example.`} {
		n, err := canonical(s)
		if err != nil || n.String() != "ab.example." {
			t.Errorf("%s is %s, %v", s, n, err)
		}
	}
}

func TestName_within(t *testing.T) {
	tests := []struct {
		name, zone string
		within     bool
	}{
		{"example.", "example.", true},
		{"a.b.example.", "example.", true},
		{"example.", ".", true},
		{"example.", "a.example.", false},
		{"badexample.", "example.", false},
		{`bad\.example.`, "example.", false},
	}
	for _, tt := range tests {
		n, err := canonical(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := canonical(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.within(zone); got != tt.within {
			t.Errorf("%s within %s: %t", tt.name, tt.zone, got)
		}
	}
}
