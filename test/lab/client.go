//go:build linux

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

const (
	// spacing is the time between two questions of one client. Three clients
	// make it 5 ms across the fleet.
	spacing = 15 * time.Millisecond
	// patience is how long a client waits before it counts an answer as lost.
	patience = 500 * time.Millisecond

	probeName = "www.ant.example."
	probeType = dns.TypeA
)

// A sample is one question of a client and what became of it.
type sample struct {
	at   time.Time
	node string // id of the node that answered; empty if none did
	err  error
}

// An asker asks without pause from one site, both service addresses in turn,
// a fresh socket and port each time.
type asker struct {
	*site
	// onMove is called when another node begins to answer.
	onMove func(s *site, from, to string)

	mu      sync.Mutex // guards what follows
	samples []sample
	last    string
}

// run asks until ctx is done, and returns when all is answered or lost.
func (a *asker) run(ctx context.Context) {
	var pending sync.WaitGroup
	defer pending.Wait()
	tick := time.NewTicker(spacing)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			to := netip.AddrPortFrom(service[i%len(service)], 53)
			pending.Go(func() { a.askOnce(at, to) })
		}
	}
}

func (a *asker) askOnce(at time.Time, to netip.AddrPort) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := ask(ctx, a.client, "udp", to, probeName, probeType)
	a.mu.Lock()
	a.samples = append(a.samples, sample{at: at, node: r.node, err: err})
	from := a.last
	if err == nil {
		a.last = r.node
	}
	a.mu.Unlock()
	if err == nil && from != "" && from != r.node {
		a.onMove(a.site, from, r.node)
	}
}

// served returns the node that answered last.
func (a *asker) served() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// between counts what was asked in [from, to) and what was lost of it.
func (a *asker) between(from, to time.Time) (sent, lost int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.samples {
		if s.at.Before(from) || !s.at.Before(to) {
			continue
		}
		sent++
		if s.err != nil {
			lost++
		}
	}
	return sent, lost
}

// A reply is what a client reads of an answer.
type reply struct {
	node  string // from NSID, RFC 5001
	msg   *dns.Msg
	spent time.Duration
}

// ask puts one question from a host and checks the answer: it must come from
// the address that was asked (the socket is connected), with NOERROR, and
// validated.
func ask(ctx context.Context, from *netns.Host, network string, to netip.AddrPort, name string, typ uint16) (reply, error) {
	q := new(dns.Msg).SetQuestion(name, typ)
	q.AuthenticatedData = true
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	began := time.Now()
	conn, err := from.Dial(ctx, network, to.String())
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := c.WriteMsg(q); err != nil {
		return reply{}, err
	}
	m, err := c.ReadMsg()
	if err != nil {
		return reply{}, err
	}
	r := reply{msg: m, node: nsid(m), spent: time.Since(began)}
	switch {
	case m.Id != q.Id:
		return r, errors.New("wrong ID")
	case m.Rcode != dns.RcodeSuccess:
		return r, fmt.Errorf("%s from %s", dns.RcodeToString[m.Rcode], r.node)
	case !m.AuthenticatedData:
		return r, fmt.Errorf("%s from %s is not proven", name, r.node)
	}
	return r, nil
}

// nsid reads which node answered.
func nsid(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if o, ok := o.(*dns.EDNS0_NSID); ok {
			id, err := hex.DecodeString(o.Nsid)
			if err != nil {
				return ""
			}
			return string(id)
		}
	}
	return ""
}
