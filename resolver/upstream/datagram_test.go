package upstream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mustDial returns a socket that is connected to conn.
func mustDial(t *testing.T, c *Client, to netip.AddrPort) *socket {
	t.Helper()
	s, err := c.dialUDP(to)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustListen returns a socket that nobody reads from.
func mustListen(t *testing.T, host string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return conn, netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
}

// portOf returns the port that s has, 0 for none.
func portOf(t *testing.T, s *socket) int {
	t.Helper()
	name, err := syscall.Getsockname(s.fd)
	if err != nil {
		t.Fatal(err)
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		return name.Port
	case *syscall.SockaddrInet6:
		return name.Port
	}
	t.Fatalf("%T", name)
	return 0
}

func TestSocket_getsANewPortForEachQuestion(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, o := range []Options{{}, {Sources: []netip.Addr{netip.MustParseAddr(host)}}} {
			c := mustClient(t, o)
			_, to := mustListen(t, host)
			first := mustDial(t, c, to)
			ports := map[int]bool{portOf(t, first): true}
			const questions = 50
			for range questions - 1 {
				c.retire(first, to, true)
				if port := portOf(t, first); port != 0 {
					t.Fatalf("%s: an idle socket has port %d", host, port)
				}
				if again := mustDial(t, c, to); again != first {
					t.Fatalf("%s: the idle socket was not used", host)
				}
				ports[portOf(t, first)] = true
			}
			if len(ports) < questions-5 { // 28,232 of them, so that two are the same once in 23 runs
				t.Errorf("%s: %d ports for %d questions", host, len(ports), questions)
			}
			c.retire(first, to, true)
		}
	}
}

func TestSocket_hearsNothingForTheQuestionBefore(t *testing.T) {
	conn, to := mustListen(t, "127.0.0.1")
	c := mustClient(t, Options{})
	s := mustDial(t, c, to)
	old := netip.AddrPortFrom(to.Addr(), uint16(portOf(t, s)))
	c.retire(s, to, true)
	if mustDial(t, c, to) != s {
		t.Fatal("the idle socket was not used")
	}
	defer c.retire(s, to, false)
	if _, err := conn.WriteToUDPAddrPort([]byte("late"), old); err != nil {
		t.Fatal(err)
	}
	if n, from, errno := s.receive(make([]byte, 512)); errno == 0 { // over lo it would be here
		t.Errorf("%d octets from %v reached the port of the question before", n, from)
	}
}

func TestSocket_isNotUsedAgainWithWhatItHolds(t *testing.T) {
	conn, to := mustListen(t, "127.0.0.1")
	c := mustClient(t, Options{})
	s := mustDial(t, c, to)
	if _, err := conn.WriteToUDPAddrPort([]byte("more"), netip.AddrPortFrom(to.Addr(), uint16(portOf(t, s)))); err != nil {
		t.Fatal(err)
	}
	c.retire(s, to, true)
	if n := len(c.idle.sockets[0]); n != 0 {
		t.Errorf("%d idle sockets, one of them with a datagram", n)
	}
}

func TestClient_readLooksUpFromAFlood(t *testing.T) {
	conn, to := mustListen(t, "127.0.0.1")
	c := mustClient(t, Options{})
	s := mustDial(t, c, to)
	defer c.retire(s, to, false)
	q, err := pack(question(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxUnheeded {
		if _, err := conn.WriteToUDPAddrPort([]byte("no reply"), netip.AddrPortFrom(to.Addr(), uint16(portOf(t, s)))); err != nil {
			t.Fatal(err)
		}
	}
	if reply, _, err := c.read(s, to, q); reply != nil || err != nil {
		t.Fatalf("read = %v, %v", reply, err)
	}
	if got := c.Stats().Malformed; got != maxUnheeded {
		t.Errorf("read %d datagrams in a row, want %d", got, maxUnheeded)
	}
	if len(s.ready) == 0 {
		t.Error("the rest waits for a datagram that may never come")
	}
	if _, err := conn.WriteToUDPAddrPort(truth(q.packet), netip.AddrPortFrom(to.Addr(), uint16(portOf(t, s)))); err != nil {
		t.Fatal(err)
	}
	q.began = time.Now()
	if _, err := c.await(within(t, patience), s, to, q); err != nil {
		t.Errorf("the reply behind the flood: %v", err)
	}
}

func TestIdle_isBounded(t *testing.T) {
	var i idle
	for range maxIdle {
		if !i.put(&socket{}) {
			t.Fatal("no room")
		}
	}
	if i.put(&socket{}) {
		t.Errorf("room for more than %d", maxIdle)
	}
}

func TestSendAll(t *testing.T) {
	conn, to := mustListen(t, "127.0.0.1")
	c := mustClient(t, Options{})
	var all []*socket
	for _, packet := range []string{"one", "taken back", "two"} {
		s := mustDial(t, c, to)
		defer c.retire(s, to, false)
		s.packet = []byte(packet)
		s.state.Store(queued)
		all = append(all, s)
	}
	all[1].takeBack()
	broken := &socket{fd: -1, ready: make(chan struct{}, 1)}
	broken.state.Store(queued)
	sendAll(append(all, broken))
	for _, want := range []string{"one", "two"} {
		buf := make([]byte, 512)
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("server heard %q (%v), want %q", buf[:n], err, want)
		}
	}
	if <-broken.ready; broken.state.Load() != sent || !errors.Is(broken.sendErr, syscall.EBADF) {
		t.Errorf("who waits is told %v, want %v", broken.sendErr, syscall.EBADF)
	}
}

func TestExchange_burstsLoseNothing(t *testing.T) {
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return [][]byte{truth(bytes.Clone(q))} })
	c := mustClient(t, Options{})
	var all sync.WaitGroup
	for range 8 * lonely {
		all.Go(func() {
			for range 20 {
				if _, err := c.Exchange(within(t, patience), to, question(), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := c.Stats(); got.Replies != 8*lonely*20 || got.WrongID+got.Suspicious != 0 {
		t.Errorf("Stats = %+v, want a reply each and nothing wrong", got)
	}
}

func TestExchange_burstsEndWithTheirContexts(t *testing.T) {
	_, silent := mustListen(t, "127.0.0.1")
	c := mustClient(t, Options{})
	var all sync.WaitGroup
	for i := range 8 * lonely {
		ctx, cancel := context.WithTimeout(t.Context(), moment)
		if i%2 == 0 {
			cancel()
		}
		all.Go(func() {
			defer cancel()
			if _, err := c.Exchange(ctx, silent, question(), false); err == nil {
				t.Error("a reply from nobody")
			}
		})
	}
	all.Wait()
}
