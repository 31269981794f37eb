package netsetup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Options say what to hold. Zero values mean the default.
type Options struct {
	Addresses  []netip.Prefix    // anycast addresses, /32 and /128
	Interface  string            // the link to put them on, made as a dummy if absent. Default lo
	Blackholes []netip.Prefix    // covering prefixes
	Links      Links             // default Kernel()
	OnRepair   func(what string) // told by Watch what it has put back
	OnFault    func(err error)   // told by Watch what it could not do, once until it changes
}

// A Setup keeps addresses and blackholes present. Its methods may be called
// from several goroutines.
type Setup struct {
	// Immutable after New.
	links      Links
	addresses  []netip.Prefix
	name       string
	blackholes []netip.Prefix
	onRepair   func(string)
	onFault    func(error)

	mu       sync.Mutex
	unmarked map[netip.Prefix]bool // guarded by mu; added by us, but the kernel keeps no mark
}

// New checks o.
func New(o Options) (*Setup, error) {
	s := &Setup{
		links:      o.Links,
		addresses:  slices.Clone(o.Addresses),
		name:       o.Interface,
		blackholes: slices.Clone(o.Blackholes),
		onRepair:   o.OnRepair,
		onFault:    o.OnFault,
		unmarked:   make(map[netip.Prefix]bool),
	}
	if s.links == nil {
		s.links = Kernel()
	}
	if s.name == "" {
		s.name = "lo"
	}
	if len(s.name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("netsetup: Interface: %q is longer than %d octets", s.name, unix.IFNAMSIZ-1)
	}
	for _, p := range s.addresses {
		a := p.Addr()
		if !p.IsSingleIP() || a.Is4In6() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			return nil, fmt.Errorf("netsetup: Addresses: %s is not a unicast /32 or /128", p)
		}
	}
	for _, p := range s.blackholes {
		if !p.IsValid() || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("netsetup: Blackholes: %s is not a prefix, or covers everything", p)
		}
	}
	return s, nil
}

// idle reports whether there is nothing to hold.
func (s *Setup) idle() bool { return len(s.addresses) == 0 && len(s.blackholes) == 0 }

// errNoLink says that the link is absent.
var errNoLink = errors.New("no such interface")

// link finds the link to put addresses on.
func (s *Setup) link() (Link, error) {
	all, err := s.links.Interfaces()
	if err != nil {
		return Link{}, failed("listing interfaces", err)
	}
	i := slices.IndexFunc(all, func(l Link) bool { return l.Name == s.name })
	if i < 0 {
		return Link{}, fmt.Errorf("netsetup: %s: %w", s.name, errNoLink)
	}
	return all[i], nil
}

// Missing names what is absent, or returns nil if everything is there.
func (s *Setup) Missing() error {
	if s.idle() {
		return nil
	}
	link, err := s.link()
	if err != nil {
		return err
	}
	if !link.Up {
		return fmt.Errorf("netsetup: %s is down", s.name)
	}
	present, err := s.links.Addresses()
	if err != nil {
		return failed("listing addresses", err)
	}
	for _, p := range s.addresses {
		if !slices.ContainsFunc(present, func(a Address) bool { return a.Prefix.Addr() == p.Addr() && a.usable() }) {
			return fmt.Errorf("netsetup: address %s is absent", p)
		}
	}
	routes, err := s.links.Blackholes()
	if err != nil {
		return failed("listing routes", err)
	}
	for _, p := range s.blackholes {
		if !slices.Contains(routes, p) {
			return fmt.Errorf("netsetup: blackhole %s is absent", p)
		}
	}
	return nil
}
