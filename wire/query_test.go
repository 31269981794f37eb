package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// mustQuery packs a query for www.example. A, changed by edit.
func mustQuery(t testing.TB, edit func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.", dns.TypeA)
	m.Id = 0x1234
	if edit != nil {
		edit(m)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// withOptions adds an OPT record with these options.
func withOptions(options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = options
	}
}

func local(code uint16, data string) dns.EDNS0 {
	return &dns.EDNS0_LOCAL{Code: code, Data: []byte(data)}
}

func repeat(n int, o dns.EDNS0) []dns.EDNS0 {
	all := make([]dns.EDNS0, n)
	for i := range all {
		all[i] = o
	}
	return all
}

func TestParseQuery_fault(t *testing.T) {
	plain := mustQuery(t, nil)
	edns := mustQuery(t, withOptions())
	set := func(packet []byte, off int, octets ...byte) []byte {
		p := bytes.Clone(packet)
		copy(p[off:], octets)
		return p
	}
	question := func(name string) []byte {
		return append(append(bytes.Clone(plain[:HeaderLen]), name...), 0, 1, 0, 1)
	}
	rdlen := len(edns) - 2
	tests := []struct {
		name   string
		packet []byte
		want   Fault
	}{
		{"a plain query is sound", plain, OK},
		{"a query with OPT is sound", edns, OK},
		{"nothing is dropped", nil, Drop},
		{"half a header is dropped", plain[:11], Drop},
		{"a reply is dropped", set(plain, 2, 0x81), Drop},
		{"a reply to an update is dropped", set(plain, 2, 0xA8), Drop},
		{"NOTIFY is not implemented", set(plain, 2, 0x20), NotImp},
		{"UPDATE is not implemented", set(plain, 2, 0x28), NotImp},
		{"an unknown opcode is not implemented, whatever the counts", set(plain, 2, 0x78, 0, 9, 9), NotImp},
		{"no question is malformed", set(plain, 4, 0, 0), FormErr},
		{"two questions are malformed", set(plain, 4, 0, 2), FormErr},
		{"an answer is malformed", set(plain, 6, 0, 1), FormErr},
		{"an authority record is malformed", set(plain, 8, 0, 1), FormErr},
		{"three additional records are malformed", set(plain, 10, 0, 3), FormErr},
		{"65,535 additional records are malformed", set(plain, 10, 0xFF, 0xFF), FormErr},
		{"a header alone is malformed", plain[:HeaderLen], FormErr},
		{"a question without its class is malformed", plain[:len(plain)-2], FormErr},
		{"a trailing octet is malformed", append(bytes.Clone(plain), 0), FormErr},
		{"a trailing octet after OPT is malformed", append(bytes.Clone(edns), 0), FormErr},
		{"the root may be asked for", question("\x00"), OK},
		{"a compressed question is malformed", question("\x03www\xC0\x0C"), FormErr},
		{"a label of a retired type is malformed", question("\x41\x08\xFF\x00"), FormErr},
		{"a name of 255 octets is sound", question(strings.Repeat("\x3F"+strings.Repeat("a", 63), 3) + "\x3D" + strings.Repeat("a", 61) + "\x00"), OK},
		{"a name of 256 octets is malformed", question(strings.Repeat("\x3F"+strings.Repeat("a", 63), 3) + "\x3E" + strings.Repeat("a", 62) + "\x00"), FormErr},
		{"an unknown class passes through", set(plain, len(plain)-2, 0xAB, 0xCD), OK},
		{"an unknown type passes through", set(plain, len(plain)-4, 0xAB, 0xCD), OK},
		{"an RDLEN beyond the packet is malformed", set(edns, rdlen, 0, 1), FormErr},
		{"an RDLEN short of the packet is malformed", append(bytes.Clone(edns), 0, 3, 0, 0), FormErr},
		{"a second OPT is malformed", mustQuery(t, func(m *dns.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }), FormErr},
		{"an OPT that is not owned by the root is malformed", mustQuery(t, func(m *dns.Msg) { m.SetEdns0(1232, false); m.Extra[0].Header().Name = "example." }), FormErr},
		{"EDNS version 1 is a bad version", set(edns, len(edns)-5, 1), BadVers},
		{"a second OPT is worse than a bad version", set(mustQuery(t, func(m *dns.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }), len(edns)-5, 1), FormErr},
		{"unknown options are ignored", mustQuery(t, withOptions(local(65001, "x"), local(0, ""), local(8, "junk"))), OK},
		{"32 options are sound", mustQuery(t, withOptions(repeat(32, local(OptionPadding, ""))...)), OK},
		{"33 options are malformed", mustQuery(t, withOptions(repeat(33, local(OptionPadding, ""))...)), FormErr},
		{"15,000 options are malformed", mustQuery(t, withOptions(repeat(15_000, local(65001, ""))...)), FormErr},
		{"half an option header is malformed", append(set(edns, rdlen, 0, 3), 0, 3, 0), FormErr},
		{"an option longer than OPT is malformed", append(set(edns, rdlen, 0, 4), 0, 3, 0, 1), FormErr},
		{"a client cookie is sound", mustQuery(t, withOptions(local(OptionCookie, "12345678"))), OK},
		{"an empty cookie is malformed", mustQuery(t, withOptions(local(OptionCookie, ""))), FormErr},
		{"a cookie of 9 octets is malformed", mustQuery(t, withOptions(local(OptionCookie, "123456789"))), FormErr},
		{"a cookie of 16 octets is sound", mustQuery(t, withOptions(local(OptionCookie, "1234567812345678"))), OK},
		{"a cookie of 41 octets is malformed", mustQuery(t, withOptions(local(OptionCookie, strings.Repeat("c", 41)))), FormErr},
		{"an unread record beside OPT is stepped over", mustQuery(t, func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.Extra = append(m.Extra, &dns.RFC3597{Hdr: dns.RR_Header{Name: "key.example.", Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Rdata: "00FF"})
		}), OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var q Query
			if got := ParseQuery(&q, tt.packet); got != tt.want {
				t.Errorf("fault = %d, want %d", got, tt.want)
			}
			if len(q.Packet) != len(tt.packet) {
				t.Errorf("Packet has %d octets, want %d", len(q.Packet), len(tt.packet))
			}
		})
	}
}

func TestParseQuery_fields(t *testing.T) {
	name := []byte("\x03www\x07example\x00")
	base := Query{Name: name, Type: TypeA, Class: ClassIN, End: 29, RD: true, UDPSize: 512}
	with := func(edit func(*Query)) Query { q := base; edit(&q); return q }
	edns := func(edit func(*Query)) Query {
		return with(func(q *Query) { q.EDNS, q.UDPSize = true, 1232; edit(q) })
	}
	size := func(n uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(n, false) } }
	tests := []struct {
		name string
		edit func(*dns.Msg)
		want Query
	}{
		{"without EDNS the size is 512", nil, base},
		{"letter case is kept", func(m *dns.Msg) { m.Question[0].Name = "wWw.ExamplE." },
			with(func(q *Query) { q.Name = []byte("\x03wWw\x07ExamplE\x00") })},
		{"RD off", func(m *dns.Msg) { m.RecursionDesired = false }, with(func(q *Query) { q.RD = false })},
		{"CD on", func(m *dns.Msg) { m.CheckingDisabled = true }, with(func(q *Query) { q.CD = true })},
		{"AD on", func(m *dns.Msg) { m.AuthenticatedData = true }, with(func(q *Query) { q.AD = true })},
		{"another class", func(m *dns.Msg) { m.Question[0].Qclass = 3 }, with(func(q *Query) { q.Class = ClassCH })},
		{"OPT sets the size", size(4096), edns(func(q *Query) { q.UDPSize = 4096 })},
		{"a size below 512 counts as 512", size(100), edns(func(q *Query) { q.UDPSize = 512 })},
		{"DO on", func(m *dns.Msg) { m.SetEdns0(1232, true) }, edns(func(q *Query) { q.DO = true })},
		{"NSID asked for", withOptions(local(OptionNSID, "")), edns(func(q *Query) { q.NSID = true })},
		{"an NSID that a client sends is not a question", withOptions(local(OptionNSID, "x")), edns(func(*Query) {})},
		{"keepalive asked for", withOptions(local(OptionKeepalive, "")), edns(func(q *Query) { q.Keepalive = true })},
		{"of two cookies the first counts", withOptions(local(OptionCookie, "12345678"), local(OptionCookie, "abcdefgh")),
			edns(func(q *Query) { q.Cookie = []byte("12345678") })},
		{"a second cookie is not looked at", withOptions(local(OptionCookie, "12345678"), local(OptionCookie, "bad")),
			edns(func(q *Query) { q.Cookie = []byte("12345678") })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packet := mustQuery(t, tt.edit)
			var got Query
			if f := ParseQuery(&got, packet); f != OK {
				t.Fatalf("fault = %d", f)
			}
			tt.want.Packet = packet
			if !equal(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func equal(a, b Query) bool {
	return bytes.Equal(a.Packet, b.Packet) && bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Cookie, b.Cookie) &&
		a.Type == b.Type && a.Class == b.Class && a.End == b.End && a.UDPSize == b.UDPSize &&
		a.RD == b.RD && a.CD == b.CD && a.AD == b.AD && a.DO == b.DO &&
		a.EDNS == b.EDNS && a.NSID == b.NSID && a.Keepalive == b.Keepalive
}

func TestParseQuery_forgetsTheLastQuery(t *testing.T) {
	var q Query
	ParseQuery(&q, mustQuery(t, withOptions(local(OptionCookie, "12345678"), local(OptionNSID, ""))))
	packet := mustQuery(t, nil)
	ParseQuery(&q, packet)
	want := Query{Packet: packet, Name: packet[12:25], Type: TypeA, Class: ClassIN, End: 29, RD: true, UDPSize: 512}
	if !equal(q, want) {
		t.Errorf("got  %+v\nwant %+v", q, want)
	}
}

func TestParseQuery_allocatesNothing(t *testing.T) {
	packet := mustQuery(t, withOptions(local(OptionCookie, "12345678")))
	var q Query
	if n := testing.AllocsPerRun(100, func() { ParseQuery(&q, packet) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParseQuery(b *testing.B) {
	packet := mustQuery(b, withOptions(local(OptionCookie, "12345678")))
	b.ReportAllocs()
	var q Query
	for b.Loop() {
		ParseQuery(&q, packet)
	}
}
