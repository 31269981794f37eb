package netsetup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is the real Links. It holds nothing: each call opens a socket, so that
// it acts in the namespace of the calling thread.
type kernel struct{}

// Kernel returns the Links of this host.
func Kernel() Links { return kernel{} }

// answerTime bounds the wait for one answer of the kernel. Default 5 s: it
// answers in microseconds, or in a second where it walks a million routes.
const answerTime = 5 * time.Second

// maxDumps bounds how often a listing is asked for again because the tables
// changed meanwhile. Default 5.
const maxDumps = 5

// with calls do with a handle whose waits are bounded and whose listings the
// kernel filters itself, so that a full Internet table is not copied out
// (NETLINK_GET_STRICT_CHK, Linux 4.20; older kernels send everything).
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

// dump repeats list while the kernel says that its tables changed meanwhile.
func dump(list func() error) error {
	var err error
	for range maxDumps {
		if err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return err
}

// Interfaces returns the links.
func (kernel) Interfaces() ([]Link, error) {
	var all []Link
	err := with(func(h *netlink.Handle) error {
		return dump(func() error {
			list, err := h.LinkList()
			if err != nil {
				return err
			}
			all = nil
			for _, l := range list {
				a := l.Attrs()
				all = append(all, Link{
					Index: a.Index,
					Name:  a.Name,
					Up:    a.RawFlags&unix.IFF_UP != 0,
					Ours:  l.Type() == "dummy" && a.Alias == alias,
				})
			}
			return nil
		})
	})
	return all, err
}

// AddDummy makes a dummy link and then marks it.
func (kernel) AddDummy(name string) error {
	return with(func(h *netlink.Handle) error {
		link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}}
		err := h.LinkAdd(link)
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("%w: this kernel makes no dummy links: use lo, or load the module dummy", err)
		}
		if err != nil {
			return err
		}
		return h.LinkSetAlias(link, alias)
	})
}

// RemoveLink removes a link with all that is on it.
func (kernel) RemoveLink(index int) error {
	return with(func(h *netlink.Handle) error {
		return h.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}})
	})
}

// RaiseLink sets a link up.
func (kernel) RaiseLink(index int) error {
	return with(func(h *netlink.Handle) error {
		return h.LinkSetUp(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}})
	})
}

// Blackholes returns the destinations of our blackholes in the main table.
func (kernel) Blackholes() ([]netip.Prefix, error) {
	var all []netip.Prefix
	ours := &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: Protocol, Type: unix.RTN_BLACKHOLE}
	const by = netlink.RT_FILTER_TABLE | netlink.RT_FILTER_PROTOCOL | netlink.RT_FILTER_TYPE
	err := with(func(h *netlink.Handle) error {
		return dump(func() error {
			all = nil
			for _, v6 := range []bool{false, true} {
				routes, err := h.RouteListFiltered(family(v6), ours, by)
				if err != nil {
					return err
				}
				for _, r := range routes {
					all = append(all, prefixOf(r.Dst))
				}
			}
			return nil
		})
	})
	return all, err
}

// AddBlackhole adds our blackhole route for p.
func (kernel) AddBlackhole(p netip.Prefix) error {
	r := blackhole(p)
	r.Priority = blackholeMetric
	return with(func(h *netlink.Handle) error { return h.RouteAdd(r) })
}

// RemoveBlackhole removes our blackhole route for p, of whatever metric.
func (kernel) RemoveBlackhole(p netip.Prefix) error {
	return with(func(h *netlink.Handle) error { return h.RouteDel(blackhole(p)) })
}

func blackhole(p netip.Prefix) *netlink.Route {
	return &netlink.Route{
		Dst:      &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Table:    unix.RT_TABLE_MAIN,
		Type:     unix.RTN_BLACKHOLE,
		Protocol: Protocol,
	}
}

// Way asks the routing table for the way to a.root-servers.net, which is what a
// resolver asks first; documentation addresses are often filtered by routes of
// their own. Nothing is sent.
func (kernel) Way(v6 bool) (link int, source netip.Addr) {
	to := net.IPv4(198, 41, 0, 4)
	if v6 {
		to = net.ParseIP("2001:503:ba3e::2:30")
	}
	_ = with(func(h *netlink.Handle) error { // an error means that there is no way
		routes, err := h.RouteGet(to)
		if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_UNICAST {
			return err
		}
		link = routes[0].LinkIndex
		source, _ = netip.AddrFromSlice(routes[0].Src)
		source = source.Unmap()
		return nil
	})
	return link, source
}

func family(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func prefixOf(n *net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits)
}
