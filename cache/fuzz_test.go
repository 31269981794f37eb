package cache

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/wire"
)

// FuzzAnswer makes answers of any octets. What becomes one must give replies
// that parse, that hold the records that miekg/dns found in the octets, and
// whose TTLs never grow.
func FuzzAnswer(f *testing.F) {
	f.Add(mustMessage(f, "www.example.", dns.TypeA, 0, "www.example. 60 IN A 192.0.2.1"), uint32(10))
	f.Add(mustMessage(f, "www.example.", dns.TypeMX, 0, "mail.from.test. 60 IN RRSIG A "+signature+
		"\nwww.example. 60 IN MX 10 mail.from.test.\n--\nfrom.test. 60 IN SOA a.from.test. b.from.test. 1 2 3 4 5"), uint32(0))
	f.Add(mustMessage(f, "www.example.", dns.TypeNAPTR, 0, "a.example. 60 IN NSEC www.example. A\n"+
		"www.example. 4294967295 IN NAPTR 1 2 \"u\" \"sip\" \"!x!y!\" a.example.\n--\n--\na.example. 5 IN SRV 1 2 3 a.example."), uint32(61))
	f.Fuzz(func(t *testing.T, msg []byte, age uint32) {
		if len(msg) > wire.MaxMessage {
			return
		}
		a, err := NewAnswer(bytes.Clone(msg), Meta{At: learned, TTL: time.Second})
		if err != nil {
			return
		}
		at := learned.Add(time.Duration(age) * time.Second)
		for _, do := range []bool{false, true} {
			q := ask(t, a, do)
			reply := a.AppendReply(nil, q, at)
			records, ok := wire.AppendRecords(nil, reply)
			if !ok {
				t.Fatalf("the reply is malformed: % x", reply)
			}
			if !bytes.Equal(reply[:2], q.Packet[:2]) || !bytes.Equal(reply[12:q.End], q.Packet[12:q.End]) {
				t.Fatalf("the ID or the question is not the client's: % x", reply[:q.End])
			}
			if last := records[len(records)-1]; last.Type != wire.TypeOPT || last.End != len(reply) {
				t.Fatalf("the reply does not end with OPT: %+v", last)
			}
			compare(t, a, msg, reply, do, age)
		}
	})
}

// ask is a query for what a answers, in upper case.
func ask(t *testing.T, a *Answer, do bool) *wire.Query {
	t.Helper()
	packet := []byte("\xAB\xCD\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01")
	for _, c := range a.Name() {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		packet = append(packet, c)
	}
	packet = binary.BigEndian.AppendUint16(packet, a.Type())
	packet = binary.BigEndian.AppendUint16(packet, a.Class())
	packet = append(packet, 0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0)
	if do {
		packet[len(packet)-4] = 0x80
	}
	q := new(wire.Query)
	if f := wire.ParseQuery(q, packet); f != wire.OK {
		t.Fatalf("fault = %d", f)
	}
	return q
}

// compare finds in the reply all records of msg that belong there.
func compare(t *testing.T, a *Answer, msg, reply []byte, do bool, age uint32) {
	t.Helper()
	var want, got dns.Msg
	if want.Unpack(msg) != nil || len(reply) >= farthest {
		return
	}
	if err := got.Unpack(reply); err != nil {
		t.Fatalf("the reply does not parse: %v", err)
	}
	if got.Authoritative || got.AuthenticatedData || !got.RecursionAvailable || !got.Response || got.Rcode != want.Rcode&15 {
		t.Fatalf("the header is %+v", got.MsgHdr)
	}
	got.Extra = got.Extra[:len(got.Extra)-1] // OPT
	pairs := [][2][]dns.RR{{want.Answer, got.Answer}, {want.Ns, got.Ns}, {want.Extra, got.Extra}}
	for _, p := range pairs {
		want, got := p[0], p[1]
		if !do {
			want = slices.DeleteFunc(slices.Clone(want), func(rr dns.RR) bool { return authenticates(rr.Header().Rrtype, a.Type()) })
		}
		if len(got) != len(want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i := range want {
			compareRecord(t, want[i], got[i], age)
		}
	}
}

func compareRecord(t *testing.T, want, got dns.RR, age uint32) {
	t.Helper()
	ttl := want.Header().Ttl
	if ttl > 1<<31-1 || ttl < age {
		ttl = age
	}
	if got.Header().Ttl != ttl-age {
		t.Fatalf("TTL %d at the age of %d, was %d", got.Header().Ttl, age, want.Header().Ttl)
	}
	if !understood(want.Header().Rrtype) {
		return
	}
	want, got = dns.Copy(want), dns.Copy(got)
	want.Header().Ttl, got.Header().Ttl = 0, 0
	want.Header().Rdlength, got.Header().Rdlength = 0, 0
	if !strings.EqualFold(want.String(), got.String()) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// understood tells whether miekg/dns and layoutOf agree where the names in the
// data of a type may be compressed. In newer types miekg/dns follows pointers
// that must not be there.
func understood(typ uint16) bool {
	switch typ {
	case dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeHINFO, dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC3:
		return true
	}
	return layoutOf(typ) != layout{}
}
