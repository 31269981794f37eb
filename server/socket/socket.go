// Package socket opens the sockets of a service address.
//
// A caller says where; the options that a resolver's sockets need, and the
// reason for each, are here. They hold before the socket is bound, so that no
// packet ever meets a socket without them.
//
// The package is written for Linux.
package socket

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// QueueSize is the room, in octets, that a UDP socket asks for in each
// direction. 4 MiB, not configurable: some 5,000 queries, which lets a reader
// lose its core for 50 ms at 100,000 queries a second. Without CAP_NET_ADMIN
// the kernel gives what net.core.rmem_max and wmem_max allow.
const QueueSize = 4 << 20

// MaxSegment is the TCP segment size announced to clients, in octets: 1,280,
// what every IPv6 path carries, less 60 of headers. With anycast an ICMP
// message "too big" may reach another node (RFC 7094), so that path MTU
// discovery cannot be relied on.
const MaxSegment = 1220

// backlog bounds the connections that wait to be accepted. 1,024, not
// configurable: a quarter of those that the server holds by default, beyond
// which none would be admitted soon.
const backlog = 1024

// streamBuffer is the kernel's room for one TCP connection in each direction,
// in octets, which the kernel doubles. 64 KiB, not configurable: a whole
// message, and so bounded for 4,096 clients that do not read.
const streamBuffer = 64 << 10

// An option is one setsockopt(2). If the kernel refuses it, fallback is tried,
// unless it is nil.
type option struct {
	name     string
	level    int
	opt      int
	value    int
	fallback *option
}

// set makes one option hold.
func (o *option) set(fd int) error {
	err := unix.SetsockoptInt(fd, o.level, o.opt, o.value)
	switch {
	case err == nil:
		return nil
	case o.fallback != nil:
		return o.fallback.set(fd)
	}
	return fmt.Errorf("%s: %w", o.name, os.NewSyscallError("setsockopt", err))
}

// boundOptions hold for every socket that is bound to a: it may be bound
// before the address is on an interface, so that order at start does not
// matter.
func boundOptions(a netip.Addr) []option {
	if a.Is4() {
		return []option{{name: "IP_FREEBIND", level: unix.IPPROTO_IP, opt: unix.IP_FREEBIND, value: 1}}
	}
	return []option{
		{name: "IPV6_V6ONLY", level: unix.IPPROTO_IPV6, opt: unix.IPV6_V6ONLY, value: 1},
		{name: "IPV6_FREEBIND", level: unix.IPPROTO_IPV6, opt: unix.IPV6_FREEBIND, value: 1},
	}
}

// udpOptions hold for UDP sockets besides. Path MTU discovery is off: DF clear
// and learned MTUs ignored, so that a forged ICMP message cannot shape our
// replies; they are small enough to pass anyway (RFC 9715).
func udpOptions(a netip.Addr) []option {
	receive := option{name: "SO_RCVBUF", level: unix.SOL_SOCKET, opt: unix.SO_RCVBUF, value: QueueSize}
	send := option{name: "SO_SNDBUF", level: unix.SOL_SOCKET, opt: unix.SO_SNDBUF, value: QueueSize}
	options := []option{
		{name: "SO_REUSEPORT", level: unix.SOL_SOCKET, opt: unix.SO_REUSEPORT, value: 1},
		{name: "SO_RCVBUFFORCE", level: unix.SOL_SOCKET, opt: unix.SO_RCVBUFFORCE, value: QueueSize, fallback: &receive},
		{name: "SO_SNDBUFFORCE", level: unix.SOL_SOCKET, opt: unix.SO_SNDBUFFORCE, value: QueueSize, fallback: &send},
	}
	if a.Is4() {
		discover := option{name: "IP_MTU_DISCOVER", level: unix.IPPROTO_IP, opt: unix.IP_MTU_DISCOVER, value: unix.IP_PMTUDISC_DONT}
		options = append(options, discover.prefer(unix.IP_PMTUDISC_OMIT))
	} else {
		discover := option{name: "IPV6_MTU_DISCOVER", level: unix.IPPROTO_IPV6, opt: unix.IPV6_MTU_DISCOVER, value: unix.IPV6_PMTUDISC_DONT}
		options = append(options, discover.prefer(unix.IPV6_PMTUDISC_OMIT))
	}
	switch {
	case !a.IsUnspecified():
	case a.Is4():
		options = append(options, option{name: "IP_PKTINFO", level: unix.IPPROTO_IP, opt: unix.IP_PKTINFO, value: 1})
	default:
		options = append(options, option{name: "IPV6_RECVPKTINFO", level: unix.IPPROTO_IPV6, opt: unix.IPV6_RECVPKTINFO, value: 1})
	}
	return options
}

// prefer returns the option with value, and o where that is refused.
func (o option) prefer(value int) option {
	better := o
	better.value, better.fallback = value, &o
	return better
}

// tcpOptions hold for TCP listeners besides, and pass to what they accept.
// There is no SO_REUSEPORT: a second server on the same address and port has
// to fail, and listening by TCP first is what makes it fail.
func tcpOptions(stall int) []option {
	return []option{
		{name: "TCP_MAXSEG", level: unix.IPPROTO_TCP, opt: unix.TCP_MAXSEG, value: MaxSegment},
		{name: "TCP_USER_TIMEOUT", level: unix.IPPROTO_TCP, opt: unix.TCP_USER_TIMEOUT, value: stall},
		{name: "SO_RCVBUF", level: unix.SOL_SOCKET, opt: unix.SO_RCVBUF, value: streamBuffer},
		{name: "SO_SNDBUF", level: unix.SOL_SOCKET, opt: unix.SO_SNDBUF, value: streamBuffer},
	}
}

// control returns a function that makes options hold before the socket is
// bound.
func control(options ...[]option) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		fail := c.Control(func(fd uintptr) {
			for _, list := range options {
				for i := range list {
					if err = list[i].set(int(fd)); err != nil {
						return
					}
				}
			}
		})
		if fail != nil {
			return fail
		}
		return err
	}
}

// family returns network with the digit of a's family.
func family(network string, a netip.Addr) string {
	if a.Is4() {
		return network + "4"
	}
	return network + "6"
}

// ListenUDP binds one UDP socket, which shares its address and port with
// others of this kind. One that is bound to a wildcard is told with each
// datagram which address was asked.
func ListenUDP(at netip.AddrPort) (*net.UDPConn, error) {
	a := at.Addr()
	lc := net.ListenConfig{Control: control(boundOptions(a), udpOptions(a))}
	conn, err := lc.ListenPacket(context.Background(), family("udp", a), at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// ListenTCP binds a TCP listener whose connections end when their client has
// acknowledged nothing for stall. The kernel's keep-alive probes are off,
// since no connection idles for long; so is Multipath TCP, which knows neither
// of the TCP options.
func ListenTCP(at netip.AddrPort, stall time.Duration) (*net.TCPListener, error) {
	a := at.Addr()
	lc := net.ListenConfig{Control: control(boundOptions(a), tcpOptions(int(stall.Milliseconds()))), KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), family("tcp", a), at.String())
	if err != nil {
		return nil, err
	}
	listener := l.(*net.TCPListener)
	raw, err := listener.SyscallConn()
	if err == nil {
		// Listening again is how Linux changes the backlog that package net chose.
		fail := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) })
		if fail != nil {
			err = fail
		}
	}
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("listen %v: %w", at, err)
	}
	return listener, nil
}
