package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// check applies the rules between keys. Values that were faulty by themselves
// are zero here and match no rule.
func (n *Node) check(r *reader) {
	if n.Node.ID == "" && !r.has("node.id") {
		r.fault("node.id", "this host's name cannot serve as the default", token.allowed)
	}
	if len(n.Access.Allow) == 0 {
		r.fault("access.allow", "is empty", `at least one prefix; [0.0.0.0/0, "::/0"] is everybody`)
	}
	if n.Cache.MinTTL > n.Cache.MaxTTL {
		r.fault("cache.min_ttl", "is above cache.max_ttl", "at most "+brief(n.Cache.MaxTTL))
	}
	n.checkListen(r)
	n.checkAnycast(r)
	n.checkUpstream(r)
	n.checkZones(r)
	n.checkPrefixes(r)
	n.checkHealth(r)
	n.checkBGP(r)
	n.checkAdmin(r)
	n.checkPaths(r)
}

func (n *Node) checkListen(r *reader) {
	if len(n.Listen.Addresses) == 0 {
		r.fault("listen.addresses", "is empty", "at least one address")
	}
	for i, a := range n.Listen.Addresses {
		if a.IsValid() && a != wildcard(a) && slices.Contains(n.Listen.Addresses, wildcard(a)) {
			r.fault(fmt.Sprintf("listen.addresses[%d]", i), fmt.Sprintf("%s is covered by %s already", a, wildcard(a)), "")
		}
	}
}

// wildcard is the address that listens on all of a's family.
func wildcard(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// service reports whether a is one of the anycast addresses.
func (n *Node) service(a netip.Addr) bool {
	return slices.ContainsFunc(n.Anycast.Addresses, func(p netip.Prefix) bool { return p.IsValid() && p.Addr() == a })
}

func (n *Node) checkAnycast(r *reader) {
	for i, p := range n.Anycast.Addresses {
		a := p.Addr()
		if p.IsValid() && !slices.Contains(n.Listen.Addresses, a) && !slices.Contains(n.Listen.Addresses, wildcard(a)) {
			r.fault(fmt.Sprintf("anycast.addresses[%d]", i), "nothing listens on "+a.String(),
				fmt.Sprintf("an address of listen.addresses, or %s among those", wildcard(a)))
		}
	}
}

func (n *Node) checkUpstream(r *reader) {
	if !n.Upstream.IPv4 && !n.Upstream.IPv6 {
		r.fault("upstream.ipv6", "is false and so is upstream.ipv4", "one of them true")
	}
	var seen4, seen6 bool
	for i, a := range n.Upstream.Sources {
		key := fmt.Sprintf("upstream.sources[%d]", i)
		if n.service(a) {
			r.fault(key, fmt.Sprintf("%s is an anycast address: the reply to it would reach another node", a),
				"unicast addresses of this host")
		}
		if a.IsLoopback() && len(n.Anycast.Addresses) > 0 {
			r.fault(key, fmt.Sprintf("%s is a loopback address: no reply from beyond this host would reach it", a),
				"unicast addresses of this host")
		}
		if a.Is4() && seen4 || a.Is6() && seen6 {
			r.fault(key, fmt.Sprintf("%s is the second source of its family", a), "one IPv4 and one IPv6 address")
		}
		seen4, seen6 = seen4 || a.Is4(), seen6 || a.Is6()
	}
}

func (n *Node) checkZones(r *reader) {
	places := make(map[string]string)
	check := func(section string, zones []Zone) {
		for i, z := range zones {
			key := fmt.Sprintf("recursion.%s[%d]", section, i)
			switch first, twice := places[z.Zone]; {
			case z.Zone == "" && !r.has(key+".zone"):
				r.fault(key+".zone", "is missing", zoneName.allowed)
			case twice && z.Zone != "":
				r.fault(key+".zone", fmt.Sprintf("%s is the zone of %s already", z.Zone, first), "")
			default:
				places[z.Zone] = key
			}
			if len(z.Servers) == 0 && !r.has(key+".servers[0]") {
				r.fault(key+".servers", "is missing or empty", "at least one server")
			}
			for j, s := range z.Servers {
				if n.self(s) {
					r.fault(fmt.Sprintf("%s.servers[%d]", key, j),
						fmt.Sprintf("%s is an address of this node, which would ask itself", s.Addr()), "")
				}
			}
		}
	}
	check("forward", n.Recursion.Forward)
	check("stub", n.Recursion.Stub)
	n.checkLocalRoot(r, places["."])
}

// checkLocalRoot wants a copy of the root to be of use, and proven; place is
// where the root is sent elsewhere, if it is.
func (n *Node) checkLocalRoot(r *reader, place string) {
	l := n.Recursion.LocalRoot
	if l.File == "" && len(l.Servers) == 0 {
		return
	}
	if !n.DNSSEC.Validate {
		r.fault("recursion.local_root", "cannot be verified while dnssec.validate is false", "")
	}
	if place != "" {
		r.fault("recursion.local_root", "is never asked, because "+place+" is for the root", "")
	}
	for i, s := range l.Servers {
		if n.self(s) {
			r.fault(fmt.Sprintf("recursion.local_root.servers[%d]", i), fmt.Sprintf("%s is an address of this node", s.Addr()), "")
		}
	}
}

// self reports whether a server is this node. Only on loopback addresses may
// another server live beside it, on another port.
func (n *Node) self(s netip.AddrPort) bool {
	listens := slices.Contains(n.Listen.Addresses, s.Addr())
	return n.service(s.Addr()) || listens && (s.Port() == n.Listen.Port || !s.Addr().IsLoopback())
}

// checkPrefixes wants somebody at home in each prefix: whoever is announced
// attracts the queries to all of it.
func (n *Node) checkPrefixes(r *reader) {
	served := slices.Clone(n.Listen.Addresses)
	for _, p := range n.Anycast.Addresses {
		served = append(served, p.Addr())
	}
	if slices.Contains(served, netip.Addr{}) {
		return // a faulty address may belong into any prefix
	}
	for i, p := range n.BGP.Prefixes {
		if p.IsValid() && !slices.ContainsFunc(served, p.Contains) {
			r.fault(fmt.Sprintf("bgp.prefixes[%d]", i), fmt.Sprintf("nobody would answer in %s", p),
				"a prefix with one of anycast.addresses or listen.addresses in it")
		}
	}
}

func (n *Node) checkBGP(r *reader) {
	if n.BGP.Socket == "" {
		return
	}
	if len(n.BGP.Prefixes) == 0 {
		r.fault("bgp.prefixes", "is empty although bgp.socket is set", "at least one prefix")
	}
	// A failed round renews nothing, so the lease must outlast those that are forgiven.
	forgiven := time.Duration(n.Health.Fall)*n.Health.Every + n.Health.Every/2
	if n.BGP.Lease < forgiven {
		r.fault("bgp.lease", brief(n.BGP.Lease)+" ends before health.fall failures are seen",
			brief(forgiven)+" at least with this health.every and health.fall")
	}
	for i, p := range n.Anycast.Addresses {
		inside := func(route netip.Prefix) bool { return route.Contains(p.Addr()) }
		if p.IsValid() && !slices.ContainsFunc(n.BGP.Prefixes, inside) {
			r.fault(fmt.Sprintf("anycast.addresses[%d]", i),
				fmt.Sprintf("%s is in none of bgp.prefixes, so no query would reach it", p.Addr()), "")
		}
	}
}

func (n *Node) checkAdmin(r *reader) {
	a := n.Admin.Listen.Addr()
	switch {
	case n.service(a) || a.IsValid() && a.IsUnspecified() && len(n.Anycast.Addresses) > 0:
		r.fault("admin.listen", fmt.Sprintf("%s would open it on an anycast address", n.Admin.Listen),
			"a loopback or unicast address of this host")
	case a.IsValid() && n.Admin.Listen.Port() == n.Listen.Port && n.listens(a):
		r.fault("admin.listen", fmt.Sprintf("%s is where DNS listens", n.Admin.Listen), "another address or port")
	}
}

// listens reports whether DNS listens on a, of which a wildcard is every
// address: the admin server's is open to both families.
func (n *Node) listens(a netip.Addr) bool {
	return a.IsUnspecified() || slices.Contains(n.Listen.Addresses, a) || slices.Contains(n.Listen.Addresses, wildcard(a))
}

// checkPaths wants a path for each purpose: what listens at one or is kept in
// one would be in the way of the other.
func (n *Node) checkPaths(r *reader) {
	first := make(map[string]string)
	for _, p := range []struct{ key, path string }{
		{"bgp.socket", n.BGP.Socket},
		{"control.socket", n.Control.Socket},
		{"recursion.root_hints", n.Recursion.RootHints},
		{"recursion.local_root.file", n.Recursion.LocalRoot.File},
		{"dnssec.anchor_state", n.DNSSEC.AnchorState},
		{"cache.snapshot", n.Cache.Snapshot},
	} {
		key, other := p.key, first[p.path]
		switch {
		case p.path == "":
		case other == "":
			first[p.path] = key
		default:
			if !r.has(key) { // a default is nobody's mistake
				key, other = other, key
			}
			r.fault(key, fmt.Sprintf("%s is the path of %s, too", show(p.path), other), "")
		}
	}
}
