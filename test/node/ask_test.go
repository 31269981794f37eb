//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// exchange asks on a connected socket, which takes a reply only from the very
// address that was asked.
func exchange(h *netns.Host, network string, to netip.AddrPort, q *dns.Msg, limit time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := h.Dial(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	m, err := c.ReadMsg()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", network, to, err)
	case m.Id != q.Id:
		return m, errors.New("wrong ID")
	}
	return m, nil
}

// canary asks the node who it is: a question that needs no Internet.
func (n *node) canary(from *netns.Host, network string, to netip.AddrPort, limit time.Duration) error {
	q := new(dns.Msg).SetQuestion("id.server.", dns.TypeTXT)
	q.Question[0].Qclass = dns.ClassCHAOS
	m, err := exchange(from, network, to, q, limit)
	if err != nil {
		return err
	}
	if len(m.Answer) == 1 {
		if txt, ok := m.Answer[0].(*dns.TXT); ok && strings.Join(txt.Txt, "") == n.id {
			return nil
		}
	}
	return fmt.Errorf("%s %s: want %q in\n%v", network, to, n.id, m)
}

// answers asks like canary, and again where there is no reply: where queues are
// full a datagram may be lost, several in a row may not.
func (n *node) answers(from *netns.Host, network string, to netip.AddrPort) (err error) {
	for range tries {
		if err = n.canary(from, network, to, 5*time.Second); err == nil {
			return nil
		}
	}
	return err
}

// canaries asks every service address over both transports.
func (n *node) canaries(from *netns.Host) error {
	for _, to := range at53() {
		for _, network := range []string{"udp", "tcp"} {
			if err := n.answers(from, network, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// get reads a page of a program's admin server.
func get(h *netns.Host, url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return h.Dial(ctx, network, addr)
		},
	}}
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, r.Status, text)
	}
	return string(text), err
}

// metric returns one figure of a page of metrics.
func metric(page, name string) (float64, error) {
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
