package gobgp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"proxima/bgpctl/sidecar"
)

// patience bounds every wait of these tests. It is only reached by a failure.
const patience = time.Minute

const ourASN, routerASN = 64511, 64500

var (
	prefix4 = netip.MustParsePrefix("198.51.100.0/24")
	prefix6 = netip.MustParsePrefix("2001:db8:53::/48")
	hop4    = netip.MustParseAddr("203.0.113.2")
	hop6    = netip.MustParseAddr("2001:db8:ffff::2")
	groups  = []sidecar.Group{{
		Name: "main", Prefixes: []netip.Prefix{prefix4, prefix6}, NextHop: sidecar.NextHop{IPv6: hop6},
	}}
)

// A router is another GoBGP on a loopback address, which waits for us.
type router struct {
	*server.BgpServer
	addr netip.AddrPort

	mu     sync.Mutex
	up     bool
	theirs []bgp.ParameterCapabilityInterface // what we have offered
	change chan struct{}                      // holds one: there is news
}

func newRouter(t testing.TB, password string) *router {
	t.Helper()
	const address = "127.0.0.2"
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skip("no loopback address for a router: ", err)
	}
	r := &router{
		BgpServer: server.NewBgpServer(server.LoggerOption(slog.New(slog.DiscardHandler), new(slog.LevelVar))),
		addr:      l.Addr().(*net.TCPAddr).AddrPort(),
		change:    make(chan struct{}, 1),
	}
	l.Close()
	go r.Serve()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		r.StopBgp(context.Background(), &api.StopBgpRequest{})
		cancel()
	})
	must(t, r.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: routerASN, RouterId: "203.0.113.1", ListenPort: int32(r.addr.Port()), ListenAddresses: []string{address},
	}}))
	must(t, r.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnPeerUpdate: r.notePeer, OnPathUpdate: func([]*apiutil.Path, time.Time) { r.news() }},
		server.WatchPeer(), server.WatchUpdate(true, "", "")))
	ttl := &api.TtlSecurity{Enabled: true, TtlMin: 255}
	var safis []*api.AfiSafi
	for _, f := range families {
		safis = append(safis, &api.AfiSafi{Config: &api.AfiSafiConfig{Enabled: true, Family: &api.Family{Afi: api.Family_Afi(f.Afi()), Safi: api.Family_Safi(f.Safi())}}})
	}
	must(t, r.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: "127.0.0.1", PeerAsn: ourASN, AuthPassword: password},
		Transport: &api.Transport{PassiveMode: true}, TtlSecurity: ttl, AfiSafis: safis,
		Timers: &api.Timers{Config: &api.TimersConfig{HoldTime: 90}},
		// A router may well offer to keep routes. It takes two.
		GracefulRestart: &api.GracefulRestart{Enabled: true, RestartTime: 120, LonglivedEnabled: true},
	}}))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *router) notePeer(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	r.mu.Lock()
	r.up = e.Peer.State.SessionState == bgp.BGP_FSM_ESTABLISHED
	if r.up {
		r.theirs = e.Peer.State.RemoteCap
	}
	r.mu.Unlock()
	r.news()
}

func (r *router) news() {
	select {
	case r.change <- struct{}{}:
	default:
	}
}

func (r *router) isUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up
}

// await waits until what the router knows is as want says.
func (r *router) await(t testing.TB, what string, want func() bool) {
	t.Helper()
	limit := time.After(patience)
	for !want() {
		select {
		case <-r.change:
		case <-time.After(20 * time.Millisecond):
		case <-limit:
			t.Fatalf("not %s: up %t, routes %+v", what, r.isUp(), r.routes(t))
		}
	}
}

// routes are what the router has learned; Prepend counts the whole path.
func (r *router) routes(t testing.TB) map[netip.Prefix]sidecar.Route {
	t.Helper()
	learned := make(map[netip.Prefix]sidecar.Route)
	for _, f := range families {
		must(t, r.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: f}, func(nlri bgp.NLRI, paths []*apiutil.Path) {
			for _, p := range paths {
				if p.PeerASN != 0 {
					rt, _ := route(nlri, p.Attrs)
					learned[rt.Prefix] = rt
				}
			}
		}))
	}
	return learned
}

func (r *router) has(t testing.TB, want ...sidecar.Route) func() bool {
	return func() bool {
		have := r.routes(t)
		for _, w := range want {
			if h, ok := have[w.Prefix]; !ok || !h.Equal(w) {
				return false
			}
		}
		return len(have) == len(want)
	}
}

func newSpeaker(t testing.TB, r *router, password string) *Speaker {
	t.Helper()
	s, err := New(Options{
		ASN: ourASN, RouterID: hop4, Groups: groups,
		Peers: []Peer{{Address: r.addr.Addr(), Port: r.addr.Port(), ASN: routerASN, Password: password, TTLSecurity: true}},
	})
	must(t, err)
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// A session takes 2 s to open, and the library has variables that all speakers
// of a process share, so these claims share one session.
func TestSpeaker(t *testing.T) {
	const password = "s3cret"
	r := newRouter(t, password)
	s := newSpeaker(t, r, password)
	ctx := t.Context()
	plain := []sidecar.Route{
		{Prefix: prefix4, Communities: []uint32{64511<<16 | 100}, LargeCommunities: []sidecar.LargeCommunity{{ASN: 64511, Data1: 1, Data2: 2}}, MED: 10},
		{Prefix: prefix6, NextHop: hop6},
	}
	// seen is how the router sees a route: from where we are, and with our
	// number once more in the path.
	seen := func(r sidecar.Route) sidecar.Route {
		if !r.NextHop.IsValid() {
			r.NextHop = netip.MustParseAddr("127.0.0.1")
		}
		r.Prepend++
		return r
	}
	must(t, s.Set(ctx, plain)) // before the session is up
	r.await(t, "up", r.isUp)

	t.Run("a route set before the session is announced with its attributes", func(t *testing.T) {
		r.await(t, "announced", r.has(t, seen(plain[0]), seen(plain[1])))
	})
	t.Run("the session is up for us, too", func(t *testing.T) {
		want := []PeerStatus{{r.addr.Addr(), true}}
		r.await(t, "up", func() bool { return slices.Equal(s.Peers(), want) })
	})
	t.Run("no graceful restart is offered", func(t *testing.T) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.theirs) == 0 {
			t.Error("the router knows no capability of ours: this proves nothing")
		}
		for _, c := range r.theirs {
			if c.Code() == bgp.BGP_CAP_GRACEFUL_RESTART || c.Code() == bgp.BGP_CAP_LONG_LIVED_GRACEFUL_RESTART {
				t.Errorf("capability %v is offered", c.Code())
			}
		}
	})
	t.Run("attributes change and the session stays", func(t *testing.T) {
		degraded := slices.Clone(plain)
		degraded[0].Communities = []uint32{64511<<16 | 100, 65535 << 16}
		degraded[0].Prepend = 2
		must(t, s.Set(ctx, degraded))
		r.await(t, "degraded", r.has(t, seen(degraded[0]), seen(degraded[1])))
		if !r.isUp() {
			t.Error("the session went down")
		}
	})
	t.Run("what the router announces is ignored", func(t *testing.T) {
		other := sidecar.Route{Prefix: netip.MustParsePrefix("203.0.113.0/24"), NextHop: netip.MustParseAddr("203.0.113.1")}
		p, err := path(other, routerASN)
		must(t, err)
		_, err = r.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{p}})
		must(t, err)
		r.await(t, "received", func() bool {
			n := 0
			s.server.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: r.addr.Addr().String(), Family: bgp.RF_IPv4_UC},
				func(bgp.NLRI, []*apiutil.Path) { n++ })
			return n == 1
		})
		have, err := s.table()
		must(t, err)
		if _, ok := have[other.Prefix]; ok {
			t.Errorf("the table has %v", other.Prefix)
		}
	})
	t.Run("one route is withdrawn and the other stays", func(t *testing.T) {
		must(t, s.Set(ctx, plain[1:]))
		r.await(t, "withdrawn", r.has(t, seen(plain[1])))
	})
	t.Run("a session that is not sent a route is found", func(t *testing.T) {
		want := map[netip.Prefix]sidecar.Route{prefix4: plain[0], prefix6: plain[1]}
		if err := s.checkSessions(want); err == nil || !strings.Contains(err.Error(), "198.51.100.0/24 is not sent") {
			t.Errorf("checkSessions = %v, want that %v is not sent", err, prefix4)
		}
		if err := s.checkSessions(nil); err == nil || !strings.Contains(err.Error(), "2001:db8:53::/48 is sent") {
			t.Errorf("checkSessions = %v, want that %v is sent", err, prefix6)
		}
	})
	t.Run("no routes are none", func(t *testing.T) {
		must(t, s.Set(ctx, nil))
		r.await(t, "withdrawn", r.has(t))
	})
	t.Run("the end withdraws and ends the session", func(t *testing.T) {
		must(t, s.Set(ctx, plain))
		must(t, s.Close(ctx))
		r.await(t, "down and withdrawn", func() bool { return !r.isUp() && len(r.routes(t)) == 0 })
	})
}

func TestOptions_prepends(t *testing.T) {
	tests := []struct {
		name string
		asns []uint32 // of the peers
		want bool
	}{
		{"to other networks", []uint32{64500, 64501}, true},
		{"not if one peer is of our own", []uint32{64500, ourASN}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{ASN: ourASN}
			for _, asn := range tt.asns {
				o.Peers = append(o.Peers, Peer{ASN: asn})
			}
			if got := o.prepends(); got != tt.want {
				t.Errorf("prepends = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestSpeaker_notePeer(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name    string
		closing bool
		states  []bgp.FSMState
		want    []string // what is logged
	}{
		{"a router that is away is not worth a word", false, []bgp.FSMState{bgp.BGP_FSM_IDLE, bgp.BGP_FSM_ACTIVE, bgp.BGP_FSM_IDLE, bgp.BGP_FSM_ACTIVE}, nil},
		{"up and down are told", false, []bgp.FSMState{bgp.BGP_FSM_ACTIVE, bgp.BGP_FSM_OPENCONFIRM, bgp.BGP_FSM_ESTABLISHED, bgp.BGP_FSM_IDLE},
			[]string{"info peer came up", "warn peer went down"}},
		{"that we go is no warning", true, []bgp.FSMState{bgp.BGP_FSM_ESTABLISHED, bgp.BGP_FSM_IDLE},
			[]string{"info peer came up", "info peer was left"}},
		{"a router that does not agree is told once", false, []bgp.FSMState{bgp.BGP_FSM_OPENCONFIRM, bgp.BGP_FSM_IDLE, bgp.BGP_FSM_OPENSENT, bgp.BGP_FSM_IDLE},
			[]string{"warn peer did not agree to a session"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			s := &Speaker{log: zap.New(core), peers: map[netip.Addr]*session{address: {}}, closing: tt.closing}
			for _, state := range tt.states {
				s.notePeer(&apiutil.WatchEventMessage_PeerEvent{Peer: apiutil.Peer{
					Conf: apiutil.PeerConf{NeighborAddress: address}, State: apiutil.PeerState{SessionState: state},
				}}, time.Time{})
			}
			var got []string
			for _, e := range logs.All() {
				got = append(got, e.Level.String()+" "+e.Message)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("logged %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	good := func() Options {
		return Options{ASN: ourASN, RouterID: hop4, Groups: groups, Peers: []Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: routerASN}}}
	}
	tests := []struct {
		name string
		bend func(o *Options)
		want string
	}{
		{"no ASN", func(o *Options) { o.ASN = 0 }, "ASN"},
		{"no router ID", func(o *Options) { o.RouterID = netip.Addr{} }, "router ID"},
		{"a router ID of IPv6", func(o *Options) { o.RouterID = hop6 }, "router ID"},
		{"a hold time below 3 s", func(o *Options) { o.HoldTime = 2 * time.Second }, "hold time"},
		{"a hold time of halves", func(o *Options) { o.HoldTime = 3500 * time.Millisecond }, "hold time"},
		{"no peers", func(o *Options) { o.Peers = nil }, "no peers"},
		{"a peer without an address", func(o *Options) { o.Peers[0].Address = netip.Addr{} }, "not an address"},
		{"a peer without an ASN", func(o *Options) { o.Peers[0].ASN = 0 }, "no ASN"},
		{"a peer twice", func(o *Options) { o.Peers = append(o.Peers, o.Peers[0]) }, "twice"},
		{"a long password", func(o *Options) { o.Peers[0].Password = strings.Repeat("a", 81) }, "limit of 80"},
		{"an IPv6 prefix without a next hop for an IPv4 session", func(o *Options) {
			o.Groups = []sidecar.Group{{Prefixes: []netip.Prefix{prefix6}}}
		}, "2001:db8:53::/48 has no next hop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.bend(&o)
			s, err := New(o)
			if err == nil {
				s.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestOptions_families(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	both := []netip.Prefix{prefix4, prefix6}
	bare := []sidecar.Group{{Prefixes: both}}
	hops := []sidecar.Group{{Prefixes: both, NextHop: sidecar.NextHop{IPv4: hop4, IPv6: hop6}}}
	tests := []struct {
		name   string
		groups []sidecar.Group
		peer   netip.Addr
		want   []bgp.Family
	}{
		{"next hops let both cross to IPv4", hops, four, families},
		{"and to IPv6", hops, six, families},
		{"without them IPv4 stays on its own", bare, four, families[:1]},
		{"and so does IPv6", bare, six, families[1:]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Options{Groups: tt.groups}).families(tt.peer); !slices.Equal(got, tt.want) {
				t.Errorf("families = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPath_round_trip(t *testing.T) {
	large := []sidecar.LargeCommunity{{ASN: 64511, Data1: 1, Data2: 2}}
	for _, want := range []sidecar.Route{
		{Prefix: prefix4},
		{Prefix: prefix6},
		{Prefix: prefix4, NextHop: hop4, Communities: []uint32{1, 2}, LargeCommunities: large, MED: 5, Prepend: 3},
		{Prefix: prefix6, NextHop: hop6, Communities: []uint32{1, 2}, LargeCommunities: large, MED: 5, Prepend: 3},
	} {
		p, err := path(want, ourASN)
		must(t, err)
		if got, ok := route(p.Nlri, p.Attrs); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("route = %+v, %t; want %+v", got, ok, want)
		}
	}
}
