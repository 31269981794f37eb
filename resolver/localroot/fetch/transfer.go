package fetch

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"proxima/resolver/localroot"

	"github.com/miekg/dns"
)

// transferTimeout bounds a transfer. A minute, not configurable: the root is some
// 1.4 MiB.
const transferTimeout = time.Minute

// A transfer is one conversation with a server that lets others copy the root.
type transfer struct {
	conn   *dns.Conn
	octets int // received
}

// newest asks a server for the root zone if it has a newer one than c. It
// returns no zone if c has the newest.
func newest(ctx context.Context, source netip.Addr, server netip.AddrPort, c *localroot.Copy) (*localroot.Zone, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	d := net.Dialer{KeepAlive: -1}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	t := &transfer{conn: &dns.Conn{Conn: conn}}
	if c.Zone() != nil {
		offered, err := t.serial()
		if err != nil {
			return nil, err
		}
		if wanted, err := c.Wants(offered); !wanted {
			return nil, err
		}
	}
	rrs, err := t.zone()
	if err != nil {
		return nil, err
	}
	return localroot.New(rrs)
}

// serial asks which version the server has.
func (t *transfer) serial() (uint32, error) {
	id, err := t.ask(dns.TypeSOA)
	if err != nil {
		return 0, err
	}
	m, err := t.receive(id)
	if err != nil {
		return 0, err
	}
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Name == "." {
			return soa.Serial, nil
		}
	}
	return 0, errors.New("no SOA of the root")
}

// zone has the whole zone sent, RFC 5936: it begins and ends with the SOA.
func (t *transfer) zone() ([]dns.RR, error) {
	id, err := t.ask(dns.TypeAXFR)
	if err != nil {
		return nil, err
	}
	var rrs []dns.RR
	for {
		m, err := t.receive(id)
		if err != nil {
			return nil, err
		}
		if len(m.Answer) == 0 {
			return nil, errors.New("a message without records amid the transfer")
		}
		for i, rr := range m.Answer {
			_, soa := rr.(*dns.SOA)
			switch {
			case len(rrs) == 0 && !soa:
				return nil, errors.New("the transfer does not begin with an SOA")
			case len(rrs) == localroot.MaxRecords:
				return nil, fmt.Errorf("more than %d records", localroot.MaxRecords)
			case len(rrs) == 0 || !soa:
				rrs = append(rrs, rr)
			case !dns.IsDuplicate(rr, rrs[0]):
				return nil, errors.New("the zone changed during the transfer")
			case i+1 < len(m.Answer):
				return nil, errors.New("records after the end of the transfer")
			default:
				return rrs, nil
			}
		}
	}
}

// ask asks a question about the root.
func (t *transfer) ask(typ uint16) (id uint16, err error) {
	var random [2]byte
	crand.Read(random[:])
	m := &dns.Msg{Question: []dns.Question{{Name: ".", Qtype: typ, Qclass: dns.ClassINET}}}
	m.Id = binary.BigEndian.Uint16(random[:])
	return m.Id, t.conn.WriteMsg(m)
}

// receive reads one message of the reply to the question with an ID.
func (t *transfer) receive(id uint16) (*dns.Msg, error) {
	var h dns.Header
	packet, err := t.conn.ReadMsgHeader(&h)
	if err != nil {
		return nil, err
	}
	if t.octets += len(packet); t.octets > localroot.MaxSize {
		return nil, fmt.Errorf("more than %d octets", localroot.MaxSize)
	}
	m := new(dns.Msg)
	switch err := m.Unpack(packet); {
	case err != nil:
		return nil, err
	case m.Id != id || !m.Response:
		return nil, errors.New("not a reply to what was asked")
	case m.Rcode != dns.RcodeSuccess:
		return nil, errors.New(dns.RcodeToString[m.Rcode])
	}
	return m, nil
}
