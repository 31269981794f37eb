package netsetup

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Release takes away what Proxima added, this process or an earlier one, with
// these Options or others. Call it when the announcement is withdrawn and Watch
// has returned. It goes on after a fault and reports all.
func (s *Setup) Release() error {
	if s.idle() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []error
	note := func(doing string, err error) {
		// Somebody was faster: what was to go is gone.
		gone := errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV)
		if err != nil && !gone {
			faults = append(faults, failed(doing, err))
		}
	}

	addresses, err := s.links.Addresses()
	note("listing addresses", err)
	used := make(map[int]bool) // links that bear an operator's address
	for _, a := range addresses {
		if s.ours(a) {
			note(fmt.Sprintf("removing %s", a), s.links.RemoveAddress(a))
		} else if !a.Prefix.Addr().IsLinkLocalUnicast() {
			used[a.Link] = true
		}
	}
	clear(s.unmarked)

	blackholes, err := s.links.Blackholes()
	note("listing routes", err)
	for _, p := range blackholes {
		note(fmt.Sprintf("removing blackhole %s", p), s.links.RemoveBlackhole(p))
	}

	links, err := s.links.Interfaces()
	note("listing interfaces", err)
	for _, l := range links {
		if l.Ours && !used[l.Index] {
			note("removing interface "+l.Name, s.links.RemoveLink(l.Index))
		}
	}
	return errors.Join(faults...)
}
