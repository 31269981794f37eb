package wire

import (
	"strings"
	"testing"
)

func TestSkipName(t *testing.T) {
	header := strings.Repeat("\x00", HeaderLen)
	label := func(n int) string { return string(rune(n)) + strings.Repeat("a", n) }
	chain := func(hops int) string { // "a" at 12, then pointers each to the one before
		s := header + "\x01a\x00"
		at := HeaderLen
		for range hops {
			s += "\xC0" + string([]byte{byte(at)})
			at = len(s) - 2
		}
		return s
	}
	long := header + label(63) + label(63) + label(63) + "\x00" // 193 octets
	tests := []struct {
		name string
		msg  string
		off  int
		next int
		ok   bool
	}{
		{"the root", header + "\x00", 12, 13, true},
		{"a plain name", header + "\x01a\x02bc\x00", 12, 18, true},
		{"a pointer ends a name", header + "\x01a\x00\x01b\xC0\x0C", 15, 19, true},
		{"a pointer alone", header + "\x01a\x00\xC0\x0C", 15, 17, true},
		{"64 pointers are followed", chain(64), HeaderLen + 3 + 2*63, HeaderLen + 3 + 2*64, true},
		{"65 pointers are too many", chain(65), HeaderLen + 3 + 2*64, 0, false},
		{"a pointer to itself", header + "\xC0\x0C", 12, 0, false},
		{"a pointer to the labels before it", header + "\x01a\xC0\x0C", 12, 0, false},
		{"a pointer forward", header + "\xC0\x0E\x00", 12, 0, false},
		{"a pointer into the header", header + "\xC0\x00", 12, 0, false},
		{"half a pointer", header + "\x01a\xC0", 12, 0, false},
		{"a label beyond the message", header + "\x05ab", 12, 0, false},
		{"no end", header + "\x01a", 12, 0, false},
		{"a retired label type", header + "\x40a\x00", 12, 0, false},
		{"255 octets", long + label(61) + "\xC0\x0C", len(long), len(long) + 64, true},
		{"256 octets", long + label(62) + "\xC0\x0C", len(long), 0, false},
		{"an offset behind the message", header, 12, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if next, ok := SkipName([]byte(tt.msg), tt.off); next != tt.next || ok != tt.ok {
				t.Errorf("got %d, %t; want %d, %t", next, ok, tt.next, tt.ok)
			}
		})
	}
}

// Every octet at every place of eight, alone and among letters, as names are
// lowered eight octets at a time.
func TestAppendLower(t *testing.T) {
	for _, others := range []string{"\x00", "Z", "\xFF"} {
		for length := range 18 {
			for at := range length {
				for c := range 256 {
					name := []byte(strings.Repeat(others, length))
					name[at] = byte(c)
					want := []byte("A")
					for _, c := range name {
						want = append(want, Lower(c))
					}
					before := string(name)
					if got := AppendLower([]byte("A"), name); string(got) != string(want) {
						t.Fatalf("%q: got %q, want %q", name, got, want)
					}
					if string(name) != before {
						t.Fatalf("%q became %q", before, name)
					}
				}
			}
		}
	}
}

func TestLower(t *testing.T) {
	for c, want := range map[byte]byte{'A': 'a', 'Z': 'z', 'a': 'a', 'z': 'z', '@': '@', '[': '[', 0: 0, 0xC1: 0xC1} {
		if got := Lower(c); got != want {
			t.Errorf("%q became %q, want %q", c, got, want)
		}
	}
}

func BenchmarkAppendLower(b *testing.B) {
	name, dst := []byte("\x03WWW\x0Ainvestment\x07example\x03com\x00"), make([]byte, 0, MaxName)
	b.ReportAllocs()
	for b.Loop() {
		AppendLower(dst, name)
	}
}
