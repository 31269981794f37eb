package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"proxima/bgpctl"
)

// probes is how many questions a UDP check asks in one round, each from a port
// of its own. With 4, a reader of 8 that hangs is missed by a round with
// probability (7/8)^4 = 0.59, by ten rounds with 0.005; a reader of 2 by one
// round with 0.06. Default 4; below 1 nothing is asked, above 16 the checks of
// many addresses are a load.
const probes = 4

// defaultTimeout bounds one question if the caller names no bound. The reply
// comes from this host and this host's memory: 250 ms is 1,000 times enough.
const defaultTimeout = 250 * time.Millisecond

// identity is the name whose TXT record of class CH tells who answers. The
// answer is made by the node itself, through its whole pipeline.
const identity = "id.server."

// DNS returns a check that asks server for the TXT record id.server. of class
// CH and wants id for an answer, with the right message ID and question. The
// question leaves over udp or tcp, from source or, if source is the zero Addr or
// not on this host any more, from the address that the kernel chooses. Each
// question may take timeout, 250 ms if it is 0. Errors start with name; if some
// of the questions were answered, they are soft-local.
func DNS(name string, server netip.AddrPort, source netip.Addr, network, id string, timeout time.Duration) func(context.Context) error {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	p := probe{server: server, source: source, network: network, id: id, timeout: timeout}
	count := Questions(network)
	return func(ctx context.Context) error {
		results := make(chan error, count)
		for range count {
			go func() { results <- p.ask(ctx) }()
		}
		var errs []error
		for range count {
			if err := <-results; err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) == 0 {
			return nil
		}
		// The worst is told: one wrong reply among late ones is not load.
		worst := max(0, slices.IndexFunc(errs, func(err error) bool { return !isLate(err) && !lacksFiles(err) }))
		err := fmt.Errorf("%s: %d of %d questions to %s over %s failed: %w", name, len(errs), count, server, network, errs[worst])
		if len(errs) < count {
			return &bgpctl.Fault{Class: bgpctl.SoftLocal, Err: err}
		}
		return err
	}
}

// Questions returns how many questions the check that DNS returns asks at once
// over network.
func Questions(network string) int {
	if network == "udp" {
		return probes
	}
	return 1
}

// A probe is one question. Immutable.
type probe struct {
	server  netip.AddrPort
	source  netip.Addr
	network string
	id      string // of the node; empty in what Roots asks
	timeout time.Duration
}

// ask asks for the identity and judges the reply.
func (p probe) ask(ctx context.Context) error {
	q := question()
	r, err := p.exchange(ctx, q)
	if err != nil {
		return err
	}
	return judge(q, r, p.id)
}

// exchange asks q from a fresh port and returns what comes.
func (p probe) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	d := net.Dialer{LocalAddr: p.local()}
	conn, err := d.DialContext(ctx, p.network, p.server.String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		// That the host has lost its source does not say that it cannot answer.
		conn, err = new(net.Dialer).DialContext(ctx, p.network, p.server.String())
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := dns.Conn{Conn: conn}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// local is the source as net wants it; nil = any.
func (p probe) local() net.Addr {
	if !p.source.IsValid() {
		return nil
	}
	if p.network == "udp" {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.source, 0))
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.source, 0))
}

// question is a fresh question for the identity.
func question() *dns.Msg {
	q := new(dns.Msg)
	q.Id = dns.Id()
	q.Question = []dns.Question{{Name: identity, Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}}
	return q
}

// match says why r is no reply to q, or nil.
func match(q, r *dns.Msg) error {
	switch asked := q.Question[0]; {
	case !r.Response:
		return errors.New("reply without the response bit")
	case r.Id != q.Id:
		return fmt.Errorf("reply with ID %d to ID %d", r.Id, q.Id)
	case len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, asked.Name) ||
		r.Question[0].Qtype != asked.Qtype || r.Question[0].Qclass != asked.Qclass:
		return errors.New("reply to another question")
	}
	return nil
}

// judge says what is wrong with r as the reply to q of node id, or nil.
func judge(q, r *dns.Msg, id string) error {
	if err := match(q, r); err != nil {
		return err
	}
	if r.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("reply with rcode %s", dns.RcodeToString[r.Rcode])
	}
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok && strings.Join(txt.Txt, "") == id {
			return nil
		}
	}
	return fmt.Errorf("reply of another node: no TXT %q", id)
}
