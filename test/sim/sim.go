// Package sim is an Internet of authoritative servers in memory.
//
// A test makes one with New, gives it zones as text with the addresses that
// serve them, and hands it to the code under test as its way to the network:
// Exchange has the shape of iterate.Exchanger. What an address says follows
// RFC 1034 section 4.3.2 and, for a zone that was signed, RFC 4035 section 3.
// Then the test breaks things (Drop, Lame, Spoof and the other faults), heals
// them again, and looks at what was asked. Time passes only in timers, so that
// inside testing/synctest a minute of silence costs nothing. Ports play no
// part: an address says the same on each.
package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxAsked bounds the questions remembered for one address; the oldest go
// first. It is far above what a test asks and keeps a long lab run small.
const maxAsked = 10_000

// patience bounds the wait for an address that never answers if the caller's
// context has no deadline.
const patience = 10 * time.Second

// ErrUnreachable is what Exchange returns, wrapped, where a real network would
// have said "connection refused" or "host unreachable".
var ErrUnreachable = errors.New("unreachable")

// An Internet is a set of zones on addresses. It is safe for concurrent use.
type Internet struct {
	seed uint64 // immutable

	// Guarded by mu, which also guards all zones and hosts.
	mu        sync.Mutex
	zones     []*Zone
	hosts     map[netip.Addr]*host
	exchanges int
	roundTrip time.Duration
}

// A host is what stands at one address.
type host struct {
	zones  []*Zone
	faults fault
	delay  time.Duration
	spoof  Spoofer
	asked  []dns.Question
}

// New returns an empty Internet. Equal seeds give equal keys and signatures.
func New(seed uint64) *Internet {
	return &Internet{seed: seed, hosts: make(map[netip.Addr]*host)}
}

// RoundTrip sets how long an exchange takes with an address that has no Delay
// of its own. At first it is 0.
func (n *Internet) RoundTrip(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.roundTrip = d
}

// Exchange asks the server at to the question of q and waits for its reply. It
// keeps neither q nor the reply. Silence ends with ctx, as an error that wraps
// context.DeadlineExceeded.
func (n *Internet) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	addr := to.Addr().Unmap()
	q = q.Copy()
	wait, faults := n.send(addr, q)
	if faults&unreachable != 0 || stream && faults&noStream != 0 {
		return nil, fmt.Errorf("sim: %s: %w", to, ErrUnreachable)
	}
	if err := pause(ctx, wait); err != nil {
		return nil, fmt.Errorf("sim: %s: %w", to, err)
	}
	m := n.say(addr, q, stream)
	if m == nil {
		err := pause(ctx, patience)
		if err == nil {
			err = context.DeadlineExceeded
		}
		return nil, fmt.Errorf("sim: %s: %w", to, err)
	}
	m, err := overWire(m)
	if err == nil && !stream && caseChanged(q, m) {
		err = errCase
	}
	if err != nil {
		return nil, fmt.Errorf("sim: %s: %w", to, err)
	}
	return m, nil
}

// errCase is what Exchange returns, wrapped, for a datagram whose name is not in
// the letter case in which it was asked.
var errCase error = suspicion("the wrong letter case")

// A suspicion says why a datagram looks forged.
type suspicion string

func (s suspicion) Error() string { return string(s) }

// Suspicious is true.
func (suspicion) Suspicious() bool { return true }

// Reply returns what the address says to q at once, nil for silence. It waits
// for no Delay, so a program can serve this Internet on real sockets.
func (n *Internet) Reply(to netip.Addr, q *dns.Msg, stream bool) *dns.Msg {
	to, q = to.Unmap(), q.Copy()
	_, faults := n.send(to, q)
	if faults&unreachable != 0 || stream && faults&noStream != 0 {
		return nil
	}
	return n.say(to, q, stream)
}

// Asked returns the questions sent to the address, in lower case, oldest first,
// also those that were lost on the way.
func (n *Internet) Asked(at netip.Addr) []dns.Question {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.host(at).asked)
}

// Exchanges returns how many questions were sent to all addresses together.
func (n *Internet) Exchanges() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exchanges
}

// Forget sets the counts of Asked and Exchanges back to nothing.
func (n *Internet) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.exchanges = 0
	for _, h := range n.hosts {
		h.asked = nil
	}
}

// send notes that q was sent to addr and returns how long the exchange takes
// and what is wrong with the address.
func (n *Internet) send(addr netip.Addr, q *dns.Msg) (time.Duration, fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(addr)
	n.exchanges++
	if len(h.asked) == maxAsked {
		h.asked = slices.Delete(h.asked, 0, maxAsked/2)
	}
	if len(q.Question) > 0 {
		h.asked = append(h.asked, inLower(q).Question[0])
	}
	if h.delay > 0 {
		return h.delay, h.faults
	}
	return n.roundTrip, h.faults
}

// say returns the reply of addr to q, nil for silence. A Spoofer runs without
// the lock, so that it may look at this Internet, and sees the name in lower case.
func (n *Internet) say(addr netip.Addr, q *dns.Msg, stream bool) *dns.Msg {
	n.mu.Lock()
	h := n.host(addr)
	spoof, loses := h.spoof, h.faults&loseCase != 0
	as := q
	if spoof != nil || loses {
		as = inLower(q)
	}
	m := h.reply(as, stream)
	n.mu.Unlock()
	if spoof != nil {
		m = spoof(as.Copy(), m, stream)
	}
	if m != nil && !loses && len(m.Question) == 1 && len(q.Question) == 1 && m.Question[0] == as.Question[0] {
		m.Question[0] = q.Question[0]
	}
	return m
}

// inLower returns a copy of q with its name in lower case.
func inLower(q *dns.Msg) *dns.Msg {
	q = q.Copy()
	for i := range q.Question {
		q.Question[i].Name = dns.CanonicalName(q.Question[i].Name)
	}
	return q
}

// caseChanged reports whether m has q's name, but in another letter case.
func caseChanged(q, m *dns.Msg) bool {
	if len(q.Question) != 1 || len(m.Question) != 1 {
		return false
	}
	sent, got := q.Question[0].Name, m.Question[0].Name
	return sent != got && strings.EqualFold(sent, got)
}

// host returns what stands at addr. The caller holds mu.
func (n *Internet) host(addr netip.Addr) *host {
	addr = addr.Unmap()
	h := n.hosts[addr]
	if h == nil {
		h = &host{}
		n.hosts[addr] = h
	}
	return h
}

// pause waits for d unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// overWire returns m as its receiver sees it.
func overWire(m *dns.Msg) (*dns.Msg, error) {
	packet, err := m.Pack()
	if err != nil {
		return nil, err
	}
	var r dns.Msg
	if err := r.Unpack(packet); err != nil {
		return nil, err
	}
	return &r, nil
}
