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
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
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
	// askEvery is short beside the time that a node waits for those of lower
	// rank, so that it sees what they have decided.
	askEvery = time.Second

	// rankFor is how long a rank lasts: long enough for a decision, short enough
	// that it is not always the same node that is withdrawn.
	rankFor = 10 * time.Minute

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
	nonce     []byte // of the last question
	node      string
	announced []netip.Prefix
	heard     time.Time // zero = never
	wrong     string    // what was last wrong with its words
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

// Serve asks and answers until ctx is done, and lets go of the socket. Others
// are told what announced returns.
func (g *Guard) Serve(ctx context.Context, announced func() []netip.Prefix) {
	var reader sync.WaitGroup
	reader.Go(func() { g.read(announced) })
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
		g.peers[at].nonce = nonce
		g.mu.Unlock()
		g.stats.Asked.Add(1)
		_, _ = g.conn.WriteToUDPAddrPort(datagram, at)
	}
}

// read handles datagrams until the socket is closed.
func (g *Guard) read(announced func() []netip.Prefix) {
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
			g.reply(from, w, announced())
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
func (g *Guard) reply(to netip.AddrPort, question word, announced []netip.Prefix) {
	w := word{Reply: true, Nonce: question.Nonce, Node: g.o.Node, Announced: announced}
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
	if p.node != w.Node {
		g.o.Log.Info("guard has found a node", zap.Stringer("peer", from), zap.String("node", w.Node))
	}
	g.stats.Replied.Add(1)
	p.nonce, p.node, p.announced, p.heard, p.wrong = nil, w.Node, w.Announced, time.Now(), ""
}

// A View is what is known of the others.
type View struct {
	Known      bool          // at least one has spoken within the time that counts
	Announcing int           // that announce all of the prefixes
	Withdrawn  int           // that do not, or are silent
	Rank       int           // of this node among all that speak, from 0
	Age        time.Duration // of the oldest word that counts
}

// View returns what is known of nodes that announce prefixes, from words that
// are not older than stale. A silent node counts as withdrawn: it may be dead.
func (g *Guard) View(prefixes []netip.Prefix, stale time.Duration) View {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := View{}
	nodes := []string{g.o.Node}
	for _, p := range g.peers {
		age := now.Sub(p.heard)
		if p.heard.IsZero() || age > stale {
			v.Withdrawn++
			continue
		}
		v.Known, v.Age = true, max(v.Age, age)
		nodes = append(nodes, p.node)
		if covers(p.announced, prefixes) {
			v.Announcing++
		} else {
			v.Withdrawn++
		}
	}
	v.Rank = rank(g.o.Node, nodes, now)
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

// rank is the place of a node among all, drawn anew every rankFor so that all
// nodes draw the same.
func rank(node string, nodes []string, now time.Time) int {
	epoch := now.Unix() / int64(rankFor/time.Second)
	draw := func(name string) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", epoch, name)
		return h.Sum64()
	}
	slices.SortFunc(nodes, func(a, b string) int {
		return cmp.Or(cmp.Compare(draw(a), draw(b)), strings.Compare(a, b))
	})
	return slices.Index(slices.Compact(nodes), node)
}
