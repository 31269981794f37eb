package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"proxima/bgpctl"
	"proxima/cmd/internal/checks"
	"proxima/cmd/internal/systemd"
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
	text, err := config.Read(file)
	if err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %w", err)
	}
	hints, err := anchor.ReadHints(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %s: %w", file, err)
	}
	return hints, nil
}

func serverOptions(c *config.Node, listen, sources []netip.Addr, log *zap.Logger) server.Options {
	own := ownAddresses(c, listen, sources)
	allow := slices.Clone(c.Access.Allow)
	for _, a := range own { // or the checks would fail
		allow = append(allow, netip.PrefixFrom(a, a.BitLen()))
	}
	return server.Options{Addresses: listen, Port: c.Listen.Port, Allow: allow, Own: own, NSID: c.Node.ID, Log: log}
}

// ownAddresses are those from which the checks may come to ask: the sources
// and, where there is none, the addresses that are asked, or their like.
func ownAddresses(c *config.Node, listen, sources []netip.Addr) []netip.Addr {
	own := slices.Concat(listen, serviceAddresses(c), sources)
	for i, a := range own {
		if a.IsUnspecified() || a.IsLoopback() {
			own[i] = checks.Loopback(a)
		}
	}
	return own
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
		forward := walkerZone(z)
		forward.Recursive, forward.First = true, z.First
		zones = append(zones, forward)
	}
	for _, z := range c.Recursion.Stub {
		stub := walkerZone(z)
		stub.Full = !z.Minimize
		zones = append(zones, stub)
	}
	return iterate.Options{
		Hints: hints, Zones: zones, Own: own, Deny: c.Upstream.Deny,
		IPv4:     c.Upstream.IPv4 && reachable(sources, netip.Addr.Is4),
		IPv6:     c.Upstream.IPv6 && reachable(sources, netip.Addr.Is6),
		Minimize: minimize[c.Recursion.QNAMEMinimization],
		MinTTL:   c.Cache.MinTTL, MaxTTL: c.Cache.MaxTTL, Stale: c.Cache.Stale,
	}
}

// warmQuestions are what the resolver keeps warm.
func warmQuestions(c *config.Node) []dns.Question {
	var all []dns.Question
	for _, w := range c.Cache.KeepWarm {
		types := []uint16{w.Type}
		if w.Type == 0 {
			types = []uint16{dns.TypeA, dns.TypeAAAA}
		}
		for _, typ := range types {
			all = append(all, dns.Question{Name: w.Name, Qtype: typ, Qclass: dns.ClassINET})
		}
	}
	return all
}

// walkerZone has what forward and stub zones have in common.
func walkerZone(z config.Zone) iterate.Zone {
	return iterate.Zone{Name: z.Zone, Servers: z.Servers, Lower: !z.MixedCase, Stream: z.TCP, Unvalidated: !z.Validate}
}

// reachable reports whether a family can be asked from sources, of which none
// at all means that the kernel chooses.
func reachable(sources []netip.Addr, family func(netip.Addr) bool) bool {
	return len(sources) == 0 || slices.ContainsFunc(sources, family)
}

func keeperOptions(c *config.Node, all []bgpctl.Check, queries func() uint64, log *zap.Logger) bgpctl.KeeperOptions {
	return bgpctl.KeeperOptions{
		Checks: all, Prefixes: c.BGP.Prefixes, Queries: queries, Log: log, Lease: c.BGP.Lease,
		Every: c.Health.Every, Rise: c.Health.Rise, Fall: c.Health.Fall, Alive: systemd.Alive(log),
	}
}
