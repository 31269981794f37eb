// Package checks puts together what a node is judged by.
//
// All lists the checks of a node in the order in which they are told. First come
// the proofs, which ask the node about itself, and may withdraw it: a question to
// each service address, through the kernel and the real sockets; readers that
// come back; addresses that are there. Then what tells how well it serves: TCP,
// and whether names can be resolved that are not in its cache. They degrade it at
// most, because others may have the same fault.
package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"proxima/bgpctl"
	"proxima/bgpctl/check"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/server"
)

// Parts are what is judged.
type Parts struct {
	Config  *config.Node
	Server  *server.Server
	Setup   *netsetup.Setup // nil = no addresses are held
	Sources []netip.Addr    // unicast, to ask from; none = the kernel chooses
	IPv6    bool            // this host has ::1
	Walker  *iterate.Walker
	Hints   []anchor.Server // the servers of the root
}

// StuckLimit is how long a reader may take for one batch of packets, which
// takes it microseconds. 1 s, not configurable: clients ask another node then.
const StuckLimit = time.Second

// All returns the checks of a node.
func All(p Parts) []bgpctl.Check {
	targets := probed(p.Config, p.Server.Addrs(), p.IPv6)
	all := check.Count{Sent: func() uint64 { s := p.Server.Stats(); return s.UDP.Replies + s.TCP.Replies }}
	all.Asked = uint64(len(slices.Concat(targets...)) * (check.Questions("udp") + check.Questions("tcp")))

	list := []bgpctl.Check{{Name: "listener progress", Run: check.Progress(p.Server.Stuck, StuckLimit), Excuse: check.Excuse(all, all)}}
	if p.Setup != nil {
		list = append(list, bgpctl.Check{Name: "addresses present", Run: check.Present(p.Setup.Missing), Excuse: check.Excuse(all, all)})
	}
	for i := range targets {
		for _, a := range targets[i] {
			for _, t := range transports {
				path := check.Count{
					Sent:  func() uint64 { return replies(p.Server, i, t.network) },
					Asked: uint64(len(targets[i]) * check.Questions(t.network)),
				}
				name := fmt.Sprintf("dns %s %s", a.Addr(), t.network)
				limit := questionLimit(p.Config.Health.Every)
				list = append(list, bgpctl.Check{
					Name: name, Class: t.class, Answers: true, Excuse: check.Excuse(path, all),
					Run: check.DNS(name, a, sourceFor(a.Addr(), p.Sources), t.network, p.Config.Node.ID, limit),
				})
			}
		}
	}
	return append(list, p.resolving()...)
}

// transports are what the service addresses are asked by, and what it means if
// all questions of a round fail. Nearly all clients ask over UDP; whoever opens
// connections and never asks may keep TCP from answering, and would follow to
// the next node.
var transports = []struct {
	network string
	class   bgpctl.Class
}{{"udp", bgpctl.HardLocal}, {"tcp", bgpctl.SoftLocal}}

// questionLimit bounds one question of a check: four fifths of the half round
// that the keeper gives a check, so that it is the check that says what was
// late. No less: a busy host is slow, and slow is not sick.
func questionLimit(every time.Duration) time.Duration { return every / 2 * 4 / 5 }

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
		for _, p := range c.Anycast.Addresses {
			if p.Addr().Is4() == b.Addr().Is4() {
				all[i] = append(all[i], netip.AddrPortFrom(p.Addr(), b.Port()))
			}
		}
		if len(all[i]) == 0 && (b.Addr().Is4() || ipv6 || len(bound) == 1) {
			all[i] = []netip.AddrPort{netip.AddrPortFrom(Loopback(b.Addr()), b.Port())}
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

// Loopback is the loopback address of a's family.
func Loopback(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
