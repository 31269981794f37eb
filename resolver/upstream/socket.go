package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Linux's numbers that package syscall lacks.
const (
	ipBindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, Linux 4.2
	pmtudiscOmit        = 5  // IP_PMTUDISC_OMIT and IPV6_PMTUDISC_OMIT, Linux 3.15
)

// maxIdle is how many sockets of each family are kept for the next question:
// 256, a descriptor and some 2 KiB each.
const maxIdle = 256

// idle are sockets that nobody uses: without other end and without port, so that
// nothing reaches them.
type idle struct {
	mu      sync.Mutex // guards sockets
	sockets [2][]*socket
}

// take returns the socket that was used last, or nil.
func (i *idle) take(family int) *socket {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.sockets[family]
	if len(all) == 0 {
		return nil
	}
	s := all[len(all)-1]
	i.sockets[family] = all[:len(all)-1]
	return s
}

// put keeps s, if there is room.
func (i *idle) put(s *socket) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.sockets[s.family]) >= maxIdle {
		return false
	}
	i.sockets[s.family] = append(i.sockets[s.family], s)
	return true
}

// dialUDP returns a socket that is bound to the source of to's family and
// connected to to, so that the kernel drops what others send. Its port is new.
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
	family := 0
	if to.Addr().Is6() {
		family = 1
	}
	s := c.idle.take(family)
	if s == nil {
		if s, err = c.open(family); err != nil {
			return nil, err
		}
	}
	s.state.Store(notQueued)
	s.sendErr = nil
	if !source.Addr().IsUnspecified() {
		// Also a socket that is bound to it: the host may have lost the address,
		// which connect would not say of IPv6.
		if err = s.bind(source); err != nil {
			err = fmt.Errorf("%v: %w", source.Addr(), err)
		}
	}
	if err == nil {
		err = s.connect(to)
	}
	if err != nil {
		c.watcher.closeSocket(s)
		return nil, err
	}
	return s, nil
}

// open opens a socket, which is watched from then on.
func (c *Client) open(family int) (*socket, error) {
	domain, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if family == 1 {
		domain, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd, family: family, ready: make(chan struct{}, 1)}
	// What ICMP, which anybody can send, says of the path's MTU is ignored, RFC 9715.
	if err = unix.SetsockoptInt(fd, level, option, pmtudiscOmit); err != nil {
		err = fmt.Errorf("set socket option %d/%d: %w", level, option, err)
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

// retire ends the use of s. One that has brought what was wanted is kept, less
// its port, for what a socket costs is mostly that it is made and unmade. What
// is still in its queue was meant for the question before, so then it is not.
func (c *Client) retire(s *socket, to netip.AddrPort, served bool) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.takeBack()
	s.packet = nil
	if served && to.Addr().Zone() == "" && s.disconnect() == nil {
		select {
		case <-s.ready:
		default:
		}
		var none [1]byte
		if _, _, errno := s.receive(none[:]); errno == unix.EAGAIN && c.idle.put(s) {
			return
		}
	}
	c.watcher.closeSocket(s)
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
