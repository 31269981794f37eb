package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	patience = 10 * time.Second       // more than any test needs
	moment   = 150 * time.Millisecond // how long silence is listened to
)

func TestExchange_ignoresWhatIsNoReply(t *testing.T) {
	tests := []struct {
		name   string
		before script // what comes before the truth
		want   Stats
	}{
		{"nothing", func([]byte) [][]byte { return nil }, Stats{}},
		{"a wrong ID", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Id++ })}
		}, Stats{WrongID: 1}},
		{"two hundred wrong IDs", func(q []byte) [][]byte {
			return slices.Repeat([][]byte{answer(q, func(m *dns.Msg) { m.Id ^= 0x100 })}, 200)
		}, Stats{WrongID: 200}},
		{"a wrong name", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.exbmple." })}
		}, Stats{WrongQuestion: 1}},
		{"a longer name", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.example.example." })}
		}, Stats{WrongQuestion: 1}},
		{"a wrong type", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA })}
		}, Stats{WrongQuestion: 1}},
		{"a wrong class", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })}
		}, Stats{WrongQuestion: 1}},
		{"no question", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question = nil; m.Rcode = dns.RcodeServerFailure })}
		}, Stats{WrongQuestion: 1}},
		{"the query itself", func(q []byte) [][]byte { return [][]byte{q} }, Stats{Malformed: 1}},
		{"another opcode", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify })}
		}, Stats{Malformed: 1}},
		{"an empty datagram", func([]byte) [][]byte { return [][]byte{{}} }, Stats{Malformed: 1}},
		{"half a header", func(q []byte) [][]byte { return [][]byte{q[:6]} }, Stats{Malformed: 1}},
		{"noise", func([]byte) [][]byte {
			return [][]byte{[]byte("GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")}
		}, Stats{Malformed: 1}},
		{"counts that lie", func(q []byte) [][]byte {
			p := truth(q)
			binary.BigEndian.PutUint16(p[ancount:], 0xffff)
			return [][]byte{p}
		}, Stats{Malformed: 1}},
		{"a record cut off", func(q []byte) [][]byte {
			p := truth(q)
			return [][]byte{p[:len(p)-2]}
		}, Stats{Malformed: 1}},
		{"more than a datagram should hold", func(q []byte) [][]byte {
			return [][]byte{append(truth(q)[:20], make([]byte, 2*maxDatagram)...)}
		}, Stats{WrongQuestion: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return append(tt.before(q), truth(q)) })
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if len(reply.Answer) != 1 {
				t.Errorf("reply is\n%v\nwant one address", reply)
			}
			tt.want.Datagrams, tt.want.Replies = 1, 1
			if got := c.Stats(); got != tt.want {
				t.Errorf("Stats = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestExchange_keepsTheQuestionAsGiven(t *testing.T) {
	asked := make(chan []byte, 1)
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
		asked <- slices.Clone(q)
		return [][]byte{truth(q)}
	})
	q := question()
	q.Id = 4711
	reply, err := mustClient(t, Options{}).Exchange(within(t, patience), to, q, false)
	if err != nil {
		t.Fatal(err)
	}
	var got dns.Msg
	if err := got.Unpack(<-asked); err != nil {
		t.Fatal(err)
	}
	if q.Id != 4711 || reply.Id != got.Id {
		t.Errorf("query's ID became %d; asked %d, got %d", q.Id, got.Id, reply.Id)
	}
	if got.Question[0] != q.Question[0] || got.IsEdns0() == nil || got.IsEdns0().UDPSize() != 1232 || !got.IsEdns0().Do() {
		t.Errorf("asked\n%v\nwant\n%v", &got, q)
	}
}

func TestExchange_takesAnyLetterCase(t *testing.T) {
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
		return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "WwW.eXAMPLE." })}
	})
	if _, err := mustClient(t, Options{}).Exchange(within(t, patience), to, question(), false); err != nil {
		t.Error(err)
	}
}

func TestExchange_returnsFailuresAsReplies(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeBadVers} {
		t.Run(dns.RcodeToString[rcode], func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
				return [][]byte{answer(q, func(m *dns.Msg) {
					m.SetEdns0(1232, false)
					m.Rcode = rcode
				})}
			})
			reply, err := mustClient(t, Options{}).Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if reply.Rcode != rcode {
				t.Errorf("rcode = %d, want %d", reply.Rcode, rcode)
			}
		})
	}
}

func TestExchange_returnsTruncationWithoutRecords(t *testing.T) {
	tests := []struct {
		name   string
		packet func(q []byte) []byte
	}{
		{"whole records", func(q []byte) []byte {
			p := truth(q)
			p[2] |= flagTC
			return p
		}},
		{"cut within a record", func(q []byte) []byte {
			p := truth(q)
			p[2] |= flagTC
			return p[:len(p)-3]
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return [][]byte{tt.packet(q)} })
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if !reply.Truncated || len(reply.Question) != 1 || len(reply.Answer)+len(reply.Ns)+len(reply.Extra) != 0 {
				t.Errorf("reply is\n%v\nwant TC and the question alone", reply)
			}
			if got := c.Stats().Truncated; got != 1 {
				t.Errorf("Truncated = %d, want 1", got)
			}
		})
	}
}

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

func TestExchange_asksFromTheSource(t *testing.T) {
	source := netip.MustParseAddr("127.0.0.2")
	c := mustClient(t, Options{Sources: []netip.Addr{source, netip.MustParseAddr("127.0.0.3")}})
	t.Run("UDP", func(t *testing.T) {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = c.Exchange(within(t, moment), conn.LocalAddr().(*net.UDPAddr).AddrPort(), question(), false)
		_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 1))
		if err != nil || from.Addr() != source {
			t.Errorf("asked from %v (%v), want %s", from, err, source)
		}
	})
	t.Run("TCP", func(t *testing.T) {
		from := make(chan net.Addr, 1)
		to := serveTCP(t, "127.0.0.1", func(conn net.Conn, q []byte) {
			from <- conn.RemoteAddr()
			conn.Write(frames(truth(q)))
		})
		if _, err := c.Exchange(within(t, patience), to, question(), true); err != nil {
			t.Fatal(err)
		}
		if got := (<-from).(*net.TCPAddr).AddrPort().Addr(); got != source {
			t.Errorf("asked from %s, want %s", got, source)
		}
	})
	t.Run("a family without source is not asked", func(t *testing.T) {
		for _, stream := range []bool{false, true} {
			_, err := c.Exchange(within(t, patience), netip.MustParseAddrPort("[::1]:53"), question(), stream)
			if !errors.Is(err, syscall.ENETUNREACH) {
				t.Errorf("err = %v, want network unreachable", err)
			}
		}
	})
	t.Run("a source that this host lacks", func(t *testing.T) {
		c := mustClient(t, Options{Sources: []netip.Addr{netip.MustParseAddr("192.0.2.99")}})
		_, err := c.Exchange(within(t, patience), netip.MustParseAddrPort("127.0.0.1:53"), question(), false)
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("err = %v, want address not available", err)
		}
	})
}

func TestExchange_asksOverIPv6(t *testing.T) {
	c := mustClient(t, Options{Sources: []netip.Addr{netip.IPv6Loopback()}})
	to := serveUDP(t, "::1", func(q []byte) [][]byte { return [][]byte{truth(q)} })
	if _, err := c.Exchange(within(t, patience), to, question(), false); err != nil {
		t.Errorf("UDP: %v", err)
	}
	to = serveTCP(t, "::1", func(conn net.Conn, q []byte) { conn.Write(frames(truth(q))) })
	if _, err := c.Exchange(within(t, patience), to, question(), true); err != nil {
		t.Errorf("TCP: %v", err)
	}
}

func TestExchange_endsInTime(t *testing.T) {
	silent := serveUDP(t, "127.0.0.1", func([]byte) [][]byte { return nil })
	mute := serveTCP(t, "127.0.0.1", func(conn net.Conn, _ []byte) { hangUp(conn) })
	tests := []struct {
		name   string
		to     netip.AddrPort
		stream bool
	}{
		{"a silent server", silent, false},
		{"a silent server over TCP", mute, true},
	}
	for _, tt := range tests {
		t.Run(tt.name+" at the deadline", func(t *testing.T) {
			c := mustClient(t, Options{})
			_, err := c.Exchange(within(t, moment), tt.to, question(), tt.stream)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want DeadlineExceeded", err)
			}
			if got := c.Stats().Timeouts; got != 1 {
				t.Errorf("Timeouts = %d, want 1", got)
			}
		})
		t.Run(tt.name+" when cancelled", func(t *testing.T) {
			c := mustClient(t, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(moment, cancel)
			_, err := c.Exchange(ctx, tt.to, question(), tt.stream)
			if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want Canceled", err)
			}
		})
		t.Run(tt.name+" when closed", func(t *testing.T) {
			c := mustClient(t, Options{})
			time.AfterFunc(moment, func() { c.Close() })
			_, err := c.Exchange(t.Context(), tt.to, question(), tt.stream)
			if !errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
				t.Errorf("err = %v, want ErrClosed", err)
			}
		})
	}
}

func TestExchange_isNotEndedByICMP(t *testing.T) {
	// The question goes to a closed port, so that the kernel reports port
	// unreachable at once.
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := probe.LocalAddr().(*net.UDPAddr).AddrPort()
	probe.Close()
	c := mustClient(t, Options{})
	_, err = c.Exchange(within(t, moment), to, question(), false)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("err = %v, want the deadline, and the refusal in words", err)
	}
	if got := c.Stats(); got.ICMP == 0 || got.Timeouts != 1 {
		t.Errorf("Stats = %+v, want ICMP counted and one timeout", got)
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

func TestExchange_waitsForAFreeSocket(t *testing.T) {
	silent := serveUDP(t, "127.0.0.1", func([]byte) [][]byte { return nil })
	c := mustClient(t, Options{Sockets: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { _, _ = c.Exchange(ctx, silent, question(), false) })
	for c.Stats().Datagrams == 0 {
		runtime.Gosched()
	}
	_, err := c.Exchange(within(t, moment), silent, question(), false)
	if !errors.Is(err, ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want ErrBusy", err)
	}
	cancel()
	first.Wait()
	if got := c.Stats(); got.Busy != 1 || got.InFlight != 0 || got.Datagrams != 1 {
		t.Errorf("Stats = %+v, want one busy, none in flight, one sent", got)
	}
}

func TestExchange_leavesNothingBehind(t *testing.T) {
	honest := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return [][]byte{truth(q)} })
	silent := serveUDP(t, "127.0.0.1", func([]byte) [][]byte { return nil })
	stream := serveTCP(t, "127.0.0.1", func(conn net.Conn, q []byte) { conn.Write(frames(truth(q))) })
	c := mustClient(t, Options{})
	ask := func() {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _ = c.Exchange(within(t, patience), honest, question(), false) })
			all.Go(func() { _, _ = c.Exchange(within(t, moment), silent, question(), false) })
			all.Go(func() { _, _ = c.Exchange(within(t, patience), stream, question(), true) })
		}
		all.Wait()
	}
	ask() // what is made once is made now
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	ask()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines || openDescriptors(t) > descriptors {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before; %d descriptors, %d before",
				runtime.NumGoroutine(), goroutines, openDescriptors(t), descriptors)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestExchange_usesFreshPortsAndIDs(t *testing.T) {
	const questions = 1000
	ports, ids := map[uint16]bool{}, map[uint16]bool{}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1232)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			ports[from.Port()] = true
			ids[binary.BigEndian.Uint16(buf)] = true
			_, _ = conn.WriteToUDPAddrPort(truth(buf[:n]), from)
		}
	}()
	c := mustClient(t, Options{})
	for range questions {
		if _, err := c.Exchange(within(t, patience), conn.LocalAddr().(*net.UDPAddr).AddrPort(), question(), false); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	<-done
	// Of 28,232 ports and 65,536 IDs, 1,000 draws hit 982 and 992 different ones.
	if len(ports) < 900 || len(ids) < 950 {
		t.Errorf("%d ports and %d IDs for %d questions", len(ports), len(ids), questions)
	}
}

func TestExchange_refusesToAsk(t *testing.T) {
	c := mustClient(t, Options{})
	tests := []struct {
		name      string
		questions []dns.Question
	}{
		{"no question", nil},
		{"two questions", []dns.Question{{Name: "a.example."}, {Name: "b.example."}}},
		{"no name", []dns.Question{{Name: strings.Repeat("a", 64) + ".example."}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Exchange(t.Context(), netip.MustParseAddrPort("127.0.0.1:53"), &dns.Msg{Question: tt.questions}, false)
			if err == nil {
				t.Error("no error")
			}
		})
	}
	if got := c.Stats(); got != (Stats{}) {
		t.Errorf("Stats = %+v, want nothing counted", got)
	}
}

func TestNew_refuses(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"too many sockets", Options{Sockets: maxSockets + 1}, "Sockets"},
		{"a negative number of sockets", Options{Sockets: -1}, "Sockets"},
		{"no address as a source", Options{Sources: []netip.Addr{{}}}, "Sources"},
		{"the wildcard as a source", Options{Sources: []netip.Addr{netip.IPv6Unspecified()}}, "Sources"},
		{"a multicast source", Options{Sources: []netip.Addr{netip.MustParseAddr("224.0.0.1")}}, "Sources"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one that names %s", err, tt.want)
			}
		})
	}
}

func TestClose_twiceIsHarmless(t *testing.T) {
	c := mustClient(t, Options{})
	c.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	_, err := c.Exchange(t.Context(), netip.MustParseAddrPort("127.0.0.1:53"), question(), false)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("err = %v after Close, want ErrClosed", err)
	}
}

// openDescriptors counts this process's open files.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}
