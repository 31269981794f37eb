//go:build linux

package image

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

const (
	// spacing lies between two questions of an asker.
	spacing = 5 * time.Millisecond
	// patience is how long an answer may take before it counts as lost; startLimit
	// bounds everything else that is awaited. Neither measures anything.
	patience   = 2 * time.Second
	startLimit = 90 * time.Second
)

// ask puts a question to the service at address from a host and returns the
// text of the one record of its answer.
func ask(from *netns.Host, network string, address netip.Addr, q dns.Question) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := from.Dial(ctx, network, netip.AddrPortFrom(address, 53).String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), RecursionDesired: true}, Question: []dns.Question{q}}
	c := &dns.Conn{Conn: conn}
	if err := c.WriteMsg(m); err != nil {
		return "", err
	}
	r, err := c.ReadMsg()
	switch {
	case err != nil:
		return "", err
	case r.Id != m.Id || r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1:
		return "", fmt.Errorf("unexpected reply: %v", r)
	}
	switch rr := r.Answer[0].(type) {
	case *dns.TXT:
		return rr.Txt[0], nil
	case *dns.A:
		return rr.A.String(), nil
	}
	return "", fmt.Errorf("unexpected record: %v", r.Answer[0])
}

// Questions that a node answers by itself.
var (
	whoAreYou = dns.Question{Name: "id.server.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}
	localhost = dns.Question{Name: "localhost.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
)

// An asker asks both service addresses who they are, in turn and without
// pause, until stop.
type asker struct {
	end  context.CancelFunc
	done chan struct{}

	mu   sync.Mutex // guards what follows
	by   map[string]int
	lost []error
}

func startAsker(t *testing.T, from *netns.Host) *asker {
	ctx, end := context.WithCancel(context.Background())
	a := &asker{end: end, done: make(chan struct{}), by: map[string]int{}}
	go a.run(ctx, from)
	t.Cleanup(func() { a.stop() })
	return a
}

func (a *asker) run(ctx context.Context, from *netns.Host) {
	defer close(a.done)
	var pending sync.WaitGroup
	defer pending.Wait()
	tick := time.NewTicker(spacing)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		pending.Go(func() {
			id, err := ask(from, "udp", service[i%len(service)], whoAreYou)
			a.mu.Lock()
			defer a.mu.Unlock()
			if err != nil {
				a.lost = append(a.lost, err)
				return
			}
			a.by[id]++
		})
	}
}

// answered is how many questions a node has answered so far.
func (a *asker) answered(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[id]
}

// stop returns how many questions each node has answered, and why others were
// not.
func (a *asker) stop() (by map[string]int, lost []error) {
	a.end()
	<-a.done
	return a.by, a.lost
}

// await polls until what is true.
func await(t *testing.T, claim string, what func() bool) {
	t.Helper()
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if what() {
			return
		}
	}
	t.Fatalf("not within %v: %s", startLimit, claim)
}
