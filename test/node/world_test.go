//go:build linux

package node

import (
	"errors"
	"net/netip"
	"testing"

	"proxima/test/netns"
)

// A world is a node with two uplinks to one router, a client and a small
// Internet behind it, and a tap on the router.
//
//	client ── router ══ node
//	            │   up0, up1
//	         internet
type world struct {
	*node
	client, router *netns.Host
	tap            *tap
}

// The unicast addresses of the node; on the numbered world's first uplink, or on
// lo where the uplinks are unnumbered.
var nodeAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:1::2")}

// Link-local addresses of a link's two ends, the same on each uplink.
var (
	routerLocal = netip.MustParseAddr("fe80::1")
	nodeLocal   = netip.MustParseAddr("fe80::2")
)

var defaults = prefixes("0.0.0.0/0", "::/0")

// mustWorld lays a world. An unnumbered uplink has no address but link-local
// ones; the node's unicast addresses are on its lo then, the router's too.
func mustWorld(t *testing.T, numbered bool) *world {
	t.Helper()
	net := mustNet(t)
	w := &world{}
	hosts := map[string]*netns.Host{}
	for _, name := range []string{"client", "router", "node", "internet"} {
		h, err := net.Host(name)
		// No filter by reverse path: what comes by one uplink may leave by the other.
		if err == nil {
			err = errors.Join(h.Sysctl("net/ipv4/conf/all/rp_filter", "0"), h.Sysctl("net/ipv4/conf/default/rp_filter", "0"))
		}
		if err != nil {
			t.Fatal(err)
		}
		hosts[name] = h
	}
	w.client, w.router, w.node = hosts["client"], hosts["router"], mustNode(t, hosts["node"])
	internet := hosts["internet"]
	err := errors.Join(
		w.router.Forward(),
		net.Link(w.router, "client", w.client, "wire"),
		net.Link(w.router, "internet", internet, "wire"),
		net.Link(w.router, "up0", w.Host, "up0"),
		net.Link(w.router, "up1", w.Host, "up1"),
		w.router.Addr("client", prefixes("192.0.2.129/30", "2001:db8:c::1/64")...),
		w.client.Addr("wire", prefixes("192.0.2.130/30", "2001:db8:c::2/64")...),
		w.router.Addr("internet", prefixes("192.0.2.133/30", "2001:db8:f::1/64")...),
		internet.Addr("wire", prefixes("192.0.2.134/30", "2001:db8:f::2/64")...),
		w.layUplinks(numbered),
	)
	for i, gateway := range prefixes("192.0.2.129/30", "2001:db8:c::1/64") {
		err = errors.Join(err, w.client.Route(defaults[i], gateway.Addr()))
	}
	for i, gateway := range prefixes("192.0.2.133/30", "2001:db8:f::1/64") {
		err = errors.Join(err, internet.Route(defaults[i], gateway.Addr()))
	}
	for i, gateway := range prefixes("192.0.2.134/30", "2001:db8:f::2/64") {
		err = errors.Join(err, w.router.Route(defaults[i], gateway.Addr()))
	}
	if err != nil {
		t.Fatal(err)
	}
	mustInternet(t, internet)
	w.tap = mustTap(t, w.router)
	return w
}

// layUplinks gives the node its addresses, and the way out over up0.
func (w *world) layUplinks(numbered bool) error {
	routerAddr := netip.MustParseAddr("192.0.2.1")
	var errs []error
	for _, link := range []string{"up0", "up1"} {
		errs = append(errs,
			w.router.Addr(link, netip.PrefixFrom(routerLocal, 64)), w.Addr(link, netip.PrefixFrom(nodeLocal, 64)))
	}
	if numbered {
		errs = append(errs,
			w.router.Addr("up0", prefixes("192.0.2.1/30", "2001:db8:1::1/64")...),
			w.Addr("up0", prefixes("192.0.2.2/30", "2001:db8:1::2/64")...),
			w.router.Addr("up1", prefixes("192.0.2.5/30", "2001:db8:2::1/64")...),
			w.Addr("up1", prefixes("192.0.2.6/30", "2001:db8:2::2/64")...))
	} else {
		errs = append(errs,
			w.router.Addr("lo", netip.PrefixFrom(routerAddr, 32)),
			w.Addr("lo", netip.PrefixFrom(nodeAddrs[0], 32), netip.PrefixFrom(nodeAddrs[1], 128)),
			w.router.RouteOver("up0", netip.PrefixFrom(nodeAddrs[0], 32), netip.Addr{}),
			w.router.RouteOver("up0", netip.PrefixFrom(nodeAddrs[1], 128), nodeLocal))
	}
	return errors.Join(append(errs,
		w.RouteOver("up0", defaults[0], routerAddr),
		w.RouteOver("up0", defaults[1], routerLocal))...)
}

// path makes the router send what is for the service over one of the uplinks.
func (w *world) path(t *testing.T, link string) {
	t.Helper()
	if err := errors.Join(
		w.router.RouteOver(link, covering[0], nodeAddrs[0]),
		w.router.RouteOver(link, covering[1], nodeLocal),
	); err != nil {
		t.Fatal(err)
	}
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
