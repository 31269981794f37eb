//go:build linux

package node

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// A forger sends forged replies from the server's own address before each true
// datagram.
type forger struct {
	net.PacketConn
	count  *atomic.Int64 // before each
	forged *atomic.Int64
	forge  func(m *dns.Msg, i int)
}

// WriteTo sends the forged ones, and then packet.
func (f forger) WriteTo(packet []byte, to net.Addr) (int, error) {
	for i := range int(f.count.Load()) {
		m := new(dns.Msg)
		if err := m.Unpack(packet); err != nil {
			return 0, err
		}
		for _, rr := range m.Answer {
			if a, ok := rr.(*dns.A); ok {
				a.A = net.IPv4(192, 0, 2, 66)
			}
		}
		f.forge(m, i)
		lie, err := m.Pack()
		if err != nil {
			return 0, err
		}
		if _, err := f.PacketConn.WriteTo(lie, to); err != nil {
			return 0, err
		}
		f.forged.Add(1)
	}
	return f.PacketConn.WriteTo(packet, to)
}

// TestNode_believesNoForgedReply has up to 200 forged replies arrive before the
// true one, which the client is told all the same: then and later.
func TestNode_believesNoForgedReply(t *testing.T) {
	const truth = "192.0.2.201"
	at := netip.MustParseAddr("203.0.113.90")
	n := mustAlone(t)
	internet, example := mustInternet(t, n.Host)
	example.Add(fmt.Sprintf("victim NS ns.victim\nns.victim A %s\n", at))
	internet.Zone("victim.example.", "@ NS ns\nns A "+at.String()+"\n*.any 300 A "+truth+"\n", at)
	datagrams, streams, err := n.Listen(netip.AddrPortFrom(at, 53))
	if err != nil {
		t.Fatal(err)
	}
	var forge atomic.Pointer[func(*dns.Msg, int)]
	f := forger{datagrams, new(atomic.Int64), new(atomic.Int64), func(m *dns.Msg, i int) { (*forge.Load())(m, i) }}
	t.Cleanup(internet.Serve(at, f, streams))
	file := n.mustWrite(t, "proxima.yaml", quiet+"node: {id: node1}\ndnssec: {validate: false}\ncontrol: {socket: \"\"}\n")
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	tests := []struct {
		name   string
		forge  func(m *dns.Msg, i int)
		metric string // that counts
	}{
		{"wrong IDs", func(m *dns.Msg, i int) { m.Id += uint16(i + 1) }, `proxima_upstream_ignored_total{reason="id"}`},
		{"another question", func(m *dns.Msg, _ int) { m.Question[0].Name = "www.example." }, `proxima_upstream_ignored_total{reason="question"}`},
		{"no reply but a query", func(m *dns.Msg, _ int) { m.Response = false }, `proxima_upstream_ignored_total{reason="malformed"}`},
		{"another letter case", func(m *dns.Msg, _ int) {
			m.Question[0].Name = strings.Map(func(r rune) rune {
				if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
					return r ^ 0x20
				}
				return r
			}, m.Question[0].Name)
		}, `proxima_upstream_ignored_total{reason="case"}`},
	}
	asked := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forge.Store(&tt.forge)
			for _, count := range []int64{1, 10, 200} {
				f.count.Store(count)
				f.forged.Store(0)
				asked++
				name := fmt.Sprintf("w%d.any.victim.example.", asked)
				for range 2 { // from the server, and from the cache
					m, err := exchange(n.Host, "udp", loopback[0], new(dns.Msg).SetQuestion(name, dns.TypeA), trapPatience)
					if err != nil {
						t.Fatalf("%v\n%s", err, n.log)
					}
					if len(m.Answer) != 1 || !strings.HasSuffix(m.Answer[0].String(), truth) {
						t.Fatalf("%d forged: got %v", count, m)
					}
				}
				if f.forged.Load() == 0 { // the rest of them may be sent after the answer
					t.Error("nothing was forged")
				}
			}
			page, err := get(n.Host, "http://127.0.0.1:9153/metrics")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := metric(page, tt.metric); err != nil || got == 0 {
				t.Errorf("%s is %v, %v\n%s", tt.metric, got, err, page)
			}
		})
	}
}
