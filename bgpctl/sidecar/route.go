package sidecar

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Route is a prefix as it is announced to every peer.
type Route struct {
	Prefix           netip.Prefix
	NextHop          netip.Addr // zero = the session's local address
	Communities      []uint32   // RFC 1997, ascending
	LargeCommunities []LargeCommunity
	MED              uint32 // 0 = not sent
	Prepend          int    // how often the own AS number stands in the path beyond the usual once
	Low              bool   // with what Degraded adds; Equal sees that, and not this
}

// A LargeCommunity is one of RFC 8092.
type LargeCommunity struct {
	ASN, Data1, Data2 uint32
}

// Equal reports whether r and o say the same.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.NextHop == o.NextHop && r.MED == o.MED && r.Prepend == o.Prepend &&
		slices.Equal(r.Communities, o.Communities) && slices.Equal(r.LargeCommunities, o.LargeCommunities)
}

// A Group is a set of prefixes with the attributes they are announced with.
type Group struct {
	Name             string
	Prefixes         []netip.Prefix
	NextHop          NextHop
	Communities      []uint32
	LargeCommunities []LargeCommunity
	MED              uint32
	Prepend          int
	Degraded         Degraded // on top of these, while the node is degraded, held or drains
	Internal         bool     // may be longer than /24 and /48
}

// NextHop is the next hop of each family; zero = the session's local address.
type NextHop struct {
	IPv4, IPv6 netip.Addr
}

// Degraded is added to a group's attributes to send its traffic elsewhere.
type Degraded struct {
	Communities []uint32 // as a rule 65535:0, graceful shutdown, RFC 8326
	Prepend     int
}

// The longest prefixes that networks accept from each other: a longer one is
// filtered on its way, so announcing it outside is a mistake.
const (
	maxBits4 = 24
	maxBits6 = 48
)

// blackhole is the community 65535:666, which asks routers to drop the traffic
// to a prefix, RFC 7999. It is never sent.
const blackhole uint32 = 65535<<16 | 666

// maxPrepend bounds Prepend, and that of Degraded: more than a few have no
// effect, and a path of hundreds is dropped by routers.
const maxPrepend = 10

// check names what is wrong with the group.
func (g Group) check() error {
	for _, p := range g.Prefixes {
		limit := maxBits4
		if p.Addr().Is6() {
			limit = maxBits6
		}
		switch {
		case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
			return fmt.Errorf("%v is not a prefix with empty host bits", p)
		case p.Bits() == 0:
			return fmt.Errorf("%v is the default route", p)
		case p.Bits() > limit && !g.Internal:
			return fmt.Errorf("%v is longer than /%d, which other networks drop; set internal if it stays inside", p, limit)
		}
	}
	switch {
	case slices.Contains(g.Communities, blackhole) || slices.Contains(g.Degraded.Communities, blackhole):
		return errors.New("community 65535:666 would blackhole the service")
	case min(g.Prepend, g.Degraded.Prepend) < 0 || max(g.Prepend, g.Degraded.Prepend) > maxPrepend:
		return fmt.Errorf("prepend %d, and %d when degraded, are not from 0 to %d each", g.Prepend, g.Degraded.Prepend, maxPrepend)
	case g.NextHop.IPv4.IsValid() && !g.NextHop.IPv4.Is4():
		return fmt.Errorf("next hop %v is not IPv4", g.NextHop.IPv4)
	case g.NextHop.IPv6.IsValid() && !g.NextHop.IPv6.Is6():
		return fmt.Errorf("next hop %v is not IPv6", g.NextHop.IPv6)
	}
	return nil
}

// route returns p, one of the group's prefixes, as it is announced; low is with
// the degraded attributes.
func (g Group) route(p netip.Prefix, low bool) Route {
	r := Route{
		Prefix:           p,
		NextHop:          g.NextHop.IPv4,
		Communities:      slices.Clone(g.Communities),
		LargeCommunities: g.LargeCommunities,
		MED:              g.MED,
		Prepend:          g.Prepend,
	}
	if p.Addr().Is6() {
		r.NextHop = g.NextHop.IPv6
	}
	if low {
		r.Low = true
		r.Communities = append(r.Communities, g.Degraded.Communities...)
		r.Prepend += g.Degraded.Prepend
	}
	slices.Sort(r.Communities)
	r.Communities = slices.Compact(r.Communities)
	return r
}

// byPrefix returns which group has each prefix.
func byPrefix(groups []Group) (map[netip.Prefix]Group, error) {
	if len(groups) == 0 {
		return nil, errors.New("no Groups, so nothing could be announced")
	}
	owners := make(map[netip.Prefix]Group)
	for _, g := range groups {
		if err := g.check(); err != nil {
			return nil, fmt.Errorf("group %s: %w", g.Name, err)
		}
		for _, p := range g.Prefixes {
			if other, ok := owners[p]; ok {
				return nil, fmt.Errorf("group %s: %v is also in group %s", g.Name, p, other.Name)
			}
			owners[p] = g
		}
	}
	return owners, nil
}
