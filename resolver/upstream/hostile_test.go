package upstream

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A script is what a server sends when it is asked: whole messages, in order.
type script func(query []byte) [][]byte

// serveUDP plays a server on a loopback address until the test ends.
func serveUDP(t testing.TB, addr string, s script) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0)))
	if err != nil {
		t.Skipf("no UDP socket on %s: %v", addr, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, dns.MaxMsgSize)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, packet := range s(buf[:n]) {
				_, _ = conn.WriteToUDPAddrPort(packet, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// serveTCP plays a server on a loopback address until the test ends: play gets
// each connection and the question that came by it.
func serveTCP(t testing.TB, addr string, play func(conn net.Conn, query []byte)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("no TCP socket on %s: %v", addr, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			if query, err := readFrame(conn); err == nil {
				play(conn, query)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// frames returns the messages as TCP carries them.
func frames(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// hangUp waits until the other end closes.
func hangUp(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// truth is the honest reply to a query: one address.
func truth(query []byte) []byte {
	return answer(query, func(m *dns.Msg) {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   net.IPv4(192, 0, 2, 1),
		})
	})
}

// answer is a reply to query, changed by change.
func answer(query []byte, change func(*dns.Msg)) []byte {
	var q, m dns.Msg
	if err := q.Unpack(query); err != nil {
		panic(err)
	}
	m.SetReply(&q)
	change(&m)
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packet
}

// question is the one that all tests ask.
func question() *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion("wWw.Example.", dns.TypeA)
	q.SetEdns0(1232, true)
	return q
}

// mustClient returns a client that is closed when the test ends.
func mustClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within returns a context that ends after d or with the test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
