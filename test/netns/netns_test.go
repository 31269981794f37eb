//go:build linux

package netns

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestNet_carriesPackets(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n := New()
	defer n.Close()
	left, right := mustHost(t, n, "left"), mustHost(t, n, "right")
	if err := n.Link(left, "wire", right, "wire"); err != nil {
		t.Fatal(err)
	}
	for h, addr := range map[*Host]string{left: "192.0.2.1/24", right: "192.0.2.2/24"} {
		if err := h.Addr("wire", netip.MustParsePrefix(addr)); err != nil {
			t.Fatal(err)
		}
	}
	server := mustEcho(t, right, "192.0.2.2:7")
	defer server.Close()

	conn, err := left.Dial(t.Context(), "udp", "192.0.2.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 16)
	if got, err := conn.Read(buf); err != nil || string(buf[:got]) != "ping" {
		t.Errorf("read %q, %v; want ping", buf[:got], err)
	}
}

func TestHost_hidesItsLinks(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n := New()
	defer n.Close()
	h := mustHost(t, n, "alone")
	out, err := h.Run(t.Context(), "cat", "/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "lo:") || strings.Contains(out, "eth0") {
		t.Errorf("links of a fresh host:\n%s\nwant lo alone", out)
	}
}

func TestHost_programsOutliveTheThreadsOfOtherHosts(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n := New()
	defer n.Close()
	var programs []*Program
	for range 20 {
		p, err := mustHost(t, n, "more").Start(exec.Command("sleep", "60"))
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	for _, p := range programs {
		select {
		case <-p.Done():
			t.Fatalf("a program ended by itself: %v", p.Err())
		default:
		}
	}
}

func TestNet_adoptsWhereAProcessLives(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	theirs, ours := New(), New()
	defer theirs.Close()
	defer ours.Close()
	h := mustHost(t, theirs, "theirs")
	p, err := h.Start(exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := ours.Adopt("adopted", p.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Link(mustHost(t, ours, "ours"), "wire", adopted, "wire"); err != nil {
		t.Fatal(err)
	}
	out, err := h.Run(t.Context(), "cat", "/proc/net/dev")
	if err != nil || !strings.Contains(out, "wire:") {
		t.Errorf("links of the adopted host: %v\n%s\nwant wire among them", err, out)
	}
}

func mustHost(t *testing.T, n *Net, name string) *Host {
	t.Helper()
	h, err := n.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mustEcho answers datagrams on a host with themselves until it is closed.
func mustEcho(t *testing.T, h *Host, address string) net.PacketConn {
	t.Helper()
	var conn net.PacketConn
	err := h.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return conn
}
