//go:build linux

package main

import (
	"fmt"
	"net/netip"

	"proxima/test/netns"
	"proxima/test/router"
)

// The addresses that every client asks, and the prefixes that carry them.
var (
	service  = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:53::1")}
	prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}
)

// nodeASN is the origin of the anycast prefixes, the same at every site.
const nodeASN = 64511

// A site is one place of the world: a node, the transit router beside it and
// a client whose nearest node it is.
type site struct {
	Name   string // of the node and of the place
	ID     string // node.id, and the names of hosts and files
	Region string // where the client sits
	ASN    uint32 // of the transit router

	node, router, client *netns.Host
	uplink               wire // router to node
	access               wire // router to client
	inet                 wire // router to the Internet
}

// A wire is the numbering of a cable: the near end is always the router's.
type wire struct {
	near, far [2]netip.Prefix // IPv4, IPv6
}

// A world is the lab's network, laid out but for the programs that run in it.
type world struct {
	net      *netns.Net
	sites    []*site
	mesh     map[[2]int]wire // between routers i < j
	internet *netns.Host
}

// newWire numbers a cable: four IPv4 addresses from base, a /64 of IPv6.
func newWire(base string, v6 string) wire {
	var w wire
	b, six := netip.MustParseAddr(base), netip.MustParsePrefix(v6)
	near4, far4 := b.Next(), b.Next().Next()
	near6, far6 := six.Addr().Next(), six.Addr().Next().Next()
	w.near = [2]netip.Prefix{netip.PrefixFrom(near4, 30), netip.PrefixFrom(near6, 64)}
	w.far = [2]netip.Prefix{netip.PrefixFrom(far4, 30), netip.PrefixFrom(far6, 64)}
	return w
}

// newWorld lays out the hosts, cables, addresses and static routes. What BGP
// is there to say is left to BGP.
func newWorld() (*world, error) {
	w := &world{net: netns.New(), mesh: map[[2]int]wire{}}
	w.sites = []*site{
		{Name: "Tokyo", ID: "tokyo", Region: "Japan", ASN: 64501},
		{Name: "London", ID: "london", Region: "Germany", ASN: 64502},
		{Name: "New York", ID: "newyork", Region: "Brazil", ASN: 64503},
	}
	if err := w.build(); err != nil {
		w.net.Close()
		return nil, err
	}
	return w, nil
}

func (w *world) build() (err error) {
	if w.internet, err = w.net.Host("internet"); err != nil {
		return err
	}
	if err := w.internet.Forward(); err != nil {
		return err
	}
	for i, s := range w.sites {
		if err := w.buildSite(i, s); err != nil {
			return err
		}
	}
	for i := range w.sites {
		for j := i + 1; j < len(w.sites); j++ {
			if err := w.joinRouters(i, j); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) buildSite(i int, s *site) (err error) {
	for name, host := range map[string]**netns.Host{s.ID: &s.node, "r-" + s.ID: &s.router, "c-" + s.ID: &s.client} {
		if *host, err = w.net.Host(name); err != nil {
			return err
		}
	}
	if err := s.router.Forward(); err != nil {
		return err
	}
	s.uplink = newWire(fmt.Sprintf("203.0.113.%d", 4*i), fmt.Sprintf("2001:db8:ffff:%d::/64", i))
	s.access = newWire(fmt.Sprintf("192.0.2.%d", 4*i), fmt.Sprintf("2001:db8:c:%d::/64", i))
	s.inet = newWire(fmt.Sprintf("203.0.113.%d", 64+4*i), fmt.Sprintf("2001:db8:fffd:%d::/64", i))
	if err := w.cable(s.router, "node", s.node, "up", s.uplink); err != nil {
		return err
	}
	if err := w.cable(s.router, "client", s.client, "up", s.access); err != nil {
		return err
	}
	if err := w.cable(s.router, "inet", w.internet, s.ID, s.inet); err != nil {
		return err
	}
	for family, any := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		// Hosts know their router; the router sends what it does not know to
		// the Internet; the Internet knows where hosts live.
		routes := []struct {
			on  *netns.Host
			dst netip.Prefix
			via netip.Prefix
		}{
			{s.node, any, s.uplink.near[family]},
			{s.client, any, s.access.near[family]},
			{s.router, any, s.inet.far[family]},
			{w.internet, s.uplink.near[family].Masked(), s.inet.near[family]},
			{w.internet, s.access.near[family].Masked(), s.inet.near[family]},
		}
		for _, r := range routes {
			if err := r.on.Route(r.dst, r.via.Addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) joinRouters(i, j int) error {
	k := len(w.mesh)
	m := newWire(fmt.Sprintf("203.0.113.%d", 96+4*k), fmt.Sprintf("2001:db8:fffe:%d::/64", k))
	w.mesh[[2]int{i, j}] = m
	return w.cable(w.sites[i].router, w.sites[j].ID, w.sites[j].router, w.sites[i].ID, m)
}

// cable joins two hosts and gives both ends their addresses.
func (w *world) cable(a *netns.Host, endA string, b *netns.Host, endB string, num wire) error {
	if err := w.net.Link(a, endA, b, endB); err != nil {
		return err
	}
	if err := a.Addr(endA, num.near[:]...); err != nil {
		return err
	}
	return b.Addr(endB, num.far[:]...)
}

// plan returns the plan of site i's transit router: whom it speaks with and
// what it says of itself.
func (w *world) plan(i int) router.Plan {
	s := w.sites[i]
	p := router.Plan{
		Name: "r-" + s.ID, ASN: s.ASN, ID: s.inet.near[0].Addr(),
		Originate: []netip.Prefix{s.access.near[0].Masked(), s.access.near[1].Masked()},
		Anycast:   prefixes,
		Neighbors: []router.Neighbor{{Name: s.ID, Link: "node", ASN: nodeASN, Local: addrs(s.uplink.near), Remote: addrs(s.uplink.far)}},
	}
	for j, other := range w.sites {
		if j == i {
			continue
		}
		m, near := w.mesh[[2]int{min(i, j), max(i, j)}], i < j
		n := router.Neighbor{Name: other.ID, Link: other.ID, ASN: other.ASN, Local: addrs(m.far), Remote: addrs(m.near), Transit: true}
		if near {
			n.Local, n.Remote = n.Remote, n.Local
		}
		p.Neighbors = append(p.Neighbors, n)
	}
	return p
}

// via names the host behind a next hop on site i's router.
func (w *world) via(i int, gateway netip.Addr) string {
	for _, n := range w.plan(i).Neighbors {
		if n.Remote[0] == gateway || n.Remote[1] == gateway {
			for _, s := range w.sites {
				if s.ID == n.Name {
					return s.Name
				}
			}
		}
	}
	return gateway.String()
}

func addrs(p [2]netip.Prefix) [2]netip.Addr {
	return [2]netip.Addr{p[0].Addr(), p[1].Addr()}
}
