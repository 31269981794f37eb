package wire

import (
	"bytes"
	"slices"
	"testing"
)

func TestAppendRecords(t *testing.T) {
	const header = "\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x01"
	const question = "\x01a\x00\x00\x01\x00\x01"                                      // 12 to 19
	const answer = "\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x01\x02\x03\x04" // 19 to 35
	const opt = "\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00"                        // 35 to 46
	tests := []struct {
		name string
		msg  string
		want []Record
		ok   bool
	}{
		{"an answer and OPT", header + question + answer + opt, []Record{
			{Section: Answer, Type: TypeA, Class: ClassIN, Start: 19, TTL: 25, RData: 31, End: 35},
			{Section: Additional, Type: TypeOPT, Class: 1232, Start: 35, TTL: 40, RData: 46, End: 46},
		}, true},
		{"no records", "\x00\x00\x81\x80\x00\x00\x00\x00\x00\x00\x00\x00", nil, true},
		{"a trailing octet", header + question + answer + opt + "\x00", nil, false},
		{"a record too few", header + question + answer, nil, false},
		{"half a record", header + question + answer + opt[:10], nil, false},
		{"data beyond the message", header + question + answer[:15], nil, false},
		{"half a question", header + question[:5], nil, false},
		{"half a header", header[:11], nil, false},
		{"an owner that points to itself", header + question + "\xC0\x13" + answer[2:] + opt, nil, false},
		{"65,535 records that are not there", header[:6] + "\xFF\xFF\xFF\xFF\xFF\xFF" + question, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := []Record{{Type: TypeTXT}}
			got, ok := AppendRecords(before, []byte(tt.msg))
			if want := append(before, tt.want...); !slices.Equal(got, want) || ok != tt.ok {
				t.Errorf("got  %+v, %t\nwant %+v, %t", got, ok, want, tt.ok)
			}
		})
	}
}

func TestAppendRecords_allocatesNothing(t *testing.T) {
	_, reply := mustReply(t, 40, withOptions())
	dst := make([]Record, 0, 64)
	if n := testing.AllocsPerRun(100, func() { AppendRecords(dst, reply) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkAppendRecords(b *testing.B) {
	_, reply := mustReply(b, 10, withOptions())
	reply = bytes.Clone(reply)
	dst := make([]Record, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		AppendRecords(dst, reply)
	}
}
