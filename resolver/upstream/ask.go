package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"

	"github.com/miekg/dns"
)

const (
	// maxDatagram is how much of a UDP reply is read, in octets. We offer 1,232
	// (RFC 9715); servers that ignore the offer are read up to the 4,096 that
	// RFC 6891 section 6.2.5 once proposed. What fills them is taken for truncated.
	maxDatagram = 4_096

	// maxFrames is how many messages are read from one TCP connection until one
	// is the reply. Nobody can forge them; they are a server's mistakes.
	maxFrames = 4
)

// askDatagram asks over UDP.
func (c *Client) askDatagram(ctx context.Context, to netip.AddrPort, q *query) (*dns.Msg, error) {
	conn, err := c.dialUDP(ctx, to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()

	c.count.datagrams.Add(1)
	if _, err := conn.Write(q.packet); err != nil {
		return nil, err
	}
	buf := c.buffers.Get().(*[maxDatagram]byte)
	defer c.buffers.Put(buf)
	return c.await(conn, buf[:], to, q)
}

// await reads datagrams until one is the reply to q. Errors that ICMP reported
// do not end the wait: anybody can send ICMP.
func (c *Client) await(conn *net.UDPConn, buf []byte, to netip.AddrPort, q *query) (*dns.Msg, error) {
	var noted error
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
		case isICMP(err):
			c.count.icmp.Add(1)
			noted = err
			continue
		case noted != nil && isTimeout(err):
			return nil, fmt.Errorf("%w (%v)", errSilent, noted)
		default:
			return nil, err
		}
		if from.Addr().Unmap().WithZone("") != to.Addr().WithZone("") || from.Port() != to.Port() {
			c.count.wrongAddress.Add(1) // it came between bind and connect
			continue
		}
		if n == len(buf) {
			buf[2] |= flagTC // there may have been more
		}
		if reply, _ := c.accept(q, buf[:n]); reply != nil {
			return reply, nil
		}
	}
}

// accept returns the message in packet if it is the reply to q, or counts what
// is wrong with it and returns nil. The message does not share memory with packet.
func (c *Client) accept(q *query, packet []byte) (reply *dns.Msg, v verdict) {
	reply, v = q.read(packet)
	switch v {
	case wrongID:
		c.count.wrongID.Add(1)
	case wrongQuestion:
		c.count.wrongQuestion.Add(1)
	case malformed:
		c.count.malformed.Add(1)
	}
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

// askStream asks over a TCP connection of its own.
func (c *Client) askStream(ctx context.Context, to netip.AddrPort, q *query) (*dns.Msg, error) {
	conn, err := c.dialTCP(ctx, to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()

	c.count.streams.Add(1)
	// Length and message leave in one segment, RFC 7766 section 8.
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.packet)), uint16(len(q.packet)))
	if _, err := conn.Write(append(frame, q.packet...)); err != nil {
		return nil, err
	}
	for range maxFrames {
		packet, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		reply, v := c.accept(q, packet)
		if v == malformed { // nobody forged it: there is no better one to come
			return nil, errMalformed
		}
		if reply != nil {
			return reply, nil
		}
	}
	return nil, fmt.Errorf("none of %d messages was the reply", maxFrames)
}

// errMalformed is what a reply over TCP is that cannot be read.
var errMalformed = errors.New("malformed reply")

// readFrame reads one message of at most 65,535 octets. Memory is taken as the
// octets come, not as the length announces them.
func readFrame(conn io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, closedEarly(err)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, conn, int64(binary.BigEndian.Uint16(length[:]))); err != nil {
		return nil, closedEarly(err)
	}
	return b.Bytes(), nil
}

// closedEarly puts the end of a stream into words.
func closedEarly(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("connection closed before the reply: %w", io.ErrUnexpectedEOF)
	}
	return err
}
