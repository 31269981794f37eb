package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"proxima/server/socket"
	"proxima/test/netns"
)

func TestUDPSocket_answerFrom(t *testing.T) {
	v4 := func(ifindex int32) []byte {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: ifindex, Spec_dst: [4]byte{192, 0, 2, 1}, Addr: [4]byte{192, 0, 2, 1}})
	}
	v6 := func(address string, ifindex uint32) []byte {
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: netip.MustParseAddr(address).As16(), Ifindex: ifindex})
	}
	tests := []struct {
		name    string
		control []byte
		want    []byte
	}{
		{"IPv4 loses its interface and keeps its address", v4(3), v4(0)},
		{"so does IPv6", v6("2001:db8::1", 3), v6("2001:db8::1", 0)},
		{"a link-local address keeps its interface", v6("fe80::1", 3), v6("fe80::1", 3)},
		{"without a message there is nothing to do", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := &udpSocket{any: true, ipv6: len(tt.control) > len(v4(0))}
			if u.answerFrom(tt.control); !bytes.Equal(tt.control, tt.want) {
				t.Errorf("got %x, want %x", tt.control, tt.want)
			}
			if len(tt.control) > controlSize {
				t.Errorf("%d octets, room for %d", len(tt.control), controlSize)
			}
		})
	}
}

// What the kernel refuses costs no other reply, wherever it stands in the batch,
// and a batch may be more than one call takes.
func TestUDPSocket_WriteBatch_refused(t *testing.T) {
	mustListen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	client, ours := mustListen(), mustListen()
	u, err := newUDPSocket(ours, loopback4)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(client.LocalAddr().(*net.UDPAddr).Port)
	refused := []int{0, 1, 7, batchSize - 1, batchSize, batchSize + 9}
	packets := make([]*packet, batchSize+10)
	for i := range packets {
		packets[i] = &packet{reply: []byte{byte(i)}, nameLen: unix.SizeofSockaddrInet4}
		to := port
		if slices.Contains(refused, i) {
			to = 0 // nobody's: EINVAL
		}
		name := binary.NativeEndian.AppendUint16(packets[i].name[:0], unix.AF_INET)
		name = binary.BigEndian.AppendUint16(name, to)
		_ = append(name, 127, 0, 0, 1)
	}
	if got := u.WriteBatch(packets); got != len(refused) {
		t.Fatalf("%d failed, want %d", got, len(refused))
	}
	client.SetReadDeadline(time.Now().Add(time.Minute)) // they are there already
	for i := range packets {
		if slices.Contains(refused, i) {
			continue
		}
		var reply [2]byte
		if n, err := client.Read(reply[:]); err != nil || n != 1 || int(reply[0]) != i {
			t.Fatalf("%d octets, %d; want reply %d; error %v", n, reply[0], i, err)
		}
	}
	u.Close()
	if got := u.WriteBatch(packets); got != len(packets) {
		t.Errorf("of a closed socket %d failed, want %d", got, len(packets))
	}
}

func TestListen_socketOptions(t *testing.T) {
	needIPv6(t)
	s := serve(t, Options{Addresses: []netip.Addr{loopback4, loopback6}, Readers: 1}, known)
	udp4, udp6 := s.readers[0].conn.(*udpSocket).raw, s.readers[1].conn.(*udpSocket).raw
	tcp4, err := s.listeners[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		raw        syscall.RawConn
		level, opt int
		least      int
	}{
		{"UDP over IPv4 ignores path MTU", udp4, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT},
		{"UDP over IPv6 ignores path MTU", udp6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT},
		{"UDP over IPv4 may be bound early", udp4, unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
		{"UDP over IPv6 may be bound early", udp6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
		{"UDP over IPv6 is IPv6 alone", udp6, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{"UDP shares its port among readers", udp4, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"UDP has room for a burst", udp4, unix.SOL_SOCKET, unix.SO_RCVBUF, 200 << 10},
		{"TCP may be bound early", tcp4, unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
		{"TCP gives up after Stall", tcp4, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 5000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.raw.Control(func(fd uintptr) {
				got, err := unix.GetsockoptInt(int(fd), tt.level, tt.opt)
				if err != nil || got < tt.least {
					t.Errorf("got %d, %v; want %d", got, err, tt.least)
				}
			})
		})
	}
}

// A call that the scheduler does not know of must not wait, see ADR 17.
func TestListen_socketsNeverBlock(t *testing.T) {
	s := serve(t, Options{}, known)
	for _, r := range s.readers {
		r.conn.(*udpSocket).raw.Control(func(fd uintptr) {
			flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: flags %#x, %v; want O_NONBLOCK", r.name, flags, err)
			}
		})
	}
}

func TestListen_announcesItsSegmentSize(t *testing.T) {
	s := serve(t, Options{}, known)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0]).(*net.TCPConn)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		if err != nil || got > socket.MaxSegment || got < socket.MaxSegment-20 { // less TCP's own options
			t.Errorf("the client sends segments of %d octets, %v; want %d at most", got, err, socket.MaxSegment)
		}
	})
}

func TestListen_bindsAllOrNothing(t *testing.T) {
	s := serve(t, Options{}, known)
	taken := s.Addrs()[0]
	_, err := Listen(Options{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2"), taken.Addr()}, Port: taken.Port()})
	if err == nil {
		t.Fatal("a second server took the same address and port")
	}
	c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.2:%d", taken.Port()))
	if err != nil {
		t.Fatalf("the address before it stays bound: %v", err)
	}
	c.Close()
	for range 20 { // the readers' sockets still get everything
		ask(t, dial(t, "udp", netip.Addr{}, taken), query(1, "a.example."))
	}
}

func TestListen_beforeTheAddressExists(t *testing.T) {
	s, err := Listen(Options{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::1")}})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestStats_countsWhatTheKernelDrops(t *testing.T) {
	s, err := Listen(Options{Addresses: []netip.Addr{loopback4}, Readers: 1}) // and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := dial(t, "udp", netip.Addr{}, s.Addrs()[0])
	packet := make([]byte, 60000)
	for range 4 * socket.QueueSize / len(packet) {
		send(t, c, packet)
	}
	if s.Stats().KernelDrops == 0 {
		t.Error("a queue took four times what it can hold")
	}
}

// twoPaths returns a node and a client with two cables between them. The client
// reaches the node's two anycast addresses of each family by one cable each;
// the node's way back is always the second.
func twoPaths(t *testing.T) (node, client *netns.Host) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	n := netns.New()
	t.Cleanup(n.Close)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	node, err = n.Host("node")
	must(err)
	client, err = n.Host("client")
	must(err)
	for i := range 2 {
		end := fmt.Sprintf("cable%d", i)
		must(n.Link(node, end, client, end))
		must(node.Addr(end, netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/29", 8*i+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::1/64", i))))
		must(client.Addr(end, netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/29", 8*i+2)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::2/64", i))))
	}
	for i := range 2 {
		v4, v6 := fmt.Sprintf("198.51.100.%d/32", i+1), fmt.Sprintf("2001:db8:53::%d/128", i+1)
		must(node.Addr("lo", netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)))
		must(client.Route(netip.MustParsePrefix(v4), netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 8*i+1))))
		must(client.Route(netip.MustParsePrefix(v6), netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::1", i))))
	}
	must(client.Addr("lo", netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8:c::1/128")))
	must(node.Route(netip.MustParsePrefix("192.0.2.1/32"), netip.MustParseAddr("203.0.113.10")))
	must(node.Route(netip.MustParsePrefix("2001:db8:c::1/128"), netip.MustParseAddr("2001:db8:1::2")))
	return node, client
}

func TestServe_wildcardOverTwoPaths(t *testing.T) {
	node, client := twoPaths(t)
	var s *Server
	err := node.Do(func() (err error) {
		s, err = Listen(Options{Addresses: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, Readers: 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), both) }()
	defer func() {
		s.Close()
		<-served
	}()
	port := s.Addrs()[0].Port()
	link, err := client.Netlink().LinkByName("cable1")
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"198.51.100.1", "198.51.100.2", "2001:db8:53::1", "2001:db8:53::2", linkLocal(t, node, "cable1")} {
		for _, network := range []string{"udp", "tcp"} {
			for _, name := range []string{"now.example.", "later.example."} {
				t.Run(asked+" "+network+" "+name, func(t *testing.T) {
					to := netip.AddrPortFrom(netip.MustParseAddr(asked), port)
					from := netip.MustParseAddr("192.0.2.1")
					switch {
					case to.Addr().IsLinkLocalUnicast():
						from = netip.Addr{}
					case to.Addr().Is6():
						from = netip.MustParseAddr("2001:db8:c::1")
					}
					c := dialFrom(t, client, network, from, to, link)
					const queries = 20
					before := received(t, client, "cable1")
					for range queries {
						if got := ask(t, c, query(1, name)); got.answers != 1 {
							t.Errorf("got %+v, want an answer", got)
						}
					}
					if n := received(t, client, "cable1") - before; n < queries {
						t.Errorf("%d packets came by the way that the routes say, want %d replies", n, queries)
					}
				})
			}
		}
	}
}

// received returns how many packets have reached the host by a cable.
func received(t *testing.T, h *netns.Host, end string) uint64 {
	t.Helper()
	link, err := h.Netlink().LinkByName(end)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.RxPackets
}

// linkLocal returns the link-local address of the host's end of a cable.
func linkLocal(t *testing.T, h *netns.Host, end string) string {
	t.Helper()
	link, err := h.Netlink().LinkByName(end)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		addrs, err := h.Netlink().AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return a.IP.String()
			}
		}
	}
	t.Fatalf("%s has no link-local address on %s", h.Name, end)
	return ""
}

// dialFrom connects from a host's address; a link-local address is asked over
// link.
func dialFrom(t *testing.T, h *netns.Host, network string, from netip.Addr, to netip.AddrPort, link netlink.Link) net.Conn {
	t.Helper()
	var c net.Conn
	err := h.Do(func() error {
		var err error
		d := net.Dialer{Timeout: patience, FallbackDelay: -1}
		switch {
		case !from.IsValid():
			// By number: names of interfaces are known per host.
			to = netip.AddrPortFrom(to.Addr().WithZone(fmt.Sprint(link.Attrs().Index)), to.Port())
		case network == "udp":
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		default:
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		c, err = d.Dial(network, to.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}
