package netsetup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Ensure puts everything in place. What is already there it leaves alone, so it
// may be called again at any time, also after a predecessor that was killed.
func (s *Setup) Ensure() error {
	_, err := s.ensure()
	return err
}

// A pass collects what one call of ensure has done.
type pass struct {
	link   Link
	did    []string
	added  []netip.Prefix // addresses
	faults []error        // all of them are reported, not only the first
	denied bool           // a fault was the lack of a privilege, which need not be told again
}

// note keeps a fault and reports whether to go on.
func (p *pass) note(err error) bool {
	p.faults = append(p.faults, err)
	p.denied = p.denied || errors.Is(err, unix.EPERM)
	return !p.denied
}

// ensure does what is missing and says what it did.
func (s *Setup) ensure() (did []string, err error) {
	if s.idle() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var p pass
	if err := s.ensureLink(&p); err != nil {
		return p.did, err
	}
	s.ensureAddresses(&p)
	if !p.denied {
		s.ensureBlackholes(&p)
	}
	if len(p.did) > 0 && p.faults == nil {
		p.faults = append(p.faults, s.confirm(&p))
	}
	return p.did, errors.Join(p.faults...)
}

// ensureLink makes the link if it is absent and sets it up if it is down.
func (s *Setup) ensureLink(p *pass) error {
	link, err := s.link()
	if errors.Is(err, errNoLink) {
		if err := s.links.AddDummy(s.name); err != nil {
			return failed("making interface "+s.name, err)
		}
		p.did = append(p.did, "made interface "+s.name)
		link, err = s.link()
	}
	if err != nil {
		return err
	}
	if !link.Up {
		if err := s.links.RaiseLink(link.Index); err != nil {
			return failed("setting "+s.name+" up", err)
		}
		p.did = append(p.did, "set "+s.name+" up")
	}
	p.link = link
	return nil
}

// ensureAddresses adds the addresses that are not held yet.
func (s *Setup) ensureAddresses(p *pass) {
	present, err := s.links.Addresses()
	if err != nil {
		p.note(failed("listing addresses", err))
		return
	}
	for _, want := range s.addresses {
		held, err := s.held(want, p.link, present)
		if err == nil && !held {
			if err = s.add(want, p.link); err == nil {
				p.did = append(p.did, fmt.Sprintf("added %s to %s", want, s.name))
				p.added = append(p.added, want)
			}
		}
		if err != nil && !p.note(err) {
			return
		}
	}
}

// held reports whether want is among the addresses present, in a form that may
// serve. It removes ours on link in another form, and refuses an operator's
// that the kernel could choose as a source.
func (s *Setup) held(want netip.Prefix, link Link, present []Address) (bool, error) {
	held := false
	for _, a := range present {
		switch {
		case a.Prefix.Addr() != want.Addr():
		case !s.ours(a) && !a.avoided():
			remedy := "scope host"
			if want.Addr().Is6() {
				remedy = "preferred_lft 0"
			}
			return false, fmt.Errorf("netsetup: %s was not added by Proxima, and this host could choose it as a source: "+
				"remove it, since Proxima adds it itself, or give it %s", a, remedy)
		case !s.ours(a):
			held = true
		case a.Link != link.Index: // left by a predecessor; Release takes it away
		case a.inForm():
			held = true
		default:
			if err := s.links.RemoveAddress(a); err != nil {
				return false, failed(fmt.Sprintf("removing %s", a), err)
			}
		}
	}
	return held, nil
}

// add adds want to link.
func (s *Setup) add(want netip.Prefix, link Link) error {
	err := s.links.AddAddress(anycast(link.Index, want))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("netsetup: adding %s to %s: %w: IPv6 is switched off there (net.ipv6.conf.%s.disable_ipv6)",
			want, s.name, err, s.name)
	default:
		return failed(fmt.Sprintf("adding %s to %s", want, s.name), err)
	}
}

// ensureBlackholes adds the blackholes that are absent.
func (s *Setup) ensureBlackholes(p *pass) {
	present, err := s.links.Blackholes()
	if err != nil {
		p.note(failed("listing routes", err))
		return
	}
	for _, want := range s.blackholes {
		if slices.Contains(present, want) {
			continue
		}
		if err := s.links.AddBlackhole(want); err != nil {
			if !p.note(failed(fmt.Sprintf("adding blackhole %s", want), err)) {
				return
			}
			continue
		}
		p.did = append(p.did, fmt.Sprintf("added blackhole %s", want))
	}
}

// confirm reads back what was added, and remembers where the kernel kept no mark.
func (s *Setup) confirm(p *pass) error {
	present, err := s.links.Addresses()
	if err != nil {
		return failed("listing addresses", err)
	}
	for _, a := range present {
		if a.Link == p.link.Index && a.Protocol == 0 && slices.Contains(p.added, a.Prefix) {
			s.unmarked[a.Prefix] = true
		}
	}
	return s.Missing()
}

// ours reports whether Proxima added a. The caller holds mu.
func (s *Setup) ours(a Address) bool {
	return a.Protocol == Protocol || a.Protocol == 0 && s.unmarked[a.Prefix]
}
