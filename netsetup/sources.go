package netsetup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Sources returns the unicast addresses from which authoritative servers are
// asked, of the families that v4 and v6 allow.
//
// If want is not empty, it returns those, provided that each is on this host
// and none is anycast. Otherwise it finds one for each family: the kernel's own
// choice for the way to the Internet if that is fit, else the fittest of that
// link, else of another. A family without any is left out. If no family has one,
// that is an error where there are anycast addresses, since a socket that is not
// bound could use those; else loopback addresses are returned.
func Sources(l Links, want, anycast []netip.Addr, v4, v6 bool) ([]netip.Addr, error) {
	addresses, err := l.Addresses()
	if err != nil {
		return nil, failed("listing addresses", err)
	}
	if len(want) > 0 {
		return wanted(addresses, want, anycast, v4, v6)
	}
	links, err := l.Interfaces()
	if err != nil {
		return nil, failed("listing interfaces", err)
	}
	up := make(map[int]bool)
	for _, link := range links {
		up[link.Index] = link.Up
	}
	var fit, loopback []Address
	for _, a := range addresses {
		switch addr := a.Prefix.Addr(); {
		case !up[a.Link], addr.Is4() && !v4, addr.Is6() && !v6, slices.Contains(anycast, addr):
		case a.fit():
			fit = append(fit, a)
		case addr.IsLoopback():
			loopback = append(loopback, a)
		}
	}
	if len(fit) == 0 && len(anycast) > 0 {
		return nil, errors.New("netsetup: upstream.sources: this host has no unicast address to ask from: " +
			"add one (on lo will do, with scope global), or name one")
	}
	if len(fit) == 0 {
		fit = loopback
	}
	found := appendBest(nil, l, fit, false)
	return appendBest(found, l, fit, true), nil
}

// wanted checks the addresses that the operator names.
func wanted(addresses []Address, want, anycast []netip.Addr, v4, v6 bool) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, w := range want {
		if slices.Contains(anycast, w) {
			return nil, fmt.Errorf("netsetup: upstream.sources: %s is an anycast address: "+
				"the answer to what is asked from it may reach another node", w)
		}
		i := slices.IndexFunc(addresses, func(a Address) bool { return a.Prefix.Addr() == w })
		switch {
		case i < 0:
			return nil, fmt.Errorf("netsetup: upstream.sources: %s is not on this host", w)
		case addresses[i].Protocol == Protocol:
			return nil, fmt.Errorf("netsetup: upstream.sources: %s was added by Proxima as an anycast address", w)
		case !addresses[i].usable():
			return nil, fmt.Errorf("netsetup: upstream.sources: %s is not usable: %s", w, addresses[i])
		case w.IsLinkLocalUnicast():
			return nil, fmt.Errorf("netsetup: upstream.sources: %s is link-local", w)
		case w.Is4() && v4, w.Is6() && v6:
			found = append(found, w)
		}
	}
	return found, nil
}

// fit reports whether a may be chosen as a unicast source.
func (a Address) fit() bool {
	addr := a.Prefix.Addr()
	return a.usable() && a.Protocol != Protocol && a.Scope < unix.RT_SCOPE_LINK &&
		a.Flags&unix.IFA_F_DEPRECATED == 0 && !addr.IsLoopback() && !addr.IsLinkLocalUnicast()
}

// appendBest appends the fittest address of the family to found, if there is any.
func appendBest(found []netip.Addr, l Links, addresses []Address, v6 bool) []netip.Addr {
	way, choice := l.Way(v6)
	best, most := netip.Addr{}, -1
	for _, a := range addresses {
		if a.Prefix.Addr().Is6() != v6 {
			continue
		}
		if f := a.fitness(way, choice); f > most {
			best, most = a.Prefix.Addr(), f
		}
	}
	if most < 0 {
		return found
	}
	return append(found, best)
}

// fitness ranks a, given the kernel's way and choice: an address that lasts
// before one for privacy (RFC 8981), which changes daily under a socket bound to
// it; then a global one before a private one (RFC 4193) of another link.
func (a Address) fitness(way int, choice netip.Addr) int {
	f := 0
	if a.Prefix.Addr().Is4() || a.Flags&unix.IFA_F_TEMPORARY == 0 { // the bit is IFA_F_SECONDARY in IPv4
		f += 8
	}
	if a.Prefix.Addr() == choice {
		f += 4
	}
	if a.Link == way {
		f += 2
	}
	if !a.Prefix.Addr().IsPrivate() {
		f++
	}
	return f
}
