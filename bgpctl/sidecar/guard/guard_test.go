package guard

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const patience = 30 * time.Second

var (
	key    = []byte("0123456789abcdef")
	prefix = netip.MustParsePrefix("198.51.100.0/24")
	both   = []netip.Prefix{prefix, netip.MustParsePrefix("2001:db8:53::/48")}
)

// A node is a guard that serves, and what it announces.
type node struct {
	*Guard
	announced atomic.Pointer[[]netip.Prefix]
	leaving   atomic.Bool
	stop      func()
}

// fleet starts nodes that know each other; change may spoil the options of one.
func fleet(t *testing.T, names []string, change func(name string, o *Options)) map[string]*node {
	t.Helper()
	at := map[string]netip.AddrPort{}
	for _, name := range names {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		at[name] = c.LocalAddr().(*net.UDPAddr).AddrPort()
		c.Close()
	}
	nodes := map[string]*node{}
	for _, name := range names {
		n := &node{}
		n.announced.Store(&both)
		o := Options{Node: name, Listen: at[name], Key: key}
		for _, other := range names {
			if other != name {
				o.Peers = append(o.Peers, at[other])
			}
		}
		if change != nil {
			change(name, &o)
		}
		g, err := Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		n.Guard = g
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			g.Serve(ctx, func() ([]netip.Prefix, bool) { return *n.announced.Load(), n.leaving.Load() })
			close(done)
		}()
		n.stop = func() { cancel(); <-done }
		t.Cleanup(n.stop)
		nodes[name] = n
	}
	return nodes
}

// await waits until a node's view is as wanted.
func (n *node) await(t *testing.T, what string, stale time.Duration, want func(View) bool) {
	t.Helper()
	var v View
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if v = n.View(both, stale); want(v) {
			return
		}
	}
	t.Fatalf("not %s: %+v", what, v)
}

func TestGuard_knowsTheOthers(t *testing.T) {
	nodes := fleet(t, []string{"a", "b", "c"}, nil)
	if v := nodes["a"].View(both, 0); v.Known || v.Announcing != 0 {
		t.Errorf("before a word it knows %+v", v)
	}
	ranks := map[int]bool{}
	for name, n := range nodes {
		n.await(t, name+" sees both others announce", patience, func(v View) bool { return v.Known && v.Announcing == 2 && v.Withdrawn == 0 })
		ranks[n.View(both, patience).Rank] = true
	}
	if len(ranks) != 3 {
		t.Errorf("the ranks are %v", ranks)
	}
	nodes["b"].leaving.Store(true)
	nodes["c"].await(t, "one that leaves is none that announces, and goes first", patience, func(v View) bool {
		return v.Announcing == 1 && v.Withdrawn == 1 && v.Before == 1
	})
	nodes["a"].await(t, "but not before one of lower rank", patience, func(v View) bool {
		return v.Announcing == 1 && v.Withdrawn == 1 && v.Before == 0
	})
	nodes["b"].leaving.Store(false)
	some := both[:1]
	nodes["b"].announced.Store(&some)
	nodes["a"].await(t, "half of the prefixes is not an announcement", patience, func(v View) bool { return v.Announcing == 1 && v.Withdrawn == 1 })
	none := []netip.Prefix{}
	nodes["c"].announced.Store(&none)
	nodes["a"].await(t, "nobody announces", patience, func(v View) bool { return v.Known && v.Announcing == 0 && v.Withdrawn == 2 })
	nodes["b"].stop()
	nodes["c"].stop()
	nodes["a"].await(t, "nothing is known of silent nodes", 2*time.Second, func(v View) bool { return !v.Known && v.Withdrawn == 2 })
}

func TestGuard_believesNobodyWithoutTheKey(t *testing.T) {
	nodes := fleet(t, []string{"a", "b", "liar"}, func(name string, o *Options) {
		if name == "liar" {
			o.Key = []byte("fedcba9876543210")
		}
	})
	nodes["a"].await(t, "a sees b alone", patience, func(v View) bool { return v.Announcing == 1 && v.Withdrawn == 1 })
	if nodes["a"].Stats().Refused.Load() == 0 {
		t.Error("nothing was refused")
	}
	if v := nodes["liar"].View(both, patience); v.Known {
		t.Errorf("the liar knows %+v", v)
	}
}

// TestGuard_takesNoOldWord sends a node a word that was true once, and
// questions that would be amplified.
func TestGuard_takesNoOldWord(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer := c.LocalAddr().(*net.UDPAddr).AddrPort()
	nodes := fleet(t, []string{"a"}, func(_ string, o *Options) { o.Peers = []netip.AddrPort{peer} })
	at := nodes["a"].Addr()
	send := func(w word) {
		t.Helper()
		datagram, err := w.seal(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteToUDPAddrPort(datagram, at); err != nil {
			t.Fatal(err)
		}
	}
	send(word{Reply: true, Nonce: []byte("some other nonce"), Node: "b", Announced: both})
	send(word{Reply: true, Node: "b", Announced: both})
	send(word{Nonce: []byte("short"), Node: "b"}) // a question too short to be answered
	send(word{Nonce: []byte("long"), Node: "b", Pad: strings.Repeat("-", 700)})
	c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		w, err := open(buf[:n], key)
		if err != nil {
			t.Fatal(err)
		}
		if !w.Reply {
			continue // its own question
		}
		if string(w.Nonce) != "long" || len(w.Announced) != 2 {
			t.Errorf("it replies %+v", w)
		}
		break
	}
	if v := nodes["a"].View(both, patience); v.Known || nodes["a"].Stats().Refused.Load() != 2 {
		t.Errorf("it knows %+v and refused %d", v, nodes["a"].Stats().Refused.Load())
	}
}

func TestListen_refuses(t *testing.T) {
	good := Options{Node: "a", Listen: netip.MustParseAddrPort("127.0.0.1:0"), Key: key,
		Peers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}}
	for name, spoil := range map[string]func(*Options){
		"no name": func(o *Options) { o.Node = "" }, "no peers": func(o *Options) { o.Peers = nil },
		"a short key":                  func(o *Options) { o.Key = key[1:] },
		"too many peers":               func(o *Options) { o.Peers = make([]netip.AddrPort, MaxPeers+1) },
		"an address that is not there": func(o *Options) { o.Listen = netip.MustParseAddrPort("192.0.2.1:9") },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			spoil(&o)
			if g, err := Listen(o); err == nil {
				g.Close()
				t.Error("no error")
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	sealed, _ := word{Nonce: []byte("n"), Node: "a", Announced: both}.seal(key)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if _, err := open(datagram, key); err == nil && string(datagram) != string(sealed) {
			t.Error("a datagram that nobody sealed was opened")
		}
		if w, err := open(append(datagram[:len(datagram):len(datagram)], mac(key, datagram)...), key); err == nil && w.Version != wordVersion {
			t.Error("another version was opened")
		}
	})
}
