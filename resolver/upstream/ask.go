package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// maxDatagram is how much of a UDP reply is read, in octets. We offer 1,232
// (RFC 9715); servers that ignore the offer are read up to the 4,096 that
// RFC 6891 section 6.2.5 once proposed. What fills them is taken for truncated.
const maxDatagram = 4_096

// maxUnheeded is how many datagrams and errors are read in a row that are no
// reply, before time is looked at: 64, some 100 µs. Who is asked can send them
// faster than they are read, and nobody else.
const maxUnheeded = 64

// askDatagram asks over UDP.
func (c *Client) askDatagram(ctx context.Context, to netip.AddrPort, q *query) (*dns.Msg, error) {
	s, err := c.dialUDP(to)
	if err != nil {
		return nil, err
	}
	c.count.datagrams.Add(1)
	var reply *dns.Msg
	if err = c.dispatch(s, q.packet); err == nil {
		reply, err = c.await(ctx, s, to, q)
	}
	c.retire(s, to, err == nil)
	return reply, err
}

// await waits until something comes that is the reply to q. Errors that ICMP
// reported do not end the wait: anybody can send ICMP.
func (c *Client) await(ctx context.Context, s *socket, to netip.AddrPort, q *query) (*dns.Msg, error) {
	noted := errSilent
	end, cancelled := s.keepTime(ctx, q.began)
	for c.closing.Err() == nil { // else Close may have woken this before it was there
		select {
		case <-s.ready:
		case <-cancelled:
			return nil, noted
		}
		if s.state.Load() == sent && s.sendErr != nil {
			return nil, s.sendErr
		}
		reply, icmp, err := c.read(s, to, q)
		if reply != nil || err != nil {
			return reply, err
		}
		if icmp != 0 {
			noted = fmt.Errorf("%w (%v)", errSilent, icmp)
		}
		if !time.Now().Before(end) {
			break
		}
	}
	return nil, noted
}

// keepTime has s woken when ctx ends for its time, which is returned, and returns
// what is closed if it ends for another reason: then, too, unless ctx can tell.
func (s *socket) keepTime(ctx context.Context, at time.Time) (end time.Time, cancelled <-chan struct{}) {
	end, _ = ctx.Deadline()
	if s.timer == nil {
		s.timer = time.AfterFunc(end.Sub(at), s.wake)
	} else {
		s.timer.Reset(end.Sub(at))
	}
	if part, ok := ctx.(interface{ Cancelled() <-chan struct{} }); ok {
		return end, part.Cancelled()
	}
	return end, ctx.Done()
}

// read reads the datagrams that have come until one is the reply to q, and
// returns that, or what ICMP has reported last. If there are too many, it is to be
// called again.
func (c *Client) read(s *socket, to netip.AddrPort, q *query) (reply *dns.Msg, icmp syscall.Errno, err error) {
	buf := c.buffers.Get().(*[maxDatagram]byte)
	defer c.buffers.Put(buf)
	for range maxUnheeded {
		n, from, errno := s.receive(buf[:])
		switch {
		case errno == syscall.EAGAIN:
			return nil, icmp, nil
		case isICMP(errno):
			c.count.icmp.Add(1)
			icmp = errno
			continue
		case errno != 0:
			return nil, 0, fmt.Errorf("receive: %w", errno)
		}
		reply, err := c.weigh(to, q, from, buf[:n])
		if reply != nil || err != nil {
			return reply, 0, err
		}
	}
	s.wake() // for the rest
	return nil, icmp, nil
}

// weigh returns the reply to q if packet, which was sent from there, is that, and
// an error if it looks forged.
func (c *Client) weigh(to netip.AddrPort, q *query, from netip.AddrPort, packet []byte) (*dns.Msg, error) {
	if from.Addr() != to.Addr().WithZone("") || from.Port() != to.Port() {
		c.count.wrongAddress.Add(1) // it came before the socket was connected
		return nil, nil
	}
	if len(packet) == maxDatagram {
		packet[2] |= flagTC // there may have been more
	}
	switch reply, v := c.accept(to, q, packet); v {
	case genuine:
		return reply, nil
	case wrongID, wrongCase, noCookie:
		return nil, ErrSuspicious
	}
	return nil, nil
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
func isICMP(err syscall.Errno) bool {
	switch err {
	case syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EMSGSIZE, syscall.EPROTO, syscall.EACCES:
		return true
	default:
		return false
	}
}
