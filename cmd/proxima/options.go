package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
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
			own[i] = loopback(a)
		}
	}
	return own
}

// loopback is the loopback address of a's family.
func loopback(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
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

// stuckLimit is how long a reader may take for one batch of packets, which
// takes it microseconds. 1 s, not configurable: clients ask another node then.
const stuckLimit = time.Second

// questionLimit bounds one question of a check: four fifths of the half round
// that the keeper gives a check, so that it is the check that says what was
// late. No less: a busy host is slow, and slow is not sick.
func questionLimit(every time.Duration) time.Duration { return every / 2 * 4 / 5 }

// checks are the proofs that this node serves: a question to each service
// address by each transport, through the kernel and the real sockets; readers
// that come back; and the addresses being there, if setup holds any. Nearly all
// clients ask over UDP, and TCP alone may be kept from answering by whoever opens
// connections: that degrades.
func checks(c *config.Node, srv *server.Server, setup *netsetup.Setup, sources []netip.Addr) []bgpctl.Check {
	present, err := hostAddresses(netsetup.Kernel())
	ipv6 := err != nil || slices.Contains(present, netip.IPv6Loopback())
	targets := probed(c, srv.Addrs(), ipv6)
	all := check.Count{Sent: func() uint64 { s := srv.Stats(); return s.UDP.Replies + s.TCP.Replies }}
	all.Asked = uint64(len(slices.Concat(targets...)) * (check.Questions("udp") + check.Questions("tcp")))

	list := []bgpctl.Check{{Name: "listener progress", Run: check.Progress(srv.Stuck, stuckLimit), Excuse: check.Excuse(all, all)}}
	if setup != nil {
		list = append(list, bgpctl.Check{Name: "addresses present", Run: check.Present(setup.Missing), Excuse: check.Excuse(all, all)})
	}
	for i := range targets {
		for _, a := range targets[i] {
			for _, network := range []string{"udp", "tcp"} {
				class := bgpctl.HardLocal
				if network == "tcp" {
					class = bgpctl.SoftLocal
				}
				name := fmt.Sprintf("dns %s %s", a.Addr(), network)
				path := check.Count{
					Sent:  func() uint64 { return replies(srv, i, network) },
					Asked: uint64(len(targets[i]) * check.Questions(network)),
				}
				list = append(list, bgpctl.Check{
					Name: name, Class: class, Answers: true,
					Run:    check.DNS(name, a, sourceFor(a.Addr(), sources), network, c.Node.ID, questionLimit(c.Health.Every)),
					Excuse: check.Excuse(path, all),
				})
			}
		}
	}
	return list
}

// replies is how many have left the i-th address of srv by network.
func replies(srv *server.Server, i int, network string) uint64 {
	udp, tcp := srv.Replies(i)
	if network == "udp" {
		return udp
	}
	return tcp
}

// probed are the addresses that the checks ask for each one that the node has
// bound: itself, but instead of a wildcard the anycast addresses of its family
// or, without any, the loopback address. On a host without IPv6 there is
// nothing to ask for an IPv6 wildcard, unless the node listens nowhere else.
func probed(c *config.Node, bound []netip.AddrPort, ipv6 bool) [][]netip.AddrPort {
	all := make([][]netip.AddrPort, len(bound))
	for i, b := range bound {
		if !b.Addr().IsUnspecified() {
			all[i] = []netip.AddrPort{b}
			continue
		}
		for _, a := range serviceAddresses(c) {
			if a.Is4() == b.Addr().Is4() {
				all[i] = append(all[i], netip.AddrPortFrom(a, b.Port()))
			}
		}
		if len(all[i]) == 0 && (b.Addr().Is4() || ipv6 || len(bound) == 1) {
			all[i] = []netip.AddrPort{netip.AddrPortFrom(loopback(b.Addr()), b.Port())}
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
