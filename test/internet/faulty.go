//go:build linux

package internet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// relayTimeout bounds how long a faulty server waits for the sound one that
// knows its zones, on the same host.
const relayTimeout = 2 * time.Second

// A faulty server has a fault that NSD cannot have. What it knows it asks a
// sound one.
type faulty struct {
	fault fault
	on    *netns.Host
	knows netip.AddrPort // a sound one with the same zones
}

// serveFaulty serves the addresses of all hosts with faults, over UDP and TCP.
// Silent ones have no address at all: a host that is no router drops what is
// not for it.
func serveFaulty(m *Model, on *netns.Host, knowing netip.AddrPort) (stop func(), err error) {
	var servers []*dns.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Shutdown()
		}
	}
	for _, h := range m.hosts {
		if h.fault == silent || h.fault == sound {
			continue
		}
		f := &faulty{h.fault, on, knowing}
		for _, a := range h.addrs {
			started, err := f.serve(a)
			servers = append(servers, started...)
			if err != nil {
				stop()
				return nil, err
			}
		}
	}
	return stop, nil
}

// serve answers on port 53 of an address.
func (f *faulty) serve(a netip.Addr) ([]*dns.Server, error) {
	if err := f.on.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
		return nil, err
	}
	datagrams, streams := &dns.Server{}, &dns.Server{}
	at := netip.AddrPortFrom(a, 53).String()
	err := f.on.Do(func() (err error) {
		if datagrams.PacketConn, err = net.ListenPacket("udp", at); err != nil {
			return err
		}
		streams.Listener, err = net.Listen("tcp", at)
		return err
	})
	if err != nil {
		if datagrams.PacketConn != nil {
			err = errors.Join(err, datagrams.PacketConn.Close())
		}
		return nil, err
	}
	servers := []*dns.Server{datagrams, streams}
	for _, s := range servers {
		up := make(chan struct{})
		s.Handler = f
		s.NotifyStartedFunc = func() { close(up) }
		go func() { _ = s.ActivateAndServe() }()
		<-up
	}
	return servers, nil
}

// ServeDNS says what such a server says.
func (f *faulty) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	stream := w.LocalAddr().Network() == "tcp"
	m := new(dns.Msg)
	switch {
	case f.fault == lame:
		m.SetReply(q)
		m.Ns = []dns.RR{MustRR(". 518400 IN NS a.root-servers.net.")}
	case f.fault == refusing:
		m.SetRcode(q, dns.RcodeRefused)
	case f.fault == streamOnly && !stream:
		m.SetReply(q)
		m.Authoritative, m.Truncated = true, true
	case f.fault == dropsEDNS && q.IsEdns0() != nil:
		return
	default:
		var err error
		if m, err = f.relay(q, stream); err != nil {
			return // as the sound one did
		}
	}
	_ = w.WriteMsg(m)
}

// relay asks the sound server.
func (f *faulty) relay(q *dns.Msg, stream bool) (*dns.Msg, error) {
	network := "udp"
	if stream {
		network = "tcp"
	}
	ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
	defer cancel()
	return exchangeOver(ctx, f.on, network, f.knows, q)
}
