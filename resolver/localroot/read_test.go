package localroot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestRead(t *testing.T) {
	rrs, anchors := mustSign(t, rootText, true)
	good := textOf(rrs)
	z, err := Read(strings.NewReader("; a comment\r\n$TTL 3600\n$ORIGIN .\n" + good))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Verify(anchors, rules, now()); err != nil || z.Records() != len(rrs) || z.Serial() != 100 {
		t.Errorf("%d records of serial %d, %v; want %d of 100", z.Records(), z.Serial(), err, len(rrs))
	}
}

// types are records of so many types at one name.
func types(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a. TYPE%d \\# 0\n", 65280+i)
	}
	return b.String()
}

func TestRead_refuses(t *testing.T) {
	const root = "$TTL 3600\n@ SOA a. b. 1 1 1 1 1\n@ NS a.\n"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "no SOA and NS of the root"},
		{"no NS", "@ 1 SOA a. b. 1 1 1 1 1\n", "no SOA and NS of the root"},
		{"two SOA", root + "@ SOA a. b. 2 1 1 1 1\n", "a second SOA"},
		{"another zone", "example. 1 SOA a. b. 1 1 1 1 1\n", "example. SOA: not the root"},
		{"another class", root + "a. CH TXT x\n", "class CH, want IN"},
		{"a type of questions", root + "a. TYPE252 \\# 0\n", "AXFR is no type of a zone's records"},
		{"a wildcard", root + "*. TXT x\n", "neither wildcards nor aliases"},
		{"a wildcard that does not look like one", root + "\\042. TXT x\n", "neither wildcards nor aliases"},
		{"a name of 65 types", root + types(65), "more than 64 types"},
		{"an alias", root + "a. CNAME b.\n", "neither wildcards nor aliases"},
		{"a name in two spellings", root + "a. TXT x\n\\097. TXT y\n", "spelled in two ways"},
		{"a set of 257", root + strings.Repeat("a. A 192.0.2.1\n", 257), "more than 256 records in a set"},
		{"the line is named", root + "a. A 192.0.2\n", "at line: 4:"},
		{"a file within", root + "$INCLUDE /etc/passwd\n", "$INCLUDE directive not allowed"},
		{"a flood of records", root + "$GENERATE 1-65535 a$ NS b.\n", "$GENERATE"},
		{"in small letters", root + "$generate 1-65535 a$ NS b.\n", "$GENERATE"},
		{"amid what the parser passes over", root + "($GEN\rER(A)TE 1-65535 a$ NS b.)\n", "$GENERATE"},
		{"begun twice", root + "$GENER$GENERATE 1-65535 a$ NS b.\n", "$GENERATE"},
		{"an octet that no text has", root + "a. TXT \x00\n", "an octet that no text has"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRead_isBounded(t *testing.T) {
	long := func(unit string, octets int) *bytes.Reader {
		return bytes.NewReader(bytes.Repeat([]byte(unit), octets/len(unit)+1))
	}
	tests := []struct {
		name string
		text *bytes.Reader
		want string
	}{
		{"a line", long("x", maxEntry), fmt.Sprintf("a record of more than %d octets", maxEntry)},
		{"records", long("a. 1 NS b.\n", (MaxRecords+1)*11), fmt.Sprintf("more than %d records", MaxRecords)},
		{"a record over many lines", long("(\n", maxEntry), fmt.Sprintf("a record of more than %d octets", maxEntry)},
		{"a file", long("a. 1 NS b. ;"+strings.Repeat("x", 1000)+"\n", MaxSize), fmt.Sprintf("more than %d octets", MaxSize)},
		{"memory", long("a. 1 TXT"+strings.Repeat(" a", 1000)+"\n", 8<<20), "more than 64 MiB of memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	rrs, anchors := mustSign(f, rootText, true)
	f.Add(textOf(rrs))
	f.Add("$TTL 1\n@ SOA . . 1 1 1 1 1\n@ NS a.\n")
	f.Add("$GENERATE 1-9 a$ NS b.\n")
	f.Add(`@ IN TYPE65280 \# 4 0a000001`)
	f.Fuzz(func(t *testing.T, text string) {
		z, err := Read(strings.NewReader(text))
		if err == nil {
			use(z, anchors)
		}
	})
}

func FuzzNew(f *testing.F) {
	rrs, anchors := mustSign(f, rootText, true)
	whole, err := (&dns.Msg{Answer: rrs}).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00" + "\x00\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00" + "\x00\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00" + "\x00\x00\x2e\x00\x01\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		var m dns.Msg
		if m.Unpack(message) != nil {
			return
		}
		if z, err := New(m.Answer); err == nil {
			use(z, anchors)
		}
	})
}

// use does with a zone all that can be done with one.
func use(z *Zone, anchors []*dns.DS) {
	for _, n := range z.sorted {
		for _, name := range []string{n.name, "x." + n.name, "*." + n.name} {
			for _, typ := range []uint16{1, 2, 6, 43, 47, 48} {
				z.Answer(question(name, typ))
			}
		}
	}
	_, _ = z.Verify(anchors, rules, now())
	_, _ = z.digest(digests[1]())
}
