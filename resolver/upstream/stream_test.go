package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

func TestExchange_overTCP(t *testing.T) {
	large := func(q []byte) []byte { // the longest message there is
		p := answer(q, func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.RFC3597{
				Hdr:   dns.RR_Header{Name: "www.example.", Rrtype: 65280, Class: dns.ClassINET},
				Rdata: strings.Repeat("00", dns.MaxMsgSize-1-headerLen-17-23),
			}}
		})
		if len(p) != dns.MaxMsgSize-1 {
			panic(len(p))
		}
		return p
	}
	tests := []struct {
		name string
		play func(conn net.Conn, q []byte)
		ok   bool
	}{
		{"a reply in one write", func(conn net.Conn, q []byte) { conn.Write(frames(truth(q))) }, true},
		{"a reply octet by octet", func(conn net.Conn, q []byte) {
			for _, c := range frames(truth(q)) {
				conn.Write([]byte{c})
			}
		}, true},
		{"65,534 octets", func(conn net.Conn, q []byte) { conn.Write(frames(large(q))) }, true},
		{"a wrong ID first", func(conn net.Conn, q []byte) {
			conn.Write(frames(answer(q, func(m *dns.Msg) { m.Id++ }), truth(q)))
		}, true},
		{"nothing but wrong IDs", func(conn net.Conn, q []byte) {
			conn.Write(slices.Repeat(frames(answer(q, func(m *dns.Msg) { m.Id++ })), 100))
		}, false},
		{"empty messages", func(conn net.Conn, q []byte) { conn.Write(make([]byte, 100)) }, false},
		{"closed at once", func(net.Conn, []byte) {}, false},
		{"closed within the length", func(conn net.Conn, q []byte) { conn.Write([]byte{0}) }, false},
		{"closed within the message", func(conn net.Conn, q []byte) {
			f := frames(truth(q))
			conn.Write(f[:len(f)-1])
		}, false},
		{"a length without octets", func(conn net.Conn, q []byte) { conn.Write([]byte{0xff, 0xff}) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveTCP(t, "127.0.0.1", tt.play)
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), true)
			if !tt.ok {
				if err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("err = %v, want one of the network", err)
				}
				if got := c.Stats().Failed; got != 1 {
					t.Errorf("Failed = %d, want 1", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(reply.Answer) != 1 {
				t.Errorf("reply is\n%v\nwant one record", reply)
			}
		})
	}
}

func TestExchange_endsWithAMalformedStream(t *testing.T) {
	tests := []struct {
		name   string
		packet func(q []byte) []byte
	}{
		{"a record cut off", func(q []byte) []byte { return truth(q)[:len(truth(q))-2] }},
		{"more records than may be", func(q []byte) []byte {
			p := append(truth(q), slices.Repeat(record(0xc00c, dns.TypeA, []byte{192, 0, 2, 1}), maxRecords)...)
			binary.BigEndian.PutUint16(p[ancount:], maxRecords+1)
			return p
		}},
		{"the query itself", func(q []byte) []byte { return q }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveTCP(t, "127.0.0.1", func(conn net.Conn, q []byte) {
				conn.Write(frames(tt.packet(q)))
				hangUp(conn)
			})
			c := mustClient(t, Options{})
			_, err := c.Exchange(within(t, patience), to, question(), true)
			if !errors.Is(err, errMalformed) {
				t.Errorf("err = %v, want %v", err, errMalformed)
			}
			if got := c.Stats(); got.Malformed != 1 || got.Failed != 1 {
				t.Errorf("Stats = %+v, want one malformed and failed", got)
			}
		})
	}
}

func TestExchange_sendsLengthAndMessageTogether(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := make(chan []byte, 1)
	go func() {
		defer close(read)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1024)
		n, _ := conn.Read(buf)
		read <- buf[:n]
	}()
	c := mustClient(t, Options{})
	_, err = c.Exchange(within(t, patience), l.Addr().(*net.TCPAddr).AddrPort(), question(), true)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("err = %v, want the end of the connection", err)
	}
	if b := <-read; len(b) < 2 || len(b)-2 != int(binary.BigEndian.Uint16(b)) {
		t.Errorf("first segment is %x, want length and message", b)
	}
}

func TestExchange_refusedOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	_, err = mustClient(t, Options{}).Exchange(within(t, patience), to, question(), true)
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want connection refused", err)
	}
}
