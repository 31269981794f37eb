// Package gobgp announces routes with a BGP speaker inside this process.
//
// New connects to the routers and waits for nobody. Set puts the routes into
// the speaker's table, which sends the difference to every session, and reads
// back what the table and each session hold. What routers announce to us is
// ignored: nothing is learned and nothing is passed from one to another. When
// the process dies its connections end, and the routers forget the routes at
// once: graceful restart (RFC 4724), which would make them keep the routes of a
// dead node, is never offered and cannot be configured.
package gobgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
)

// Options says who we are and who the routers are.
type Options struct {
	ASN      uint32
	RouterID netip.Addr      // IPv4
	HoldTime time.Duration   // whole seconds; default 9 s, at least 3 s
	Peers    []Peer          // at least one
	Groups   []sidecar.Group // what will be announced: their next hops decide which family goes over which session
	Log      *zap.Logger     // nil = none
}

// A Peer is one router.
type Peer struct {
	Address     netip.Addr
	Port        uint16 // default 179
	ASN         uint32
	Password    string // of TCP MD5, RFC 2385; empty = none
	TTLSecurity bool   // RFC 5082; the router must have it, too
	BFD         bool   // RFC 5880, 100 ms and 3 times
}

// The hold time is how long a router waits for a node that is silent but whose
// connection has not ended. Default 9 s, because the default of 90 s or 180 s
// of most routers is an outage; from 3 s, the least of RFC 4271 section 4.2, to
// 65,535 s. The lower value of both ends counts.
const (
	defaultHoldTime = 9 * time.Second
	minHoldTime     = 3 * time.Second
	maxHoldTime     = 65535 * time.Second
)

// maxPassword is what the kernel takes for a key of TCP MD5, in octets.
const maxPassword = 80

// connectRetry is the wait between two attempts to connect, and after a session
// has ended, in seconds. Fixed at 2 s, the least that the library knows: a
// router that restarts is found soon.
const connectRetry = 2

// bfdInterval is the time between two packets of BFD, in microseconds, and
// bfdMultiplier how many may be lost: a frozen host is noticed after 300 ms.
const (
	bfdInterval   = 100_000
	bfdMultiplier = 3
)

// closeLimit bounds Close. Withdrawing takes milliseconds; the library has had
// deadlocks at its end, and the end of the process does the same job.
const closeLimit = 2 * time.Second

var families = []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC}

// familyOf returns the family of an address or of a prefix's address.
func familyOf(a netip.Addr) bgp.Family {
	if a.Is4() {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}

// A Speaker holds one session with each router. It implements
// sidecar.Speaker; Peers may be called from any goroutine.
type Speaker struct {
	o       Options // immutable after New, like prepend
	prepend bool
	log     *zap.Logger
	server  *server.BgpServer
	served  chan struct{} // closed when the server's goroutine has ended
	cancel  context.CancelFunc

	mu      sync.Mutex // guards what follows
	peers   map[netip.Addr]*session
	closing bool // Close was called: sessions end because we end them
}

// A session is what is known of the session with a peer.
type session struct {
	state    bgp.FSMState
	families []bgp.Family // that the peer has, while the session is up
	refused  bool         // it was told that the session does not come up
}

func (s *session) up() bool { return s.state == bgp.BGP_FSM_ESTABLISHED }

// New starts a speaker. It listens nowhere: sessions are ours to open.
func New(o Options) (*Speaker, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.HoldTime == 0 {
		o.HoldTime = defaultHoldTime
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	s := &Speaker{
		o:       o,
		prepend: o.prepends(),
		log:     o.Log,
		server:  server.NewBgpServer(server.LoggerOption(slog.New(slog.DiscardHandler), new(slog.LevelVar))),
		served:  make(chan struct{}),
		peers:   make(map[netip.Addr]*session),
	}
	go func() {
		defer close(s.served)
		s.server.Serve()
	}()
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		s.Close(context.Background())
		return nil, fmt.Errorf("gobgp: %w", err)
	}
	return s, nil
}

// Check says what New would refuse, and starts nothing.
func (o Options) Check() error {
	switch {
	case o.ASN == 0:
		return errors.New("gobgp: no ASN")
	case !o.RouterID.Is4() || o.RouterID.IsUnspecified():
		return fmt.Errorf("gobgp: router ID %v is not an IPv4 address", o.RouterID)
	case o.HoldTime != 0 && (o.HoldTime < minHoldTime || o.HoldTime > maxHoldTime || o.HoldTime%time.Second != 0):
		return fmt.Errorf("gobgp: hold time %v is not whole seconds from %v to %v", o.HoldTime, minHoldTime, maxHoldTime)
	case len(o.Peers) == 0:
		return errors.New("gobgp: no peers")
	}
	seen := make(map[netip.Addr]bool)
	for _, p := range o.Peers {
		if err := p.check(); err != nil {
			return fmt.Errorf("gobgp: peer %v: %w", p.Address, err)
		}
		if seen[p.Address] {
			return fmt.Errorf("gobgp: peer %v is there twice", p.Address)
		}
		seen[p.Address] = true
	}
	for _, f := range families {
		if p, crosses := o.crosses(f); !crosses && p.IsValid() && !o.has(f) {
			return fmt.Errorf("gobgp: %v has no next hop, and there is no session of its family to take one from", p)
		}
	}
	return nil
}

func (p Peer) check() error {
	switch {
	case !p.Address.IsValid() || p.Address.IsUnspecified() || p.Address.Is4In6():
		return errors.New("not an address")
	case p.ASN == 0:
		return errors.New("no ASN")
	case len(p.Password) > maxPassword:
		return fmt.Errorf("a password of %d octets is over the limit of %d", len(p.Password), maxPassword)
	}
	return nil
}

// has reports whether there is a peer with an address of the family.
func (o Options) has(f bgp.Family) bool {
	for _, p := range o.Peers {
		if familyOf(p.Address) == f {
			return true
		}
	}
	return false
}

// crosses reports whether routes of the family may go over a session of the
// other one, for which each of them needs a next hop of its own. If not, it
// names one that has none; an invalid prefix says that there are no routes.
func (o Options) crosses(f bgp.Family) (netip.Prefix, bool) {
	var any netip.Prefix
	for _, g := range o.Groups {
		for _, p := range g.Prefixes {
			if familyOf(p.Addr()) != f {
				continue
			}
			any = p
			hop := g.NextHop.IPv4
			if f == bgp.RF_IPv6_UC {
				hop = g.NextHop.IPv6
			}
			if !hop.IsValid() {
				return p, false
			}
		}
	}
	return any, any.IsValid()
}

// prepends reports whether our number may stand in a path more than once. A
// peer that has it, too, would take the route for a loop and drop it.
func (o Options) prepends() bool {
	return !slices.ContainsFunc(o.Peers, func(p Peer) bool { return p.ASN == o.ASN })
}

func (s *Speaker) start(ctx context.Context) error {
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: s.o.ASN, RouterId: s.o.RouterID.String(), ListenPort: -1,
	}}); err != nil {
		return err
	}
	if err := s.ignoreOthers(ctx); err != nil {
		return err
	}
	watch := server.WatchEventMessageCallbacks{OnPeerUpdate: s.notePeer}
	if err := s.server.WatchEvent(ctx, watch, server.WatchPeer()); err != nil {
		return err
	}
	for _, p := range s.o.Peers {
		s.mu.Lock()
		s.peers[p.Address] = &session{}
		s.mu.Unlock()
		if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: s.o.peer(p)}); err != nil {
			return fmt.Errorf("peer %v: %w", p.Address, err)
		}
	}
	if !s.prepend {
		s.log.Warn("prepend is not used: a peer has our own ASN")
	}
	return nil
}

// ignoreOthers lets into the table what is ours and nothing else. The
// statement is needed: a plain reject drops our own routes, too, and does not
// say so.
func (s *Speaker) ignoreOthers(ctx context.Context) error {
	ours := &api.Policy{Name: "ours", Statements: []*api.Statement{{
		Name:       "ours",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	if err := s.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: ours}); err != nil {
		return err
	}
	return s.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name:          "global",
		Direction:     api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies:      []*api.Policy{{Name: ours.Name}},
		DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}})
}

// peer returns p as the library wants it. There is no GracefulRestart in it.
func (o Options) peer(p Peer) *api.Peer {
	hold := uint64(o.HoldTime / time.Second)
	port := uint32(p.Port)
	if port == 0 {
		port = bgp.BGP_PORT
	}
	n := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: p.Address.String(), PeerAsn: p.ASN, AuthPassword: p.Password},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: hold, KeepaliveInterval: hold / 3, ConnectRetry: connectRetry, IdleHoldTimeAfterReset: connectRetry,
		}},
		Transport: &api.Transport{RemotePort: port},
	}
	if p.TTLSecurity {
		n.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 255}
	}
	if p.BFD {
		n.Bfd = &api.BfdPeerConfig{
			Enabled: true, DesiredMinimumTxInterval: bfdInterval, RequiredMinimumReceive: bfdInterval, DetectionMultiplier: bfdMultiplier,
		}
	}
	for _, f := range o.families(p.Address) {
		n.AfiSafis = append(n.AfiSafis, &api.AfiSafi{Config: &api.AfiSafiConfig{
			Enabled: true, Family: &api.Family{Afi: api.Family_Afi(f.Afi()), Safi: api.Family_Safi(f.Safi())},
		}})
	}
	return n
}

// families returns what we offer on the session with peer: its own family, and
// the other one if it may cross.
func (o Options) families(peer netip.Addr) []bgp.Family {
	return slices.DeleteFunc(slices.Clone(families), func(f bgp.Family) bool {
		_, crosses := o.crosses(f)
		return !crosses && familyOf(peer) != f
	})
}

// notePeer tells when a session comes up or goes down, and once when a router
// answers but does not agree. Called by the library's goroutine, one event at a
// time.
func (s *Speaker) notePeer(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	address, now := e.Peer.Conf.NeighborAddress, e.Peer.State
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[address]
	if p == nil {
		return
	}
	before := *p
	p.state = now.SessionState
	switch {
	case p.up() && !before.up():
		p.families, p.refused = announcedFamilies(now.RemoteCap), false
		s.log.Info("peer came up", zap.Stringer("peer", address), zap.Uint32("asn", now.PeerASN), zap.Stringers("families", p.families))
	case before.up() && !p.up() && s.closing:
		s.log.Info("peer was left", zap.Stringer("peer", address))
	case before.up() && !p.up():
		s.log.Warn("peer went down", zap.Stringer("peer", address), zap.String("reason", now.DisconnectMessage))
	case p.state == bgp.BGP_FSM_IDLE && before.state > bgp.BGP_FSM_ACTIVE && !before.refused:
		p.refused = true
		s.log.Warn("peer did not agree to a session", zap.Stringer("peer", address), zap.String("reason", now.DisconnectMessage))
	}
}

// announcedFamilies returns the families among a peer's capabilities. One that
// names none knows IPv4 only, RFC 4760 section 8.
func announcedFamilies(capabilities []bgp.ParameterCapabilityInterface) []bgp.Family {
	var list []bgp.Family
	for _, c := range capabilities {
		if c, ok := c.(*bgp.CapMultiProtocol); ok {
			list = append(list, c.CapValue)
		}
	}
	if list == nil {
		return families[:1]
	}
	return list
}

// A PeerStatus says whether the session with a peer is up.
type PeerStatus struct {
	Address netip.Addr
	Up      bool
}

// Peers returns the state of the sessions, in the order of the options.
func (s *Speaker) Peers() []PeerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []PeerStatus
	for _, p := range s.o.Peers {
		list = append(list, PeerStatus{p.Address, s.peers[p.Address].up()})
	}
	return list
}

// Close withdraws, ends the sessions and waits for them, for 2 s at most.
func (s *Speaker) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- errors.Join(s.Set(ctx, nil), s.stop(ctx)) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gobgp: close: %w", ctx.Err())
	}
}

// stop ends the library's server.
func (s *Speaker) stop(ctx context.Context) error {
	defer s.cancel()
	if err := s.server.StopBgp(ctx, &api.StopBgpRequest{}); err != nil {
		return fmt.Errorf("gobgp: stop: %w", err)
	}
	<-s.served
	return nil
}
