//go:build linux

package internet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// The client, a stub resolver with many users.
const (
	outstanding = 100             // questions under way at once
	stubTimeout = 5 * time.Second // as in resolv.conf(5)
	stubTries   = 2               // likewise
)

// A reply is what a client has after a question, and when.
type reply struct {
	Answer
	took time.Duration // until the reply, or until the client gave up
}

// askAll asks a resolver everything and returns the replies in order.
func askAll(h *netns.Host, server netip.AddrPort, questions []dns.Question) ([]reply, error) {
	replies := make([]reply, len(questions))
	next := make(chan int, len(questions))
	var wait sync.WaitGroup
	defer wait.Wait()
	for range outstanding {
		conn, err := h.Dial(context.Background(), "udp", server.String())
		if err != nil {
			close(next)
			return nil, err
		}
		wait.Go(func() {
			defer conn.Close()
			c := &client{on: h, server: server, conn: conn}
			for i := range next {
				replies[i] = c.ask(questions[i])
			}
		})
	}
	for i := range questions {
		next <- i
	}
	close(next)
	wait.Wait()
	return replies, nil
}

// A client asks one question at a time.
type client struct {
	on     *netns.Host
	server netip.AddrPort
	conn   net.Conn
}

// ask asks until there is a reply, as often as a stub resolver does.
func (c *client) ask(question dns.Question) reply {
	q := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	q.SetEdns0(1232, false)
	began := time.Now()
	for range stubTries {
		m, err := c.once(q)
		if err == nil && m.Truncated {
			ctx, cancel := context.WithTimeout(context.Background(), stubTimeout)
			m, err = exchangeOver(ctx, c.on, "tcp", c.server, q)
			cancel()
		}
		if err == nil {
			return reply{NewAnswer(m.Rcode, m.Answer), time.Since(began)}
		}
	}
	return reply{Answer{Rcode: noReply}, time.Since(began)}
}

// once sends q and waits for its reply; replies to former questions are passed over.
func (c *client) once(q *dns.Msg) (*dns.Msg, error) {
	_ = c.conn.SetDeadline(time.Now().Add(stubTimeout))
	conn := &dns.Conn{Conn: c.conn, UDPSize: dns.MaxMsgSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := conn.ReadMsg()
		if err != nil && m == nil {
			return nil, err
		}
		if err == nil && m.Id == q.Id && len(m.Question) == 1 && m.Question[0] == q.Question[0] {
			return m, nil
		}
	}
}
