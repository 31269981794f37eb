package server

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxima/wire"
)

// patience bounds what a test waits for that ought to come at once.
const patience = time.Minute

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// A handlerFunc is a Handler that answers by itself or leaves it to later.
type handlerFunc struct {
	now   func(dst []byte, q *wire.Query) ([]byte, bool)
	later func(ctx context.Context, dst []byte, q *wire.Query) []byte
}

func (h *handlerFunc) AnswerNow(dst []byte, q *wire.Query, _ time.Time) ([]byte, bool) {
	if h.now == nil {
		return dst, false
	}
	return h.now(dst, q)
}

func (h *handlerFunc) Answer(ctx context.Context, dst []byte, q *wire.Query, _ time.Time) []byte {
	return h.later(ctx, dst, q)
}

// known answers every query at once.
var known = &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) { return appendAnswer(dst, q, 4), true }}

// unknown answers every query after a while, if only of nanoseconds.
var unknown = &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte { return appendAnswer(dst, q, 4) }}

// both knows names that begin with n, for now.
var both = &handlerFunc{
	now: func(dst []byte, q *wire.Query) ([]byte, bool) {
		if q.Name[1] == 'n' {
			return appendAnswer(dst, q, 4), true
		}
		return dst, false
	},
	later: unknown.later,
}

// appendAnswer appends a reply to q with one record whose data has size octets.
func appendAnswer(dst []byte, q *wire.Query, size int) []byte {
	start := len(dst)
	dst = append(dst, q.Packet[0], q.Packet[1], 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0)
	dst = append(dst, q.Packet[wire.HeaderLen:q.End]...)
	dst = append(dst, 0xC0, wire.HeaderLen, 0, 1, 0, 1, 0, 0, 0, 60)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size))
	for range size {
		dst = append(dst, 0)
	}
	return wire.AppendOPT(dst, start, q, wire.RcodeNoError, nil)
}

// query returns a question for the address of name, without OPT.
func query(id uint16, name string) []byte {
	p := binary.BigEndian.AppendUint16(nil, id)
	p = append(p, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		p = append(append(p, byte(len(label))), label...)
	}
	return append(p, 0, 0, wire.TypeA, 0, wire.ClassIN)
}

// edns adds an OPT record to packet that names a UDP size, with empty options.
func edns(packet []byte, size uint16, options ...uint16) []byte {
	packet[11]++
	packet = append(packet, 0, 0, wire.TypeOPT)
	packet = binary.BigEndian.AppendUint16(packet, size)
	packet = append(packet, 0, 0, 0, 0)
	packet = binary.BigEndian.AppendUint16(packet, uint16(4*len(options)))
	for _, code := range options {
		packet = binary.BigEndian.AppendUint16(packet, code)
		packet = append(packet, 0, 0)
	}
	return packet
}

// A message is what the tests want to know of a reply.
type message struct {
	id      uint16
	rcode   int
	cut     bool // TC
	answers int
	ede     int               // -1 if there is none
	options map[uint16]string // of OPT; nil without OPT
}

// read reads a reply.
func read(t testing.TB, packet []byte) message {
	t.Helper()
	records, ok := wire.AppendRecords(nil, packet)
	if !ok {
		t.Fatalf("malformed reply %x", packet)
	}
	m := message{
		id:      binary.BigEndian.Uint16(packet),
		rcode:   int(packet[3] & 15),
		cut:     packet[2]&2 != 0,
		answers: int(binary.BigEndian.Uint16(packet[6:])),
		ede:     -1,
	}
	for _, r := range records {
		if r.Type != wire.TypeOPT {
			continue
		}
		m.options = map[uint16]string{}
		for data := packet[r.RData:r.End]; len(data) > 0; {
			code, size := binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
			m.options[code] = string(data[4 : 4+size])
			data = data[4+size:]
		}
	}
	if text, ok := m.options[wire.OptionEDE]; ok {
		m.ede = int(binary.BigEndian.Uint16([]byte(text)))
	}
	return m
}

// serve listens with o, by default on 127.0.0.1, and serves with h until the
// test ends.
func serve(t testing.TB, o Options, h Handler) *Server {
	t.Helper()
	if o.Addresses == nil {
		o.Addresses = []netip.Addr{loopback4}
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), h) }()
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not return after Close")
		}
	})
	for !s.isServing() {
		time.Sleep(time.Millisecond)
	}
	return s
}

func (s *Server) isServing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

// needIPv6 skips the test where ::1 is missing.
func needIPv6(t testing.TB) {
	t.Helper()
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skipf("needs IPv6 on the loopback interface: %v", err)
	}
	c.Close()
}

// dial connects to the server at to; from may be the zero address.
func dial(t testing.TB, network string, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	switch {
	case !from.IsValid():
	case network == "udp":
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	default:
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// send sends one query over c, with its length if c is a stream.
func send(t testing.TB, c net.Conn, packet []byte) {
	t.Helper()
	if _, err := c.Write(framed(c, packet)); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// framed returns packet as c carries it.
func framed(c net.Conn, packet []byte) []byte {
	if _, ok := c.(*net.UDPConn); ok {
		return packet
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}

// receive returns the next reply on c.
func receive(t testing.TB, c net.Conn) []byte {
	t.Helper()
	packet, err := tryReceive(c)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return packet
}

// tryReceive returns the next reply on c, or why there is none.
func tryReceive(c net.Conn) ([]byte, error) {
	buffer := make([]byte, wire.MaxMessage)
	if _, ok := c.(*net.UDPConn); ok {
		n, err := c.Read(buffer)
		return buffer[:n], err
	}
	if _, err := readFull(c, buffer[:2]); err != nil {
		return nil, err
	}
	n, err := readFull(c, buffer[:binary.BigEndian.Uint16(buffer)])
	return buffer[:n], err
}

func readFull(c net.Conn, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.Read(b[n:])
		n += m
	}
	return n, err
}

// ask sends one query over c and returns the reply to it.
func ask(t testing.TB, c net.Conn, packet []byte) message {
	t.Helper()
	send(t, c, packet)
	return read(t, receive(t, c))
}

// wantStats waits until the counts are what the test wants.
func wantStats(t testing.TB, s *Server, what string, ok func(Stats) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(s.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: never so; Stats = %+v", what, s.Stats())
		}
	}
}
