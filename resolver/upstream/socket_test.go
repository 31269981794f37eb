package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

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

func TestExchange_isNotEndedByForgedICMP(t *testing.T) {
	tests := []struct {
		name string
		code byte   // of destination unreachable
		icmp uint64 // what reaches us: Linux itself drops what is not final
	}{
		{"host unreachable", 1, 0},
		{"port unreachable", 3, 1},
		{"fragmentation needed", 4, 1},
		{"administratively prohibited", 13, 1},
	}
	forger, err := net.ListenPacket("ip4:icmp", "127.0.0.1")
	if err != nil {
		t.Skipf("forging ICMP needs root: %v", err)
	}
	defer forger.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
			done := make(chan struct{})
			go func() { // hears the question, forges, then answers
				defer close(done)
				buf := make([]byte, 1232)
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				_, _ = forger.WriteTo(unreachable(tt.code, from, to), &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)})
				time.Sleep(moment)
				_, _ = conn.WriteToUDPAddrPort(truth(buf[:n]), from)
			}()
			c := mustClient(t, Options{})
			_, err = c.Exchange(within(t, patience), to, question(), false)
			conn.Close()
			<-done
			if err != nil {
				t.Error(err)
			}
			if got := c.Stats().ICMP; got != tt.icmp {
				t.Errorf("ICMP = %d, want %d", got, tt.icmp)
			}
			sizes := make(chan uint16, 1)
			to = serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
				var m dns.Msg
				if m.Unpack(q) == nil {
					sizes <- m.IsEdns0().UDPSize()
				}
				return [][]byte{truth(q)}
			})
			if _, err := c.Exchange(within(t, patience), to, question(), false); err != nil {
				t.Error(err)
			}
			if got := <-sizes; got != 1232 {
				t.Errorf("the next question offers %d octets, want 1232", got)
			}
		})
	}
}

// unreachable is the ICMP message that a datagram did not reach its end.
func unreachable(code byte, from, to netip.AddrPort) []byte {
	b := []byte{3, code, 0, 0, 0, 0, 0, 68} // the last two: next MTU, RFC 1191
	b = append(b, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, syscall.IPPROTO_UDP, 0, 0)
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = append(b, 0, 8, 0, 0)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum+sum>>16))
	return b
}

func TestClient_socketOptions(t *testing.T) {
	tests := []struct {
		name          string
		server        string
		level, option int
		want          int
	}{
		{"IPv4 ignores the path's MTU", "127.0.0.1", syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, pmtudiscOmit},
		{"IPv6 ignores the path's MTU", "::1", syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, pmtudiscOmit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustClient(t, Options{})
			to := serveUDP(t, tt.server, func([]byte) [][]byte { return nil })
			sock, err := c.dialUDP(to)
			if err != nil {
				t.Fatal(err)
			}
			defer c.retire(sock, to, false)
			got, err := syscall.GetsockoptInt(sock.fd, tt.level, tt.option)
			if err != nil || got != tt.want {
				t.Errorf("option is %d (%v), want %d", got, err, tt.want)
			}
		})
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
	used := func() int { return openDescriptors(t) - len(c.idle.sockets[0]) }
	goroutines, descriptors := runtime.NumGoroutine(), used()
	ask()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines || used() > descriptors {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before; %d descriptors, %d before",
				runtime.NumGoroutine(), goroutines, used(), descriptors)
		}
		time.Sleep(time.Millisecond)
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
