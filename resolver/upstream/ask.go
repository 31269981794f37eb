package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/miekg/dns"
)

// maxDatagram is how much of a UDP reply is read, in octets. We offer 1,232
// (RFC 9715); servers that ignore the offer are read up to the 4,096 that
// RFC 6891 section 6.2.5 once proposed. What fills them is taken for truncated.
const maxDatagram = 4_096

// askDatagram asks over UDP.
func (c *Client) askDatagram(ctx context.Context, to netip.AddrPort, q *query) (*dns.Msg, error) {
	s, err := c.dialUDP(to)
	if err != nil {
		return nil, err
	}
	defer c.watcher.closeSocket(s)
	c.count.datagrams.Add(1)
	if err := s.send(q.packet); err != nil {
		return nil, err
	}
	buf := c.buffers.Get().(*[maxDatagram]byte)
	defer c.buffers.Put(buf)
	return c.await(ctx, s, buf[:], to, q)
}

// await reads datagrams until one is the reply to q. Errors that ICMP reported
// do not end the wait: anybody can send ICMP.
func (c *Client) await(ctx context.Context, s *socket, buf []byte, to netip.AddrPort, q *query) (*dns.Msg, error) {
	noted := errSilent
	for {
		n, from, err := s.receive(buf)
		switch {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN):
			select {
			case <-s.ready:
				continue
			case <-ctx.Done():
			case <-c.closing.Done():
			}
			return nil, noted
		case isICMP(err):
			c.count.icmp.Add(1)
			noted = fmt.Errorf("%w (%v)", errSilent, err)
			continue
		default:
			return nil, err
		}
		if from.Addr() != to.Addr().WithZone("") || from.Port() != to.Port() {
			c.count.wrongAddress.Add(1) // it came between bind and connect
			continue
		}
		if n == len(buf) {
			buf[2] |= flagTC // there may have been more
		}
		switch reply, v := c.accept(to, q, buf[:n]); v {
		case genuine:
			return reply, nil
		case wrongID, wrongCase, noCookie:
			return nil, ErrSuspicious
		}
	}
}

// accept returns the message in packet, and whether it is the server's reply to
// q, which it counts. The message does not share memory with packet.
func (c *Client) accept(to netip.AddrPort, q *query, packet []byte) (*dns.Msg, verdict) {
	reply, v := q.read(packet)
	if v == genuine {
		v = c.jar.taste(to, q, reply)
	}
	c.count.verdicts[v].Add(1)
	return reply, v
}

// isICMP reports whether a read failed because of an ICMP message: the errors
// of Linux's icmp_err_convert and icmpv6_err_convert.
func isICMP(err error) bool {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return false
	}
	switch no {
	case syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EMSGSIZE, syscall.EPROTO, syscall.EACCES:
		return true
	default:
		return false
	}
}
