package netsetup

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Protocol marks the routes and addresses that Proxima adds. The number is free
// among the routing protocols of linux/rtnetlink.h and of iproute2's rt_protos
// (the highest is EIGRP, 192) and those that FRR uses besides (191 to 198); of
// the address protocols the kernel uses 1 to 3.
const Protocol = 201

// alias marks the dummy link that Proxima makes.
const alias = "proxima"

// blackholeMetric puts our blackholes behind every other route to the same
// prefix, so that a segment whose own prefix is the announced one goes on
// working. DHCP clients and routing daemons stay far below it, and it is below
// 2^24, where FRR begins to read a distance into a metric.
const blackholeMetric = 65536

// Links are the few calls that netsetup makes to the kernel. The real ones act
// in the network namespace of the calling thread.
type Links interface {
	Interfaces() ([]Link, error)
	Addresses() ([]Address, error)
	Blackholes() ([]netip.Prefix, error) // those that bear our mark

	AddDummy(name string) error // bearing our mark
	RemoveLink(index int) error
	RaiseLink(index int) error
	AddAddress(a Address) error
	RemoveAddress(a Address) error
	AddBlackhole(p netip.Prefix) error // bearing our mark
	RemoveBlackhole(p netip.Prefix) error

	// Way returns the link by which the Internet is reached and the source
	// that the kernel would choose there; zeros if there is no way.
	Way(v6 bool) (link int, source netip.Addr)

	// Events signals that links, addresses or our routes may have changed, and
	// also when signals may have been lost. The channel is closed when the
	// subscription ends, at the latest soon after ctx does.
	Events(ctx context.Context) (<-chan struct{}, error)
}

// A Link is a network interface.
type Link struct {
	Index int
	Name  string
	Up    bool
	Ours  bool // a dummy that Proxima made
}

// An Address is an address on a link, with what decides about its use.
type Address struct {
	Link     int // index
	Prefix   netip.Prefix
	Scope    uint8  // RT_SCOPE_...
	Flags    uint32 // IFA_F_...
	Forever  bool   // valid without end
	Protocol uint8  // who added it; 0 = not said
}

// v6Flags are the flags that an anycast IPv6 address has: the kernel sets
// IFA_F_DEPRECATED where the preferred lifetime is 0.
const v6Flags = unix.IFA_F_DEPRECATED | unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE

// anycast returns prefix as Proxima wants it on link.
func anycast(link int, prefix netip.Prefix) Address {
	a := Address{Link: link, Prefix: prefix, Forever: true, Protocol: Protocol}
	if prefix.Addr().Is4() {
		a.Scope = unix.RT_SCOPE_HOST
	} else {
		a.Flags = v6Flags
	}
	return a
}

// inForm reports whether a is as anycast would make it.
func (a Address) inForm() bool {
	if a.Prefix.Addr().Is4() {
		return a.Forever && a.Scope == unix.RT_SCOPE_HOST
	}
	return a.Forever && a.Flags&v6Flags == v6Flags && a.usable()
}

// usable reports whether sockets can be bound to a: duplicate address detection
// is over and has found none.
func (a Address) usable() bool {
	return a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
}

// avoided reports whether the kernel avoids a as a source.
func (a Address) avoided() bool {
	if a.Prefix.Addr().Is4() {
		return a.Scope == unix.RT_SCOPE_HOST
	}
	return a.Flags&unix.IFA_F_DEPRECATED != 0
}

// String gives a as ip-address(8) would, but for what does not concern us.
func (a Address) String() string {
	words := []string{a.Prefix.String()}
	switch a.Scope {
	case unix.RT_SCOPE_UNIVERSE:
		words = append(words, "scope global")
	case unix.RT_SCOPE_LINK:
		words = append(words, "scope link")
	case unix.RT_SCOPE_HOST:
		words = append(words, "scope host")
	default:
		words = append(words, fmt.Sprintf("scope %d", a.Scope))
	}
	for _, f := range []struct {
		bit  uint32
		name string
	}{{unix.IFA_F_DEPRECATED, "deprecated"}, {unix.IFA_F_TENTATIVE, "tentative"}, {unix.IFA_F_DADFAILED, "dadfailed"}} {
		if a.Flags&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, " ")
}
