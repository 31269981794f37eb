package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl"
	"proxima/bgpctl/check"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/server"
)

// serviceAddresses are those that the network brings clients to.
func serviceAddresses(c *config.Node) []netip.Addr {
	addresses := make([]netip.Addr, len(c.Anycast.Addresses))
	for i, p := range c.Anycast.Addresses {
		addresses[i] = p.Addr()
	}
	return addresses
}

// listenAddresses leaves out ::1 on hosts without IPv6, so that the defaults
// serve there, too.
func listenAddresses(c *config.Node, present []netip.Addr) []netip.Addr {
	some := slices.DeleteFunc(slices.Clone(c.Listen.Addresses), func(a netip.Addr) bool {
		return a == netip.IPv6Loopback() && !slices.Contains(present, a)
	})
	if len(some) == 0 {
		return c.Listen.Addresses
	}
	return some
}

// hostAddresses are the addresses of this host.
func hostAddresses(links netsetup.Links) ([]netip.Addr, error) {
	all, err := links.Addresses()
	if err != nil {
		return nil, err
	}
	addresses := make([]netip.Addr, len(all))
	for i, a := range all {
		addresses[i] = a.Prefix.Addr()
	}
	return addresses, nil
}

// findSources returns the unicast addresses to ask from. A node that serves
// this host alone needs none: there the kernel chooses rightly, also after the
// host has moved to another network.
func findSources(c *config.Node, links netsetup.Links) ([]netip.Addr, error) {
	private := !slices.ContainsFunc(c.Listen.Addresses, func(a netip.Addr) bool { return !a.IsLoopback() })
	if private && len(c.Upstream.Sources) == 0 && len(c.Anycast.Addresses) == 0 {
		return nil, nil
	}
	return netsetup.Sources(links, c.Upstream.Sources, serviceAddresses(c), c.Upstream.IPv4, c.Upstream.IPv6)
}

// readHints returns the root servers of the file, or the built-in ones.
func readHints(file string) ([]anchor.Server, error) {
	if file == "" {
		return anchor.Roots(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %w", err)
	}
	defer f.Close()
	hints, err := anchor.ReadHints(f)
	if err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %s: %w", file, err)
	}
	return hints, nil
}

func serverOptions(c *config.Node, listen, sources []netip.Addr, log *zap.Logger) server.Options {
	// The node's own addresses may ask, or its checks of itself would fail.
	allow := slices.Clone(c.Access.Allow)
	for _, a := range slices.Concat(listen, serviceAddresses(c), sources) {
		if !a.IsUnspecified() {
			allow = append(allow, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return server.Options{Addresses: listen, Port: c.Listen.Port, Allow: allow, NSID: c.Node.ID, Log: log}
}

// walkerOptions lacks what only exists at run time.
func walkerOptions(c *config.Node, hints []anchor.Server, sources []netip.Addr) iterate.Options {
	minimize := map[string]iterate.Minimize{"off": iterate.Off, "relaxed": iterate.Relaxed, "strict": iterate.Strict}
	own := serviceAddresses(c)
	for _, a := range c.Listen.Addresses {
		if !a.IsUnspecified() && !a.IsLoopback() {
			own = append(own, a)
		}
	}
	var zones []iterate.Zone
	for _, z := range c.Recursion.Forward {
		zones = append(zones, iterate.Zone{Name: z.Zone, Servers: z.Servers, Recursive: true, First: z.First})
	}
	for _, z := range c.Recursion.Stub {
		zones = append(zones, iterate.Zone{Name: z.Zone, Servers: z.Servers})
	}
	return iterate.Options{
		Hints: hints, Zones: zones, Own: own, Deny: c.Upstream.Deny,
		IPv4:     c.Upstream.IPv4 && reachable(sources, netip.Addr.Is4),
		IPv6:     c.Upstream.IPv6 && reachable(sources, netip.Addr.Is6),
		Minimize: minimize[c.Recursion.QNAMEMinimization],
		MinTTL:   c.Cache.MinTTL, MaxTTL: c.Cache.MaxTTL, Stale: c.Cache.Stale,
	}
}

// reachable reports whether a family can be asked from sources, of which none
// at all means that the kernel chooses.
func reachable(sources []netip.Addr, family func(netip.Addr) bool) bool {
	return len(sources) == 0 || slices.ContainsFunc(sources, family)
}

// stuckLimit is how long a reader may take for one batch of packets, which
// takes it microseconds. 1 s, not configurable: clients ask another node then.
const stuckLimit = time.Second

// checks are the proofs that this node serves: a question to each service
// address by each transport, through the kernel and the real sockets; readers
// that come back; and the addresses being there, if setup holds any.
func checks(c *config.Node, srv *server.Server, setup *netsetup.Setup, sources []netip.Addr) []bgpctl.Check {
	all := []bgpctl.Check{{Name: "listener progress", Run: check.Progress(srv.Stuck, stuckLimit)}}
	if setup != nil {
		all = append(all, bgpctl.Check{Name: "addresses present", Run: check.Present(setup.Missing)})
	}
	load := func() check.Load {
		s := srv.Stats()
		return check.Load{Served: s.UDP.Replies, Dropped: s.KernelDrops}
	}
	for _, a := range probed(c, srv.Addrs()) {
		for _, network := range []string{"udp", "tcp"} {
			name := fmt.Sprintf("dns %s %s", a.Addr(), network)
			// A question may take as long as a round gives a check: a busy
			// host is slow, and slow is not sick.
			run := check.DNS(name, a, sourceFor(a.Addr(), sources), network, c.Node.ID, c.Health.Every/2)
			all = append(all, bgpctl.Check{Name: name, Run: check.Unloaded(run, load)})
		}
	}
	return all
}

// probed are the addresses that the checks ask: all that the node listens on,
// but instead of a wildcard, the anycast addresses of its family or, without
// any, its loopback address.
func probed(c *config.Node, bound []netip.AddrPort) []netip.AddrPort {
	var all []netip.AddrPort
	for _, b := range bound {
		if !b.Addr().IsUnspecified() {
			all = append(all, b)
			continue
		}
		n := len(all)
		for _, a := range serviceAddresses(c) {
			if a.Is4() == b.Addr().Is4() {
				all = append(all, netip.AddrPortFrom(a, b.Port()))
			}
		}
		if n == len(all) {
			loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if b.Addr().Is6() {
				loopback = netip.IPv6Loopback()
			}
			all = append(all, netip.AddrPortFrom(loopback, b.Port()))
		}
	}
	return all
}

// sourceFor is a unicast source of the family of a, so that a question to an
// anycast address comes from another one as clients' do. The zero address lets
// the kernel choose.
func sourceFor(a netip.Addr, sources []netip.Addr) netip.Addr {
	for _, s := range sources {
		if s.Is4() == a.Is4() && !a.IsLoopback() {
			return s
		}
	}
	return netip.Addr{}
}

func keeperOptions(c *config.Node, checks []bgpctl.Check, queries func() uint64, log *zap.Logger) bgpctl.KeeperOptions {
	return bgpctl.KeeperOptions{
		Checks: checks, Prefixes: c.BGP.Prefixes, Queries: queries, Log: log, Lease: c.BGP.Lease,
		Every: c.Health.Every, Rise: c.Health.Rise, Fall: c.Health.Fall,
	}
}
