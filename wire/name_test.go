package wire

import (
	"strings"
	"testing"
)

func TestAppendName(t *testing.T) {
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
		want string
		next int
		ok   bool
	}{
		{"the root", header + "\x00", 12, "\x00", 13, true},
		{"a plain name", header + "\x01a\x02bc\x00", 12, "\x01a\x02bc\x00", 18, true},
		{"a pointer ends a name", header + "\x01a\x00\x01b\xC0\x0C", 15, "\x01b\x01a\x00", 19, true},
		{"a pointer alone", header + "\x01a\x00\xC0\x0C", 15, "\x01a\x00", 17, true},
		{"64 pointers are followed", chain(64), HeaderLen + 3 + 2*63, "\x01a\x00", HeaderLen + 3 + 2*64, true},
		{"65 pointers are too many", chain(65), HeaderLen + 3 + 2*64, "", 0, false},
		{"a pointer to itself", header + "\xC0\x0C", 12, "", 0, false},
		{"a pointer to the labels before it", header + "\x01a\xC0\x0C", 12, "", 0, false},
		{"a pointer forward", header + "\xC0\x0E\x00", 12, "", 0, false},
		{"a pointer into the header", header + "\xC0\x00", 12, "", 0, false},
		{"half a pointer", header + "\x01a\xC0", 12, "", 0, false},
		{"a label beyond the message", header + "\x05ab", 12, "", 0, false},
		{"no end", header + "\x01a", 12, "", 0, false},
		{"a retired label type", header + "\x40a\x00", 12, "", 0, false},
		{"255 octets", long + label(61) + "\xC0\x0C", len(long), label(61) + long[12:], len(long) + 64, true},
		{"256 octets", long + label(62) + "\xC0\x0C", len(long), "", 0, false},
		{"an offset behind the message", header, 12, "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, next, ok := AppendName([]byte("dst"), []byte(tt.msg), tt.off)
			if string(got) != "dst"+tt.want || next != tt.next || ok != tt.ok {
				t.Errorf("got %q, %d, %t; want %q, %d, %t", got, next, ok, "dst"+tt.want, tt.next, tt.ok)
			}
		})
	}
}

func TestAppendLower(t *testing.T) {
	got := AppendLower([]byte("A"), []byte("\x04aZ[@\x00"))
	if want := "A\x04az[@\x00"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
