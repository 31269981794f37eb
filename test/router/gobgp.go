//go:build linux

package router

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A goRouter is a transit router made of GoBGP: it puts the best paths into
// the kernel's table and drops a session as soon as its cable is pulled.
type goRouter struct {
	plan Plan
	bgp  *server.BgpServer
	log  *slog.Logger
}

// run is the life of a GoBGP router, until SIGTERM.
func run(planFile string) error {
	text, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	r := &goRouter{log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := json.Unmarshal(text, &r.plan); err != nil {
		return fmt.Errorf("%s: %w", planFile, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.plan.Name, err)
	}
	return r.watchLinks(ctx)
}

func (r *goRouter) start(ctx context.Context) error {
	r.bgp = server.NewBgpServer(server.LoggerOption(r.log, &slog.LevelVar{}))
	go r.bgp.Serve()
	err := r.bgp.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: r.plan.ASN, RouterId: r.plan.ID.String(), ListenPort: 179,
	}})
	if err != nil {
		return err
	}
	err = r.bgp.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnBestPath: func(paths []*apiutil.Path, _ time.Time) {
		for _, p := range paths {
			r.install(p)
		}
	}}, server.WatchBestPath(true))
	if err != nil {
		return err
	}
	if err := r.honourGracefulShutdown(ctx); err != nil {
		return err
	}
	for _, p := range r.plan.Originate {
		if err := r.originate(p); err != nil {
			return err
		}
	}
	for _, n := range r.plan.Neighbors {
		if err := r.addPeers(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// honourGracefulShutdown prefers any other path to one that carries
// GRACEFUL_SHUTDOWN, as RFC 8326 section 4 asks.
func (r *goRouter) honourGracefulShutdown(ctx context.Context) error {
	err := r.bgp.AddDefinedSet(ctx, &api.AddDefinedSetRequest{DefinedSet: &api.DefinedSet{
		DefinedType: api.DefinedType_DEFINED_TYPE_COMMUNITY, Name: "gshut", List: []string{"^65535:0$"},
	}})
	if err != nil {
		return err
	}
	policy := &api.Policy{Name: "gshut", Statements: []*api.Statement{{
		Name:       "gshut",
		Conditions: &api.Conditions{CommunitySet: &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: "gshut"}},
		Actions:    &api.Actions{LocalPref: &api.LocalPrefAction{Value: 0}},
	}}}
	if err := r.bgp.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}); err != nil {
		return err
	}
	return r.bgp.AddPolicyAssignment(ctx, &api.AddPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies: []*api.Policy{policy}, DefaultAction: api.RouteAction_ROUTE_ACTION_ACCEPT,
	}})
}

// addPeers speaks with a neighbor: one session over IPv4 for both families
// with a node, one session per family with another router.
func (r *goRouter) addPeers(ctx context.Context, n Neighbor) error {
	v4 := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	v6 := &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
	sessions := [2][]*api.Family{{v4, v6}, nil}
	if n.Transit {
		sessions = [2][]*api.Family{{v4}, {v6}}
	}
	for i, families := range sessions {
		if len(families) == 0 {
			continue
		}
		peer := &api.Peer{
			Conf: &api.PeerConf{NeighborAddress: n.Remote[i].String(), PeerAsn: n.ASN},
			Timers: &api.Timers{Config: &api.TimersConfig{
				HoldTime: 9, KeepaliveInterval: 3, ConnectRetry: 1, IdleHoldTimeAfterReset: 1,
			}},
			Transport: &api.Transport{LocalAddress: n.Local[i].String()},
		}
		if !n.Transit {
			peer.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 255}
		}
		for _, f := range families {
			peer.AfiSafis = append(peer.AfiSafis, &api.AfiSafi{Config: &api.AfiSafiConfig{Enabled: true, Family: f}})
		}
		if err := r.bgp.AddPeer(ctx, &api.AddPeerRequest{Peer: peer}); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

// originate announces a prefix of this router's own.
func (r *goRouter) originate(p netip.Prefix) error {
	nlri, err := bgp.NewIPAddrPrefix(p)
	if err != nil {
		return err
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0)}
	family, unspecified := bgp.RF_IPv4_UC, netip.IPv4Unspecified()
	if p.Addr().Is6() {
		family, unspecified = bgp.RF_IPv6_UC, netip.IPv6Unspecified()
		mp, err := bgp.NewPathAttributeMpReachNLRI(family, []bgp.PathNLRI{{NLRI: nlri}}, unspecified)
		if err != nil {
			return err
		}
		attrs = append(attrs, mp)
	} else {
		hop, err := bgp.NewPathAttributeNextHop(unspecified)
		if err != nil {
			return err
		}
		attrs = append(attrs, hop)
	}
	_, err = r.bgp.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{{Family: family, Nlri: nlri, Attrs: attrs}}})
	return err
}

// install makes the kernel's table follow a best path.
func (r *goRouter) install(p *apiutil.Path) {
	dst, err := netlink.ParseIPNet(p.Nlri.String())
	if err != nil {
		r.log.Error("prefix not understood", "nlri", p.Nlri.String(), "err", err)
		return
	}
	route := &netlink.Route{Dst: dst, Protocol: unix.RTPROT_BGP}
	hop := nextHop(p.Attrs)
	switch {
	case p.Withdrawal:
		err = netlink.RouteDel(route)
	case hop.IsValid() && !hop.IsUnspecified():
		route.Gw = hop.AsSlice()
		err = netlink.RouteReplace(route)
	}
	if err != nil {
		r.log.Error("kernel route not changed", "prefix", dst.String(), "via", hop.String(), "withdrawn", p.Withdrawal, "err", err)
	}
}

func nextHop(attrs []bgp.PathAttributeInterface) netip.Addr {
	for _, a := range attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeNextHop:
			return a.Value
		case *bgp.PathAttributeMpReachNLRI:
			return a.Nexthop
		}
	}
	return netip.Addr{}
}

// watchLinks drops the sessions over a cable when it is pulled, as routers
// do, and takes them up again.
func (r *goRouter) watchLinks(ctx context.Context) error {
	updates := make(chan netlink.LinkUpdate)
	// The links as they are now come first: that is what changes are held against.
	if err := netlink.LinkSubscribeWithOptions(updates, ctx.Done(), netlink.LinkSubscribeOptions{ListExisting: true}); err != nil {
		return err
	}
	up := map[string]bool{}
	for u := range updates {
		name, now := u.Attrs().Name, u.Attrs().OperState == netlink.OperUp
		if before, known := up[name]; !known || before == now {
			up[name] = now
			continue
		}
		up[name] = now
		for _, n := range r.plan.Neighbors {
			if n.Link == name {
				r.setPeer(ctx, n, now)
			}
		}
	}
	return nil
}

func (r *goRouter) setPeer(ctx context.Context, n Neighbor, up bool) {
	for i, remote := range n.Remote {
		if i > 0 && !n.Transit {
			break
		}
		var err error
		if up {
			err = r.bgp.EnablePeer(ctx, &api.EnablePeerRequest{Address: remote.String()})
		} else {
			err = r.bgp.DisablePeer(ctx, &api.DisablePeerRequest{Address: remote.String()})
		}
		if err != nil {
			r.log.Error("session not switched", "neighbor", n.Name, "up", up, "err", err)
		}
	}
}
