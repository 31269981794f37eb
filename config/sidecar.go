package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Sidecar is proxima-bgp's file. Its fields carry the names of the file's keys.
type Sidecar struct {
	Socket    string
	Speaker   string // gobgp, kernel, bird, exec or dry-run
	GoBGP     GoBGP
	Exec      Exec
	Kernel    Kernel
	BIRD      BIRD
	Groups    []Group
	Warmup    Warmup
	Degrade   Degrade
	HoldDown  HoldDown
	Damping   Damping
	Guard     Guard
	Drain     Drain
	StateFile string // where what outlives the process is kept; empty = nowhere
	Control   Control
	Admin     Admin
	Log       Log
}

// GoBGP is the section gobgp.
type GoBGP struct {
	ASN      uint32
	RouterID netip.Addr // IPv4
	HoldTime time.Duration
	Peers    []Peer
}

// A Peer is one router.
type Peer struct {
	Address      netip.Addr
	Port         uint16
	ASN          uint32
	PasswordFile string // holds the MD5 key of RFC 2385; empty = none
	TTLSecurity  bool   // RFC 5082
	BFD          bool
}

// A Group is a set of prefixes that are announced and withdrawn together.
type Group struct {
	Name             string
	Prefixes         []netip.Prefix
	NextHop          NextHop
	Communities      []Community
	LargeCommunities []LargeCommunity
	MED              uint32
	Prepend          int
	Degraded         Degraded
	Internal         bool // the prefixes stay inside the operator's network
}

// NextHop is the section next_hop of a group. A zero address means the
// session's local one.
type NextHop struct {
	IPv4, IPv6 netip.Addr
}

// Degraded is what a group's routes carry besides while the node is degraded
// or drains.
type Degraded struct {
	Communities []Community
	Prepend     int
}

// A Community is one of RFC 1997: the AS number in the upper 16 bits.
type Community uint32

// A LargeCommunity is one of RFC 8092.
type LargeCommunity struct {
	ASN, Data1, Data2 uint32
}

// Warmup is what must happen before the first announcement.
type Warmup struct {
	Min    time.Duration
	Rise   int           // good checks in a row
	Jitter time.Duration // at most so much longer, by chance
}

// Degrade is how long degraded attributes stay.
type Degrade struct {
	Dwell time.Duration // at least
	Rise  int           // good checks in a row
}

// HoldDown is how long a prefix stays withdrawn after a failed check.
type HoldDown struct {
	Base, Max time.Duration
	Jitter    float64 // part of it by which it is longer or shorter, by chance
}

// Damping bounds how often announcements change, as routers' would, RFC 2439.
type Damping struct {
	HalfLife time.Duration
	Limit    float64 // of the figure of merit; 0 = no damping
}

// Guard is when a failed check may withdraw.
type Guard struct {
	Source       string           // none or peers: who says what other nodes announce
	Node         string           // this node's name among its peers; empty = the host's
	Listen       netip.AddrPort   // unicast, where the others ask
	Peers        []netip.AddrPort // where the others listen
	KeyFile      string           // holds the key that all nodes share
	MinOthers    int              // that must announce
	MaxWithdrawn float64          // share of all nodes
	StaleAfter   time.Duration    // what a peer said counts for so long
	OnUnknown    string           // hold or withdraw, while no peer speaks
}

// Drain is how long a leaving node waits for its traffic to move.
type Drain struct {
	Wait  time.Duration // at most
	Quiet time.Duration // enough, if nobody asked for so long
}

const (
	maxPeers       = 16 // routers of one node; more belong behind a route reflector
	maxGroups      = 16
	maxGuardPeers  = 256 // nodes: each asks all of them once a second
	maxCommunities = 64  // of one route: all attributes must fit a 4,096 octet UPDATE with room to spare
	maxPrepend     = 10  // more has no effect but to invite hijacks
)

// The longest prefixes that other networks accept: longer ones never leave a
// neighbour's router, so that announcing them is a mistake unless they are
// meant to stay inside.
const (
	maxBits4 = 24
	maxBits6 = 48
)

// gracefulShutdown is the well-known community 65535:0 of RFC 8326.
const gracefulShutdown Community = 65535 << 16

// blackhole is the well-known community 65535:666 of RFC 7999, which asks
// routers to drop the traffic to a prefix.
const blackhole Community = 65535<<16 | 666

// ParseSidecar reads proxima-bgp's file. The error, if any, is of type
// Problems; file is only named in it.
func ParseSidecar(file string, text []byte) (*Sidecar, error) {
	s := &Sidecar{
		Socket:   "/run/proxima/bgp.sock",
		Speaker:  "gobgp",
		GoBGP:    GoBGP{HoldTime: 9 * time.Second},
		Warmup:   Warmup{Min: 5 * time.Second, Rise: 10, Jitter: 5 * time.Second},
		Degrade:  Degrade{Dwell: 60 * time.Second, Rise: 30},
		HoldDown: HoldDown{Base: 60 * time.Second, Max: time.Hour, Jitter: 0.2},
		Damping:  Damping{HalfLife: 15 * time.Minute, Limit: 2500},
		Guard: Guard{
			Source: "none", MinOthers: 1, MaxWithdrawn: 0.3, StaleAfter: 30 * time.Second, OnUnknown: "hold",
		},
		Drain:     Drain{Wait: 120 * time.Second, Quiet: 20 * time.Second},
		StateFile: "/var/lib/proxima/bgp.state",
		Control:   Control{Socket: "/run/proxima/bgp-control.sock"},
		Admin:     Admin{Listen: netip.MustParseAddrPort("127.0.0.1:9154")},
		Log:       Log{Level: "info"},
	}
	r := &reader{file: file, lines: make(map[string]int)}
	if r.read(text, s.fields()) {
		s.check(r)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sidecar) fields() []field {
	group := Group{Degraded: Degraded{Communities: []Community{gracefulShutdown}, Prepend: 2}}
	return []field{
		one("socket", &s.Socket, socketPath),
		one("speaker", &s.Speaker, speaker),
		section("gobgp",
			one("asn", &s.GoBGP.ASN, asn),
			one("router_id", &s.GoBGP.RouterID, ipv4),
			one("hold_time", &s.GoBGP.HoldTime, holdTime),
			sections("peers", &s.GoBGP.Peers, maxPeers, Peer{Port: 179, TTLSecurity: true}, (*Peer).fields)),
		section("exec", s.Exec.fields()...),
		section("bird", one("asn", &s.BIRD.ASN, asn), one("file", &s.BIRD.File, filePath), one("socket", &s.BIRD.Socket, socketPath)),
		section("kernel", one("daemon", &s.Kernel.Daemon, choice("bird", "frr"))),
		sections("groups", &s.Groups, maxGroups, group, (*Group).fields),
		section("warmup",
			one("min", &s.Warmup.Min, duration(0, time.Hour)),
			one("rise", &s.Warmup.Rise, number[int](1, 1000)),
			one("jitter", &s.Warmup.Jitter, duration(0, time.Hour))),
		section("degrade",
			one("dwell", &s.Degrade.Dwell, duration(0, 24*time.Hour)),
			one("rise", &s.Degrade.Rise, number[int](1, 1000))),
		section("hold_down",
			one("base", &s.HoldDown.Base, duration(0, 24*time.Hour)),
			one("max", &s.HoldDown.Max, duration(0, 24*time.Hour)),
			one("jitter", &s.HoldDown.Jitter, fraction)),
		section("damping",
			one("half_life", &s.Damping.HalfLife, duration(time.Second, 24*time.Hour)),
			one("limit", &s.Damping.Limit, merit)),
		section("guard",
			one("source", &s.Guard.Source, choice("none", "peers")),
			one("node", &s.Guard.Node, orEmpty(token)),
			one("listen", &s.Guard.Listen, addressPort),
			list("peers", &s.Guard.Peers, maxGuardPeers, addressPort),
			one("key_file", &s.Guard.KeyFile, orEmpty(filePath)),
			one("min_others", &s.Guard.MinOthers, number[int](1, maxGuardPeers)),
			one("max_withdrawn", &s.Guard.MaxWithdrawn, fraction),
			one("stale_after", &s.Guard.StaleAfter, duration(2*time.Second, time.Hour)),
			one("on_unknown", &s.Guard.OnUnknown, choice("hold", "withdraw"))),
		section("drain",
			one("wait", &s.Drain.Wait, duration(0, time.Hour)),
			one("quiet", &s.Drain.Quiet, duration(0, time.Hour))),
		one("state_file", &s.StateFile, orEmpty(filePath)),
		section("control", one("socket", &s.Control.Socket, orEmpty(socketPath))),
		section("admin", one("listen", &s.Admin.Listen, orEmpty(addressPort))),
		section("log", one("level", &s.Log.Level, logLevel)),
	}
}

func (p *Peer) fields() []field {
	return []field{
		one("address", &p.Address, unicast),
		one("port", &p.Port, number[uint16](1, 65535)),
		one("asn", &p.ASN, asn),
		one("password_file", &p.PasswordFile, orEmpty(filePath)),
		one("ttl_security", &p.TTLSecurity, boolean),
		one("bfd", &p.BFD, boolean),
	}
}

func (g *Group) fields() []field {
	return []field{
		one("name", &g.Name, token),
		list("prefixes", &g.Prefixes, maxPrefixes, announced),
		section("next_hop",
			one("ipv4", &g.NextHop.IPv4, ipv4),
			one("ipv6", &g.NextHop.IPv6, ipv6)),
		list("communities", &g.Communities, maxCommunities, community),
		list("large_communities", &g.LargeCommunities, maxCommunities, largeCommunity),
		one("med", &g.MED, number[uint32](0, 1<<32-1)),
		one("prepend", &g.Prepend, number[int](0, maxPrepend)),
		section("degraded",
			list("communities", &g.Degraded.Communities, maxCommunities, community),
			one("prepend", &g.Degraded.Prepend, number[int](0, maxPrepend))),
		one("internal", &g.Internal, boolean),
	}
}

var speaker = choice("gobgp", "kernel", "bird", "exec", "dry-run")

// asn leaves out what RFC 7607, RFC 6793 and RFC 7300 reserve.
var asn = kind[uint32]{"1 to 4294967294, but not 23456 and 65535", "!!int", func(text string) (uint32, string) {
	n, ok := decimal(text, 32)
	if !ok || n == 0 || n == 23456 || n == 65535 || n == 1<<32-1 {
		return 0, refused
	}
	return uint32(n), ""
}}

// minHoldTime is the least that RFC 4271 section 4.2 permits beside 0.
const minHoldTime = 3 * time.Second

// holdTime also has an upper bound: a router goes on sending queries to a
// frozen node for as long.
var holdTime = kind[time.Duration]{"3s to 240s, whole seconds", "", func(text string) (time.Duration, string) {
	d, wrong := duration(0, 240*time.Second).parse(text)
	switch {
	case wrong != "":
		return 0, wrong
	case d == 0:
		return 0, "means that a router never notices a dead node"
	case d < minHoldTime || d%time.Second != 0:
		return 0, refused
	}
	return d, ""
}}

var community = kind[Community]{`two numbers to 65535, like "64511:100"`, "", func(text string) (Community, string) {
	parts, ok := numbers(text, 2, 16)
	if !ok {
		return 0, refused
	}
	c := Community(parts[0]<<16 | parts[1])
	if c == blackhole {
		return 0, "is refused: it asks routers to drop the traffic to the prefix (BLACKHOLE, RFC 7999)"
	}
	return c, ""
}}

var largeCommunity = kind[LargeCommunity]{`three numbers to 4294967295, like "64511:1:2"`, "",
	func(text string) (LargeCommunity, string) {
		parts, ok := numbers(text, 3, 32)
		if !ok {
			return LargeCommunity{}, refused
		}
		return LargeCommunity{parts[0], parts[1], parts[2]}, ""
	}}

// numbers splits text at colons into n numbers of so many bits.
func numbers(text string, n, bits int) ([]uint32, bool) {
	words := strings.Split(text, ":")
	if len(words) != n {
		return nil, false
	}
	values := make([]uint32, n)
	for i, w := range words {
		v, ok := decimal(w, bits)
		if !ok {
			return nil, false
		}
		values[i] = uint32(v)
	}
	return values, true
}

// merit also refuses what would leave no room for a single announcement.
var merit = kind[float64]{"0, or 1500 to 20000", "", func(text string) (float64, string) {
	n, ok := decimal(text, 32)
	if !ok || n != 0 && (n < 1500 || n > 20000) {
		return 0, refused
	}
	return float64(n), ""
}}

// fraction reads a part of a whole.
var fraction = kind[float64]{"0 to 1, like 0.2", "", func(text string) (float64, string) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, refused
	}
	return n, ""
}}

// check applies the rules between keys. Values that were faulty by themselves
// are zero here and match no rule.
func (s *Sidecar) check(r *reader) {
	switch s.Speaker {
	case "gobgp":
		s.GoBGP.check(r)
	case "exec":
		s.Exec.check(r)
	case "bird":
		require(r, "bird.asn", s.BIRD.ASN, asn)
	case "kernel":
		require(r, "kernel.daemon", s.Kernel.Daemon, choice("bird", "frr"))
	}
	if len(s.Groups) == 0 {
		r.fault("groups", "is missing or empty", "at least one group")
	}
	groups := make(map[string]int)
	owners := make(map[netip.Prefix]int)
	for i := range s.Groups {
		g, key := &s.Groups[i], fmt.Sprintf("groups[%d]", i)
		g.check(r, key)
		if first, twice := groups[g.Name]; twice && g.Name != "" {
			r.fault(key+".name", fmt.Sprintf("%s is the name of groups[%d] already", g.Name, first), "")
		}
		groups[g.Name] = i
		for j, p := range g.Prefixes {
			if owner, taken := owners[p]; taken && owner != i && p.IsValid() {
				r.fault(fmt.Sprintf("%s.prefixes[%d]", key, j), fmt.Sprintf("%s is in groups[%d] already", p, owner), "")
			}
			owners[p] = i
		}
	}
	if s.HoldDown.Base > s.HoldDown.Max {
		r.fault("hold_down.base", "is above hold_down.max", "at most "+brief(s.HoldDown.Max))
	}
	s.Guard.check(r)
	if s.Control.Socket == s.Socket && s.Socket != "" {
		r.fault("control.socket", "is the path of socket, too", "another path")
	}
	if s.Drain.Quiet > s.Drain.Wait {
		r.fault("drain.quiet", "is above drain.wait", "at most "+brief(s.Drain.Wait))
	}
}

func (g *GoBGP) check(r *reader) {
	require(r, "gobgp.asn", g.ASN, asn)
	require(r, "gobgp.router_id", g.RouterID, ipv4)
	if len(g.Peers) == 0 {
		r.fault("gobgp.peers", "is missing or empty", "at least one peer")
	}
	peers := make(map[netip.Addr]int)
	for i, p := range g.Peers {
		key := fmt.Sprintf("gobgp.peers[%d]", i)
		require(r, key+".address", p.Address, unicast)
		require(r, key+".asn", p.ASN, asn)
		if first, twice := peers[p.Address]; twice && p.Address.IsValid() {
			r.fault(key+".address", fmt.Sprintf("%s is the address of gobgp.peers[%d] already", p.Address, first), "")
		}
		peers[p.Address] = i
	}
}

func (g *Guard) check(r *reader) {
	if g.Source != "peers" {
		for key, set := range map[string]bool{"listen": g.Listen.IsValid(), "peers": len(g.Peers) > 0, "key_file": g.KeyFile != ""} {
			if set {
				r.fault("guard."+key, "is set, but guard.source is none", "guard.source: peers")
			}
		}
		return
	}
	require(r, "guard.listen", g.Listen, addressPort)
	require(r, "guard.key_file", g.KeyFile, filePath)
	if len(g.Peers) == 0 {
		r.fault("guard.peers", "is missing or empty", "at least one peer")
	}
	for i, p := range g.Peers {
		key := fmt.Sprintf("guard.peers[%d]", i)
		switch first := slices.Index(g.Peers, p); {
		case !p.IsValid():
		case first < i:
			r.fault(key, fmt.Sprintf("%v is guard.peers[%d] already", p, first), "")
		case p == g.Listen:
			r.fault(key, "is this node itself", "")
		}
	}
}

func (g *Group) check(r *reader, key string) {
	require(r, key+".name", g.Name, token)
	if len(g.Prefixes) == 0 {
		r.fault(key+".prefixes", "is missing or empty", "at least one prefix")
	}
	for i, p := range g.Prefixes {
		if !p.IsValid() || g.Internal {
			continue
		}
		if longest := longest(p); p.Bits() > longest {
			r.fault(fmt.Sprintf("%s.prefixes[%d]", key, i),
				fmt.Sprintf("%s is longer than /%d, which other networks drop", p, longest),
				fmt.Sprintf("/%d at most, or internal: true on the group", longest))
		}
	}
}

func longest(p netip.Prefix) int {
	if p.Addr().Is4() {
		return maxBits4
	}
	return maxBits6
}

// require notes a problem if the file leaves the key out.
func require[T comparable](r *reader, key string, value T, k kind[T]) {
	var zero T
	if value == zero && !r.has(key) {
		r.fault(key, "is missing", k.allowed)
	}
}
