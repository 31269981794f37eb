// Package guard asks the other nodes what they announce, and tells them what
// this one does, so that no node lets a check take away the last announcement.
//
// Nodes ask each other on their unicast addresses, a datagram each way, once a
// second. Both are sealed with a key that all nodes share, and a reply carries
// the nonce of its question: nobody else can say that a node announces, and
// nobody can say it again later.
package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// askEvery bounds how long a node that wants to leave waits for the word of
	// the others. One datagram to each of them a second is no load.
	askEvery = time.Second

	nonceLength = 16

	// MaxPeers bounds the nodes: a question each second to every one of them.
	MaxPeers = 256
)

// Options says who asks whom.
type Options struct {
	Node   string           // this node's name; every node has another
	Listen netip.AddrPort   // a unicast address of this host: where others ask, and where we ask from
	Peers  []netip.AddrPort // where the others listen
	Key    []byte           // that all nodes share; at least MinKey octets
	Log    *zap.Logger      // nil = none
}

func (o Options) check() error {
	switch {
	case o.Node == "":
		return errors.New("guard: no name of this node")
	case len(o.Peers) == 0 || len(o.Peers) > MaxPeers:
		return fmt.Errorf("guard: %d peers, not 1 to %d", len(o.Peers), MaxPeers)
	case len(o.Key) < MinKey:
		return fmt.Errorf("guard: the key has %d octets, at least %d are needed", len(o.Key), MinKey)
	}
	return nil
}

// A Guard knows what the other nodes last said. Serve does the work; the other
// methods may be called from any goroutine.
type Guard struct {
	o     Options
	conn  *net.UDPConn
	stats Counters

	mu    sync.Mutex
	peers map[netip.AddrPort]*peer
}

// A peer is another node.
type peer struct {
	nonce []byte    // of the last question, until its reply
	sent  time.Time // that question
	word  word      // the last
	asked time.Time // what it replies to; zero = there was none
	wrong string    // what was last wrong with its words
}

// Counters count datagrams.
type Counters struct {
	Asked, Answered, Replied, Refused atomic.Uint64
}

// Listen takes the socket.
func Listen(o Options) (*Guard, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(o.Listen))
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &Guard{o: o, conn: conn, peers: make(map[netip.AddrPort]*peer)}
	for _, p := range o.Peers {
		g.peers[p] = &peer{}
	}
	return g, nil
}

// Addr is where the guard listens.
func (g *Guard) Addr() netip.AddrPort { return g.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Stats are the counters.
func (g *Guard) Stats() *Counters { return &g.stats }

// Says is what a node tells others: the prefixes that it announces, and whether
// it is about to withdraw them.
type Says func() (announced []netip.Prefix, leaving bool)

// Serve asks and answers until ctx is done, and lets go of the socket.
func (g *Guard) Serve(ctx context.Context, says Says) {
	var reader sync.WaitGroup
	reader.Go(func() { g.read(says) })
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		g.ask()
		select {
		case <-ctx.Done():
			_ = g.conn.Close()
			reader.Wait()
			return
		case <-ticker.C:
		}
	}
}

// Close lets go of the socket of a Guard that never served.
func (g *Guard) Close() error { return g.conn.Close() }

// ask puts a question to each peer. What cannot be sent is as if lost.
func (g *Guard) ask() {
	for _, at := range g.o.Peers {
		nonce := make([]byte, nonceLength)
		_, _ = rand.Read(nonce) // never fails
		w := word{Nonce: nonce, Node: g.o.Node}
		w.Pad = strings.Repeat("-", maxDatagram-400)
		datagram, err := w.seal(g.o.Key)
		if err != nil {
			g.o.Log.Error("guard cannot ask", zap.Error(err))
			return
		}
		g.mu.Lock()
		g.peers[at].nonce, g.peers[at].sent = nonce, time.Now()
		g.mu.Unlock()
		g.stats.Asked.Add(1)
		_, _ = g.conn.WriteToUDPAddrPort(datagram, at)
	}
}

// read handles datagrams until the socket is closed.
func (g *Guard) read(says Says) {
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a peer that is down
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		w, err := open(buf[:n], g.o.Key)
		switch {
		case err != nil:
			g.refuse(from, err)
		case w.Reply:
			g.note(from, w)
		case n > maxDatagram/2: // a short question would be amplified
			g.reply(from, w, says)
		}
	}
}

// refuse counts a datagram that is nobody's, and logs the first of a peer.
func (g *Guard) refuse(from netip.AddrPort, why error) {
	g.stats.Refused.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.peers[from]; p != nil && p.wrong != why.Error() {
		p.wrong = why.Error()
		g.o.Log.Warn("guard was told nonsense by a peer", zap.Stringer("peer", from), zap.Error(why))
	}
}

// reply tells what this node announces. A word that is too long says that it
// announces nothing: other nodes then count on themselves.
func (g *Guard) reply(to netip.AddrPort, question word, says Says) {
	w := word{Reply: true, Nonce: question.Nonce, Node: g.o.Node}
	w.Announced, w.Leaving = says()
	datagram, err := w.seal(g.o.Key)
	if err != nil {
		w.Announced = nil
		if datagram, err = w.seal(g.o.Key); err != nil {
			return
		}
	}
	g.stats.Answered.Add(1)
	_, _ = g.conn.WriteToUDPAddrPort(datagram, to)
}

// note remembers what a peer says, if it was asked that.
func (g *Guard) note(from netip.AddrPort, w word) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peers[from]
	if p == nil || len(p.nonce) == 0 || !bytes.Equal(p.nonce, w.Nonce) {
		g.stats.Refused.Add(1)
		return
	}
	if p.word.Node != w.Node {
		g.o.Log.Info("guard has found a node", zap.Stringer("peer", from), zap.String("node", w.Node))
	}
	g.stats.Replied.Add(1)
	p.nonce, p.word, p.asked, p.wrong = nil, w, p.sent, ""
}

// A View is what is known of the others.
type View struct {
	Known      bool          // at least one has spoken within the time that counts
	Announcing int           // that announce all of the prefixes, and stay
	Withdrawn  int           // that do not, are about to withdraw them, or are silent
	Before     int           // that are about to withdraw them, and have a lower rank
	Rank       int           // of this node among all that speak, from 0
	Age        time.Duration // of the oldest word that counts
}

// View returns what is known of nodes that announce prefixes, from replies to
// questions that are not older than stale. A silent node counts as withdrawn: it
// may be dead.
func (g *Guard) View(prefixes []netip.Prefix, stale time.Duration) View {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := View{}
	for _, p := range g.peers {
		age := now.Sub(p.asked)
		if p.asked.IsZero() || age > stale {
			v.Withdrawn++
			continue
		}
		v.Known, v.Age = true, max(v.Age, age)
		first := p.word.Node < g.o.Node
		if first {
			v.Rank++
		}
		switch {
		case !covers(p.word.Announced, prefixes):
			v.Withdrawn++
		case p.word.Leaving:
			v.Withdrawn++
			if first {
				v.Before++
			}
		default:
			v.Announcing++
		}
	}
	return v
}

// covers reports whether all of prefixes are announced.
func covers(announced, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if !slices.Contains(announced, p) {
			return false
		}
	}
	return len(announced) > 0
}
