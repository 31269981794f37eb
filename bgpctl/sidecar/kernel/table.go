package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// answerTime bounds the wait for one answer of the kernel. It answers in
// microseconds, or in a second where it walks a million routes.
const answerTime = time.Second

// loopback is the index of lo in every network namespace.
const loopback = 1

// ifaRTPriority is IFA_RT_PRIORITY of linux/if_addr.h: the metric of the prefix.
const ifaRTPriority = 9

// with calls do with a handle whose waits are bounded and whose listings the
// kernel filters itself (NETLINK_GET_STRICT_CHK).
func with(do func(h *netlink.Handle) error) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.SetSocketTimeout(answerTime); err != nil {
		return err
	}
	_ = h.SetStrictCheck(true) // the library filters too
	return do(h)
}

// list returns what of ours is there: every blackhole with our protocol, and
// the markers of our prefixes.
func (s *Speaker) list() (entries, error) {
	have := make(entries)
	err := with(func(h *netlink.Handle) error {
		ours := &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: Protocol}
		routes, err := h.RouteListFiltered(netlink.FAMILY_V4, ours, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			return fmt.Errorf("listing routes: %w", err)
		}
		for _, r := range routes {
			a, ok := netip.AddrFromSlice(r.Dst.IP.To4())
			if !ok {
				continue
			}
			bits, _ := r.Dst.Mask.Size()
			p := netip.PrefixFrom(a, bits)
			have[p] = append(have[p], r.Priority)
		}
		return s.listMarkers(h, have)
	})
	for p := range have {
		slices.Sort(have[p])
	}
	return have, err
}

// listMarkers adds the IPv6 markers. An address that somebody else has put in
// the place of a marker is an error: it must not be given a lifetime.
func (s *Speaker) listMarkers(h *netlink.Handle, have entries) error {
	lo := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: loopback}}
	addresses, err := h.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing addresses: %w", err)
	}
	there := make(map[netip.Addr]bool)
	for _, a := range addresses {
		ip, _ := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		there[ip] = true
		if a.Flags&unix.IFA_F_PERMANENT != 0 && s.isMarker(ip) {
			return fmt.Errorf("%v on lo is not ours, but would have to be a marker", ip)
		}
	}
	for _, p := range s.all {
		if p.Addr().Is4() {
			continue
		}
		for _, m := range []int{usualMetric, degradedMetric} {
			if there[marker6(p, m).Addr()] {
				have[p] = append(have[p], m)
			}
		}
	}
	return nil
}

func (s *Speaker) isMarker(ip netip.Addr) bool {
	return ip == marker4 || slices.ContainsFunc(s.all, func(p netip.Prefix) bool {
		return p.Addr().Is6() && (ip == marker6(p, usualMetric).Addr() || ip == marker6(p, degradedMetric).Addr())
	})
}

// putMarker gives an address on lo its lifetime, and makes it if it is absent.
// It is no source: IPv4 has scope host, IPv6 is deprecated. An IPv6 one brings
// no route with it, which would outlive it.
func putMarker(p netip.Prefix, metric int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	req.AddData(addressMessage(p))
	addAddress(req, p)
	life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: uint32(lifetime / time.Second)}}
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	if p.Addr().Is6() {
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, number(unix.IFA_F_NOPREFIXROUTE|unix.IFA_F_NODAD)))
		req.AddData(nl.NewRtAttr(ifaRTPriority, number(uint32(metric))))
	}
	return execute(req, "marker", p)
}

// removeMarker removes an address from lo; absent is as well.
func removeMarker(p netip.Prefix) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	req.AddData(addressMessage(p))
	addAddress(req, p)
	if err := execute(req, "marker", p); !errors.Is(err, unix.EADDRNOTAVAIL) {
		return err
	}
	return nil
}

func execute(req *nl.NetlinkRequest, what string, p netip.Prefix) error {
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("%s %v: %w", what, p, err)
	}
	return nil
}

func addressMessage(p netip.Prefix) *nl.IfAddrmsg {
	family, scope := uint8(unix.AF_INET), uint8(unix.RT_SCOPE_HOST)
	if p.Addr().Is6() {
		family, scope = unix.AF_INET6, unix.RT_SCOPE_UNIVERSE
	}
	return &nl.IfAddrmsg{IfAddrmsg: unix.IfAddrmsg{
		Family: family, Prefixlen: uint8(p.Bits()), Scope: scope, Index: loopback,
	}}
}

func addAddress(req *nl.NetlinkRequest, p netip.Prefix) {
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, p.Addr().AsSlice()))
}

// number is a number as netlink has it.
func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// putRoute adds a blackhole. One of the same metric, whosever it is, makes it
// fail with EEXIST.
func putRoute(p netip.Prefix, metric int) error {
	r := blackhole(p, metric)
	r.Src = marker4.AsSlice()
	return with(func(h *netlink.Handle) error { return h.RouteAdd(r) })
}

// removeRoute removes a blackhole of ours; absent is as well.
func removeRoute(p netip.Prefix, metric int) error {
	err := with(func(h *netlink.Handle) error { return h.RouteDel(blackhole(p, metric)) })
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func blackhole(p netip.Prefix, metric int) *netlink.Route {
	return &netlink.Route{
		Dst:      &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Table:    unix.RT_TABLE_MAIN,
		Type:     unix.RTN_BLACKHOLE,
		Protocol: Protocol,
		Priority: metric,
	}
}
