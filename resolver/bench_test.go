package resolver

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"proxima/resolver/iterate"

	"github.com/miekg/dns"
)

// An instant server has one address record for every name.
type instant struct{}

func (instant) Exchange(_ context.Context, _ netip.AddrPort, q *dns.Msg, _ bool) (*dns.Msg, error) {
	m := &dns.Msg{Question: q.Question}
	m.Response, m.Authoritative = true, true
	m.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600},
		A:   net.IP{192, 0, 2, 1},
	}}
	m.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}}}
	return m, nil
}

// misses returns what asks one new name after another of a resolver, which asks
// one server once for each.
func misses(tb testing.TB) func() {
	r := mustResolver(tb, instant{}, iterate.Zone{Name: "example.", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")}})
	q := mustQuery(tb, "aaaaaaaa.example. A")
	var count uint32
	dst := make([]byte, 0, 512)
	return func() {
		count++
		for i, octet := range binary.BigEndian.AppendUint32(nil, count) {
			q.Name[1+2*i], q.Name[2+2*i] = 'a'+octet>>4, 'a'+octet&15
		}
		if reply := r.Answer(context.Background(), dst, q, time.Now()); len(reply) < 12 || reply[7] != 1 {
			tb.Fatalf("no answer: %x", reply)
		}
	}
}

func TestResolver_Answer_allocatesLittle(t *testing.T) {
	const most = 64 // 57, and what grows with the tables now and then
	miss := misses(t)
	miss()
	if got := testing.AllocsPerRun(500, miss); got > most {
		t.Errorf("%v allocations a miss, want at most %d", got, most)
	}
}

// BenchmarkResolver_Answer is all of a miss but sockets.
func BenchmarkResolver_Answer(b *testing.B) {
	miss := misses(b)
	miss()
	b.ReportAllocs()
	for b.Loop() {
		miss()
	}
}
