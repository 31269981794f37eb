package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Linux's numbers that package syscall lacks.
const (
	ipBindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, Linux 4.2
	pmtudiscOmit        = 5  // IP_PMTUDISC_OMIT and IPV6_PMTUDISC_OMIT, Linux 3.15
)

// dialUDP opens a fresh socket that is bound to the source of to's family and
// connected to to, so that the kernel drops what others send.
//
// The kernel draws the port, uniformly from net.ipv4.ip_local_port_range: by
// default 28,232 ports, all of which any socket may get, so that with the ID an
// off-path forger faces 1.8e9 combinations, RFC 5452 section 9.2. Narrowing
// that range weakens every resolution.
func (c *Client) dialUDP(to netip.AddrPort) (*socket, error) {
	source, err := c.source(to.Addr())
	if err != nil {
		return nil, err
	}
	domain, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if to.Addr().Is6() {
		domain, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd, ready: make(chan struct{}, 1)}
	// What ICMP, which anybody can send, says of the path's MTU is ignored, RFC 9715.
	if err = unix.SetsockoptInt(fd, level, option, pmtudiscOmit); err != nil {
		err = fmt.Errorf("set socket option %d/%d: %w", level, option, err)
	}
	if err == nil && !source.Addr().IsUnspecified() { // else connect chooses the address, too
		if err = unix.Bind(fd, sockaddr(source)); err != nil {
			err = fmt.Errorf("bind %v: %w", source.Addr(), err)
		}
	}
	if err == nil {
		if err = unix.Connect(fd, sockaddr(to)); err != nil {
			err = fmt.Errorf("connect: %w", err)
		}
	}
	if err == nil {
		err = c.watcher.add(s)
	}
	if err != nil {
		c.watcher.closeSocket(s)
		return nil, err
	}
	return s, nil
}

// sockaddr is an address as the kernel has it.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneOf(a.Addr())}
}

// zoneOf returns the index of the interface that a link-local address names.
func zoneOf(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	if link, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(link.Index)
	}
	n, _ := strconv.ParseUint(a.Zone(), 10, 32) // else the kernel refuses
	return uint32(n)
}

// send sends one datagram. What it waits for is room in the queue of this host,
// which there is for one.
func (s *socket) send(packet []byte) error {
	_, err := unix.Write(s.fd, packet)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive takes one datagram, if there is any; else the error is EAGAIN.
func (s *socket) receive(buf []byte) (n int, from netip.AddrPort, err error) {
	n, sa, err := unix.Recvfrom(s.fd, buf, 0)
	if err != nil {
		return 0, from, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return n, from, nil
}

// dialTCP opens a connection from the source of to's family to to.
func (c *Client) dialTCP(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	source, err := c.source(to.Addr())
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: bindAddressOnly, KeepAlive: -1} // none is idle for long enough
	return d.DialTCP(ctx, network("tcp", to), source, to)
}

// source returns the address to bind to, with port 0.
func (c *Client) source(to netip.Addr) (netip.AddrPort, error) {
	source, wildcard := c.source6, netip.IPv6Unspecified()
	if to.Is4() {
		source, wildcard = c.source4, netip.IPv4Unspecified()
	}
	if c.anySource {
		source = wildcard
	}
	if !source.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("no source address of this family: %w", syscall.ENETUNREACH)
	}
	return netip.AddrPortFrom(source, 0), nil
}

// network returns package net's name of the protocol over to's family.
func network(protocol string, to netip.AddrPort) string {
	if to.Addr().Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}

// bindAddressOnly leaves the choice of the port to connect, when the other end
// is known, so that connections to different servers may share a port.
func bindAddressOnly(_, _ string, raw syscall.RawConn) error {
	return setOption(raw, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
}

// setOption sets a socket option.
func setOption(raw syscall.RawConn, level, option, value int) error {
	var failure error
	err := raw.Control(func(fd uintptr) {
		failure = syscall.SetsockoptInt(int(fd), level, option, value)
	})
	if err != nil {
		return err
	}
	if failure != nil {
		return fmt.Errorf("set socket option %d/%d: %w", level, option, failure)
	}
	return nil
}
