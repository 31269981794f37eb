package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"proxima/cmd/internal/claim"
	"proxima/cmd/internal/memory"
	"proxima/cmd/internal/place"
	"proxima/cmd/internal/program"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver/upstream/ports"
)

// inspect reads the file and prints everything that is wrong with it or, if
// nothing is, with this host for it. The error says only that there is something.
func inspect(out io.Writer, file string) error {
	c, lines, err := load(file)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		fmt.Fprintln(out, err)
		return fmt.Errorf("%s: not ok", file)
	case err != nil:
		return err
	}
	if file == "" {
		file = "defaults"
	}
	links := netsetup.Kernel()
	wrong, lesser := checkPlaces(c, lines)
	for _, w := range slices.Concat(idleAnchors(c), lesser, hostWarnings(c, links, memory.Find())) {
		fmt.Fprintf(out, "%s (warning)\n", program.Locate(w, lines))
	}
	wrong = append(wrong, checkHost(c, links)...)
	for _, err := range wrong {
		fmt.Fprintln(out, program.Locate(err, lines))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s: not ok on this host", file)
	}
	_, err = fmt.Fprintf(out, "%s: ok\n", file)
	return err
}

// checkPlaces returns which sockets and files could not be put where they are to
// be. What the file does not name is missed only by who asks for it.
func checkPlaces(c *config.Node, lines config.Lines) (wrong, lesser []error) {
	return place.Check(lines.Has,
		place.Wanted{Key: "control.socket", Path: c.Control.Socket, Look: place.Socket},
		place.Wanted{Key: "dnssec.anchor_state", Path: c.DNSSEC.AnchorState, Look: place.File},
		place.Wanted{Key: "cache.snapshot", Path: c.Cache.Snapshot, Look: place.File})
}

// hostWarnings says what is odd about this host, on which serve would work all
// the same.
func hostWarnings(c *config.Node, links netsetup.Links, room memory.Room) []error {
	var all []error
	if w := memory.NewPlan(c.Cache.Memory, room).Warning(); w != "" {
		all = append(all, errors.New("cache.memory: "+w))
	}
	if err := ports.Check(); err != nil {
		all = append(all, err)
	}
	_, _ = loadUpkeep(c, func(why error) {
		all = append(all, fmt.Errorf("dnssec.anchor_state: %w; trust anchors will be begun anew", why))
	}) // what is wrong with the anchors themselves is more than odd
	if len(c.Anycast.Addresses) == 0 {
		return all
	}
	named := func(l netsetup.Link) bool { return l.Name == c.Anycast.Interface }
	if present, err := links.Interfaces(); err == nil && !slices.ContainsFunc(present, named) {
		all = append(all, fmt.Errorf("anycast.interface: %s is absent and will be made, if the kernel has dummy links", c.Anycast.Interface))
	}
	for _, h := range claim.Holders() {
		if h.Foreign() {
			all = append(all, fmt.Errorf("anycast.addresses: %v, with which daemons show each other that they hold addresses", h))
		}
	}
	return all
}

// checkHost returns why serve would fail on this host, or serve nobody, or would
// not have the copy of the root that it is to have. It changes nothing, and may
// run beside a daemon.
func checkHost(c *config.Node, links netsetup.Links) []error {
	var wrong []error
	add := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	_, err := readHints(c.Recursion.RootHints)
	add(err)
	_, err = readAnchors(c.DNSSEC.TrustAnchors)
	add(err)
	add(checkLocalRoot(c))
	_, err = findSources(c, links)
	add(err)
	present, err := hostAddresses(links)
	add(err)
	for _, a := range listenAddresses(c, present) {
		if !a.IsUnspecified() && !slices.Contains(present, a) && !slices.Contains(serviceAddresses(c), a) {
			add(fmt.Errorf("listen.addresses[%d]: %s is not on this host, nor among anycast.addresses", slices.Index(c.Listen.Addresses, a), a))
		}
	}
	if len(c.Anycast.Addresses) > 0 {
		add(netsetup.CheckCapability())
	}
	add(checkPort(c.Listen.Port))
	return wrong
}

// checkPort binds the port for a moment: whether it needs a privilege is the
// kernel's to say. That it is taken is no fault, for the daemon may be running.
func checkPort(port uint16) error {
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	conn, err := net.ListenUDP("udp", at)
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("listen.port: %d needs CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start at %d or below", port, port)
	}
	if err == nil {
		_ = conn.Close()
	}
	return nil
}
