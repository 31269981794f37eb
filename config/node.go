package config

import (
	"net/netip"
	"os"
	"time"
)

// A Node is proxima's own file. Its fields carry the names of the file's keys.
type Node struct {
	Node      Identity
	Listen    Listen
	Anycast   Anycast
	Upstream  Upstream
	Recursion Recursion
	DNSSEC    DNSSEC
	Cache     Cache
	Access    Access
	Health    Health
	BGP       BGP
	Admin     Admin
	Control   Control
	Log       Log
}

// Identity is the section node.
type Identity struct {
	ID string // default: the host name
}

// Listen is the section listen.
type Listen struct {
	Addresses []netip.Addr
	Port      uint16
}

// Anycast is the section anycast.
type Anycast struct {
	Addresses []netip.Prefix // each of full length
	Interface string
}

// Upstream is the section upstream.
type Upstream struct {
	Sources    []netip.Addr // at most one of each family
	IPv4, IPv6 bool
	Deny       []netip.Prefix
}

// Recursion is the section recursion.
type Recursion struct {
	RootHints         string // path, empty = built in
	LocalRoot         LocalRoot
	QNAMEMinimization string // off, relaxed or strict
	Forward           []Zone
	Stub              []Zone
}

// LocalRoot is the section local_root of recursion. If both are empty, no copy
// of the root is kept.
type LocalRoot struct {
	File    string           // path
	Servers []netip.AddrPort // that let others copy the root
}

// A Zone has servers of its own, which are asked instead of those that the
// Internet names.
type Zone struct {
	Zone    string // in lower case, with the final dot
	Servers []netip.AddrPort
	First   bool // of forward only: walk if these servers fail

	Minimize  bool // of stub only: ask them as qname_minimization says, and not for whole names
	MixedCase bool // vary the letter case of the names that they are asked
	TCP       bool // ask them over TCP alone
	Validate  bool // validate the zone and what is below, as elsewhere
}

// Access is the section access.
type Access struct {
	Allow []netip.Prefix // never empty
}

// BGP is the section bgp.
type BGP struct {
	Socket   string // empty = nothing is announced
	Prefixes []netip.Prefix
	Lease    time.Duration
	Drain    time.Duration
}

// Admin is the section admin of either file.
type Admin struct {
	Listen netip.AddrPort // the zero value = off
}

// Control is the section control.
type Control struct {
	Socket string // empty = off
}

// Log is the section log of either file.
type Log struct {
	Level string // debug, info, warn or error
}

// How many entries a list may have. Each is well above what one node uses and
// keeps a search through the list short.
const (
	maxAddresses = 256  // listen and anycast addresses: each costs two sockets a core
	maxZones     = 1024 // forward and stub zones
	maxServers   = 13   // servers of one zone, as many as the root has
	maxPrefixes  = 64   // announced prefixes: all must fit one lease message
	maxAllowed   = 4096 // access.allow and upstream.deny: compared one by one
)

// ParseNode reads proxima's file. An empty text means the defaults. The error,
// if any, is of type Problems; file is only named in it.
func ParseNode(file string, text []byte) (*Node, error) {
	n := defaultNode()
	r := &reader{file: file, lines: make(map[string]int)}
	if r.read(text, n.fields()) {
		n.finish()
		n.check(r)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return n, nil
}

func defaultNode() *Node {
	return &Node{
		Listen: Listen{
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()},
			Port:      5300,
		},
		Anycast: Anycast{Interface: "lo"},
		Upstream: Upstream{IPv4: true, IPv6: true, Deny: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("0.0.0.0/8"),
		}},
		Recursion: Recursion{QNAMEMinimization: "relaxed"},
		DNSSEC:    DNSSEC{Validate: true, Aggressive: true, NSEC3Iterations: 50, SHA1: "insecure"},
		Cache:     Cache{Memory: 256 << 20, Stale: 24 * time.Hour, MaxTTL: 24 * time.Hour},
		Access: Access{Allow: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		}},
		Health:  defaultHealth(),
		BGP:     BGP{Lease: 3 * time.Second, Drain: 150 * time.Second},
		Admin:   Admin{Listen: netip.MustParseAddrPort("127.0.0.1:9153")},
		Control: Control{Socket: "/run/proxima/control.sock"},
		Log:     Log{Level: "info"},
	}
}

// fields is the table of the file's keys. Bounds without a comment only keep
// out slips of the hand.
func (n *Node) fields() []field {
	return []field{
		section("node", one("id", &n.Node.ID, token)),
		section("listen",
			list("addresses", &n.Listen.Addresses, maxAddresses, bindable),
			one("port", &n.Listen.Port, number[uint16](1, 65535))),
		section("anycast",
			list("addresses", &n.Anycast.Addresses, maxAddresses, serviceAddress),
			one("interface", &n.Anycast.Interface, linkName)),
		section("upstream",
			list("sources", &n.Upstream.Sources, maxAddresses, unicast),
			one("ipv4", &n.Upstream.IPv4, boolean),
			one("ipv6", &n.Upstream.IPv6, boolean),
			list("deny", &n.Upstream.Deny, maxAllowed, prefix)),
		n.Recursion.field(),
		n.DNSSEC.field(),
		n.Cache.field(),
		section("access", list("allow", &n.Access.Allow, maxAllowed, prefix)),
		n.Health.field(),
		section("bgp",
			one("socket", &n.BGP.Socket, orEmpty(socketPath)),
			list("prefixes", &n.BGP.Prefixes, maxPrefixes, announced),
			// Shorter leases run out when the host is merely busy; a dead node
			// attracts queries for as long as a longer one lasts.
			one("lease", &n.BGP.Lease, duration(time.Second, 10*time.Second)),
			one("drain", &n.BGP.Drain, duration(0, time.Hour))),
		section("admin", one("listen", &n.Admin.Listen, orEmpty(addressPort))),
		section("control", one("socket", &n.Control.Socket, orEmpty(socketPath))),
		section("log", one("level", &n.Log.Level, logLevel)),
	}
}

func (c *Recursion) field() field {
	zone := func(z *Zone) []field {
		return []field{
			one("zone", &z.Zone, zoneName),
			list("servers", &z.Servers, maxServers, nameserver),
			one("mixed_case", &z.MixedCase, boolean),
			one("tcp", &z.TCP, boolean),
			one("validate", &z.Validate, boolean),
		}
	}
	forward := func(z *Zone) []field { return append(zone(z), one("first", &z.First, boolean)) }
	stub := func(z *Zone) []field { return append(zone(z), one("minimize", &z.Minimize, boolean)) }
	start := Zone{Minimize: true, MixedCase: true, Validate: true}
	return section("recursion",
		one("root_hints", &c.RootHints, orEmpty(filePath)),
		section("local_root",
			one("file", &c.LocalRoot.File, orEmpty(filePath)),
			list("servers", &c.LocalRoot.Servers, maxServers, nameserver)),
		one("qname_minimization", &c.QNAMEMinimization, choice("off", "relaxed", "strict")),
		sections("forward", &c.Forward, maxZones, start, forward),
		sections("stub", &c.Stub, maxZones, start, stub))
}

// finish fills in the defaults that this host decides.
func (n *Node) finish() {
	if n.Node.ID != "" {
		return
	}
	if name, err := os.Hostname(); err == nil {
		n.Node.ID, _ = token.parse(name) // a name unfit for DNS is reported by check
	}
}
