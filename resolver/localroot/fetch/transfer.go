package fetch

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"proxima/resolver/localroot"

	"github.com/miekg/dns"
)

const (
	// transferTimeout bounds all that is asked of one server. A minute, not
	// configurable: the root is some 1.4 MiB, at 190 kbit/s.
	transferTimeout = time.Minute

	// idleTimeout bounds how long a server may take to accept the connection, and
	// for each message. 10 s, not configurable, as Unbound: who would be done
	// within transferTimeout sends the longest message, of 64 KiB, in 3 s.
	idleTimeout = 10 * time.Second
)

// Why a transfer was given up.
var (
	errTransfer = fmt.Errorf("not done within %v", transferTimeout)
	errIdle     = fmt.Errorf("no message within %v", idleTimeout)
)

// A transfer is one conversation with a server that lets others copy the root.
type transfer struct {
	conn   *dns.Conn
	idle   *time.Timer // ends the conversation
	octets int         // received
}

// newest asks a server for the root zone if it has a newer one than is in use.
// It returns no zone, but the serial, if it has the same.
func (k *Keeper) newest(ctx context.Context, source netip.Addr, server netip.AddrPort) (z *localroot.Zone, serial uint32, err error) {
	ctx, done := context.WithTimeoutCause(ctx, transferTimeout, errTransfer)
	defer done()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	idle := time.AfterFunc(idleTimeout, func() { giveUp(errIdle) })
	defer idle.Stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // and not that the connection was closed
		}
	}()
	conn, err := k.dial(ctx, source, server)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	t := &transfer{conn: &dns.Conn{Conn: conn}, idle: idle}
	if k.copy.Zone() != nil {
		if serial, err = t.serial(); err != nil {
			return nil, 0, err
		}
		if wanted, err := k.copy.Wants(serial); !wanted {
			return nil, serial, err
		}
	}
	pile, err := t.zone()
	if err != nil {
		return nil, 0, err
	}
	z, err = pile.Zone()
	return z, serial, err
}

// dial connects to a server by TCP.
func dial(ctx context.Context, source netip.Addr, server netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, "tcp", server.String())
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
	if !m.Authoritative { // a cache, which may have had it for a day
		return 0, errors.New("is not authoritative for the root")
	}
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Name == "." {
			return soa.Serial, nil
		}
	}
	return 0, errors.New("no SOA of the root")
}

// zone has the whole zone sent, RFC 5936: it begins and ends with the SOA.
func (t *transfer) zone() (*localroot.Pile, error) {
	id, err := t.ask(dns.TypeAXFR)
	if err != nil {
		return nil, err
	}
	pile := new(localroot.Pile)
	for {
		m, err := t.receive(id)
		if err != nil {
			return nil, err
		}
		if len(m.Answer) == 0 {
			return nil, errors.New("a message without records amid the transfer")
		}
		for i, rr := range m.Answer {
			all := pile.Records()
			_, soa := rr.(*dns.SOA)
			switch {
			case len(all) == 0 && !soa:
				return nil, errors.New("the transfer does not begin with an SOA")
			case len(all) > 0 && soa && !dns.IsDuplicate(rr, all[0]):
				return nil, errors.New("the zone changed during the transfer")
			case len(all) > 0 && soa && i+1 < len(m.Answer):
				return nil, errors.New("records after the end of the transfer")
			case len(all) > 0 && soa:
				return pile, nil
			}
			if err := pile.Add(rr); err != nil {
				return nil, err
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
	t.idle.Reset(idleTimeout)
	return m.Id, t.conn.WriteMsg(m)
}

// receive reads one message of the reply to the question with an ID.
func (t *transfer) receive(id uint16) (*dns.Msg, error) {
	t.idle.Reset(idleTimeout)
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
		return nil, fmt.Errorf("RCODE %s", rcodeText(m.Rcode))
	}
	return m, nil
}

// rcodeText returns the name of a response code, or its number.
func rcodeText(code int) string {
	if name := dns.RcodeToString[code]; name != "" {
		return name
	}
	return strconv.Itoa(code)
}
