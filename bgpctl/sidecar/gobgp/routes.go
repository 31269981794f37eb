package gobgp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"proxima/bgpctl/sidecar"
)

// Set makes routes the only ones announced. It compares them with the table,
// sends what differs, and returns an error if then the table or what a session
// is sent does not agree with routes.
func (s *Speaker) Set(_ context.Context, routes []sidecar.Route) error {
	want := make(map[netip.Prefix]sidecar.Route, len(routes))
	for _, r := range routes {
		if !s.prepend {
			r.Prepend = 0
		}
		want[r.Prefix] = r
	}
	have, err := s.table()
	if err != nil {
		return fmt.Errorf("gobgp: %w", err)
	}
	for prefix := range have {
		if _, ok := want[prefix]; !ok {
			if err := s.withdraw(prefix); err != nil {
				return fmt.Errorf("gobgp: withdraw %v: %w", prefix, err)
			}
		}
	}
	for prefix, r := range want {
		if h, ok := have[prefix]; !ok || !h.Equal(r) {
			if err := s.announce(r); err != nil {
				return fmt.Errorf("gobgp: announce %v: %w", prefix, err)
			}
		}
	}
	if err := errors.Join(s.checkTable(want), s.checkSessions(want)); err != nil {
		return fmt.Errorf("gobgp: read back: %w", err)
	}
	return nil
}

// announce adds r, or changes its attributes in one update.
func (s *Speaker) announce(r sidecar.Route) error {
	p, err := path(r, s.o.ASN)
	if err != nil {
		return err
	}
	_, err = s.server.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{p}})
	return err
}

func (s *Speaker) withdraw(prefix netip.Prefix) error {
	nlri, err := bgp.NewIPAddrPrefix(prefix)
	if err != nil {
		return err
	}
	return s.server.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{{
		Family: familyOf(prefix.Addr()), Nlri: nlri, Withdrawal: true,
	}}})
}

// table returns the routes in the speaker's table.
func (s *Speaker) table() (map[netip.Prefix]sidecar.Route, error) {
	have := make(map[netip.Prefix]sidecar.Route)
	for _, f := range families {
		err := s.server.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: f},
			func(nlri bgp.NLRI, paths []*apiutil.Path) {
				for _, p := range paths {
					if r, ok := route(nlri, p.Attrs); ok {
						have[r.Prefix] = r
					}
				}
			})
		if err != nil {
			return nil, err
		}
	}
	return have, nil
}

// checkTable compares the table with want.
func (s *Speaker) checkTable(want map[netip.Prefix]sidecar.Route) error {
	have, err := s.table()
	if err != nil {
		return err
	}
	if !maps.EqualFunc(have, want, sidecar.Route.Equal) {
		return fmt.Errorf("the table has %v, not %v", have, want)
	}
	return nil
}

// checkSessions compares what each session that is up is sent with want, as
// far as the session takes the family.
func (s *Speaker) checkSessions(want map[netip.Prefix]sidecar.Route) error {
	s.mu.Lock()
	open := make(map[netip.Addr][]bgp.Family)
	for address, p := range s.peers {
		if p.up() {
			open[address] = p.families
		}
	}
	s.mu.Unlock()
	var errs []error
	for address, theirs := range open {
		for _, f := range s.o.families(address) {
			if slices.Contains(theirs, f) {
				errs = append(errs, s.checkSession(address, f, want))
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Speaker) checkSession(address netip.Addr, f bgp.Family, want map[netip.Prefix]sidecar.Route) error {
	sent := make(map[netip.Prefix]bool)
	err := s.server.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_OUT, Name: address.String(), Family: f},
		func(nlri bgp.NLRI, paths []*apiutil.Path) {
			if p, ok := nlri.(*bgp.IPAddrPrefix); ok && len(paths) > 0 {
				sent[p.Prefix] = true
			}
		})
	if err != nil {
		return fmt.Errorf("session with %v: %w", address, err)
	}
	for prefix := range want {
		if familyOf(prefix.Addr()) == f && !sent[prefix] {
			return fmt.Errorf("session with %v: %v is not sent", address, prefix)
		}
		delete(sent, prefix)
	}
	for prefix := range sent {
		return fmt.Errorf("session with %v: %v is sent", address, prefix)
	}
	return nil
}

// path returns r as the library wants it. asn is our own.
func path(r sidecar.Route, asn uint32) (*apiutil.Path, error) {
	family := familyOf(r.Prefix.Addr())
	nlri, err := bgp.NewIPAddrPrefix(r.Prefix)
	if err != nil {
		return nil, err
	}
	hop := r.NextHop
	if !hop.IsValid() { // the library puts the session's local address here
		hop = netip.IPv4Unspecified()
		if family == bgp.RF_IPv6_UC {
			hop = netip.IPv6Unspecified()
		}
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)}
	if family == bgp.RF_IPv4_UC {
		a, err := bgp.NewPathAttributeNextHop(hop)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, a)
	} else {
		a, err := bgp.NewPathAttributeMpReachNLRI(family, []bgp.PathNLRI{{NLRI: nlri}}, hop)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, a)
	}
	if r.Prepend > 0 {
		sequence := bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, slices.Repeat([]uint32{asn}, r.Prepend))
		attrs = append(attrs, bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{sequence}))
	}
	if r.MED > 0 {
		attrs = append(attrs, bgp.NewPathAttributeMultiExitDisc(r.MED))
	}
	if len(r.Communities) > 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(r.Communities))
	}
	if len(r.LargeCommunities) > 0 {
		large := make([]*bgp.LargeCommunity, 0, len(r.LargeCommunities))
		for _, c := range r.LargeCommunities {
			large = append(large, &bgp.LargeCommunity{ASN: c.ASN, LocalData1: c.Data1, LocalData2: c.Data2})
		}
		attrs = append(attrs, bgp.NewPathAttributeLargeCommunities(large))
	}
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs}, nil
}

// route is the inverse of path.
func route(nlri bgp.NLRI, attrs []bgp.PathAttributeInterface) (sidecar.Route, bool) {
	n, ok := nlri.(*bgp.IPAddrPrefix)
	if !ok {
		return sidecar.Route{}, false
	}
	r := sidecar.Route{Prefix: n.Prefix}
	for _, a := range attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeNextHop:
			r.NextHop = a.Value
		case *bgp.PathAttributeMpReachNLRI:
			r.NextHop = a.Nexthop
		case *bgp.PathAttributeAsPath:
			for _, p := range a.Value {
				r.Prepend += len(p.GetAS())
			}
		case *bgp.PathAttributeMultiExitDisc:
			r.MED = a.Value
		case *bgp.PathAttributeCommunities:
			r.Communities = a.Value
		case *bgp.PathAttributeLargeCommunities:
			for _, c := range a.Values {
				r.LargeCommunities = append(r.LargeCommunities, sidecar.LargeCommunity{ASN: c.ASN, Data1: c.LocalData1, Data2: c.LocalData2})
			}
		}
	}
	if r.NextHop.IsUnspecified() {
		r.NextHop = netip.Addr{}
	}
	return r, true
}
