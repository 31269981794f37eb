package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
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
func (c *Client) dialUDP(ctx context.Context, to netip.AddrPort) (*net.UDPConn, error) {
	source, err := c.source(to.Addr())
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: omitPathMTU}
	return d.DialUDP(ctx, network("udp", to), source, to)
}

// dialTCP opens a connection from the source of to's family to to.
func (c *Client) dialTCP(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	source, err := c.source(to.Addr())
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: bindAddressOnly, KeepAlive: -1} // no connection lives long enough
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

// omitPathMTU makes a socket ignore what ICMP, which anybody can send, says of
// the path's MTU; RFC 9715.
func omitPathMTU(network, _ string, raw syscall.RawConn) error {
	level, option := syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER
	if network == "udp6" {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER
	}
	return setOption(raw, level, option, pmtudiscOmit)
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

// interrupt makes reads and writes of conn fail at the deadline of ctx, or as
// soon as it is cancelled. The function it returns ends that, and waits.
func interrupt(ctx context.Context, conn net.Conn) (stop func()) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails only on a closed socket
	}
	done := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = conn.SetDeadline(time.Unix(1, 0)) // long ago
	})
	return func() {
		if !unhook() {
			<-done
		}
	}
}
