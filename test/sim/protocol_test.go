package sim

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestInternet_Exchange_protocol(t *testing.T) {
	tests := []struct {
		name   string
		change func(q *dns.Msg)
		want   string
	}{
		{"no OPT record without one in the query", func(*dns.Msg) {}, "NOERROR"},
		{"an OPT record with one in the query", func(q *dns.Msg) { q.SetEdns0(4096, false) }, "NOERROR edns"},
		{"DO is copied", func(q *dns.Msg) { q.SetEdns0(4096, true) }, "NOERROR edns do"},
		{"a later version of EDNS is BADVERS", func(q *dns.Msg) {
			q.SetEdns0(4096, false)
			q.IsEdns0().SetVersion(1)
		}, "BADVERS edns"},
		{"another opcode is NOTIMP", func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify }, "NOTIMP"},
		{"no question is FORMERR", func(q *dns.Msg) { q.Question = nil }, "FORMERR"},
		{"another class is REFUSED", func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }, "REFUSED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := query("ns.example.", dns.TypeA)
			tt.change(q)
			m := mustExchange(t, testInternet(), parentAddr, q)
			got := dns.RcodeToString[m.Rcode]
			if m.Rcode == dns.RcodeBadVers {
				got = "BADVERS" // miekg/dns calls 16 by its other name, BADSIG
			}
			if opt := m.IsEdns0(); opt != nil {
				got += " edns"
				if opt.Do() {
					got += " do"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestInternet_Exchange_size(t *testing.T) {
	tests := []struct {
		name   string
		octets int // of data
		offer  uint16
		stream bool
		want   bool // whole
	}{
		{"400 octets fit without EDNS", 400, 0, false, true},
		{"600 octets do not fit without EDNS", 600, 0, false, false},
		{"600 octets fit in an offer of 1232", 600, 1232, false, true},
		{"an offer below 512 counts as 512", 400, 100, false, true},
		{"1400 octets do not fit in any datagram", 1400, 4096, false, false},
		{"1400 octets fit in a stream", 1400, 0, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := New(1)
			n.Zone("example.", "@ TXT"+strings.Repeat(" "+strings.Repeat("x", 199), tt.octets/200), rootAddr)
			q := query("example.", dns.TypeTXT)
			if tt.offer > 0 {
				q.SetEdns0(tt.offer, false)
			}
			m, err := n.Exchange(context.Background(), netip.AddrPortFrom(rootAddr, 53), q, tt.stream)
			if err != nil {
				t.Fatal(err)
			}
			if whole := !m.Truncated && len(m.Answer) == 1; whole != tt.want {
				t.Errorf("whole = %t, want %t: %s", whole, tt.want, brief(m))
			}
		})
	}
}

func TestInternet_Exchange_manyZones(t *testing.T) {
	n := New(1)
	n.Zone("example.", "child NS ns.child\nns.child A 192.0.2.3\nchild DS 1 13 2 "+strings.Repeat("00", 32), parentAddr)
	n.Zone("child.example.", "www A 192.0.2.90", parentAddr, childAddr)
	n.Zone("other.", "www A 192.0.2.91", parentAddr)
	tests := []struct {
		name  string
		at    netip.Addr
		qname string
		qtype uint16
		want  string
	}{
		{"the deepest zone answers", parentAddr, "www.child.example.", dns.TypeA, "NOERROR aa 0:www.child.example./A=192.0.2.90"},
		{"the parent answers for DS", parentAddr, "child.example.", dns.TypeDS,
			"NOERROR aa 0:child.example./DS=1 13 2 " + strings.Repeat("00", 32)},
		{"another zone on the same address answers", parentAddr, "www.other.", dns.TypeA, "NOERROR aa 0:www.other./A=192.0.2.91"},
		{"the same zone answers on its other address", childAddr, "www.child.example.", dns.TypeA,
			"NOERROR aa 0:www.child.example./A=192.0.2.90"},
		{"an IPv4 address in IPv6 form is the same", netip.AddrFrom16(parentAddr.As16()), "www.other.", dns.TypeA,
			"NOERROR aa 0:www.other./A=192.0.2.91"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustExchange(t, n, tt.at, query(tt.qname, tt.qtype))
			if got := brief(m); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestInternet_Reply(t *testing.T) {
	tests := []struct {
		name string
		to   netip.Addr
		want bool
	}{
		{"a server speaks", parentAddr, true},
		{"an address where nothing is does not", netip.MustParseAddr("192.0.2.99"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := testInternet()
			if got := n.Reply(tt.to, query("example.", dns.TypeNS), false) != nil; got != tt.want {
				t.Errorf("a reply: %t, want %t", got, tt.want)
			}
		})
	}
}
