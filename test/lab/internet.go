//go:build linux

package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"proxima/resolver/anchor"
	"proxima/test/netns"
	"proxima/test/sim"
)

// seed makes the keys of the lab's zones, the same in every run.
const seed = 1

// The zones of the lab's Internet below its two top-level domains, ten each.
var (
	tlds  = []string{"example.", "lab."}
	zones = []string{"ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"}
)

// An internet is the small signed Internet behind the nodes, on real sockets:
// the root on the root servers' own addresses, so that Proxima's built-in
// hints lead to it.
type internet struct {
	sim   *sim.Internet
	stops []func() // of the addresses served
}

// startInternet makes the zones and serves each address on the host.
func startInternet(h *netns.Host) (*internet, error) {
	n := &internet{sim: sim.New(seed)}
	var all []netip.Addr
	take := func(last int) []netip.Addr {
		a := []netip.Addr{
			netip.AddrFrom4([4]byte{203, 0, 113, byte(last)}),
			netip.MustParseAddr(fmt.Sprintf("2001:db8:a::%d", last)),
		}
		all = append(all, a...)
		return a
	}
	var roots []netip.Addr
	var root strings.Builder
	root.WriteString("@ 86400 IN SOA a.root-servers.net. hostmaster.example. 1 1800 900 604800 86400\n")
	for _, s := range anchor.Roots() {
		fmt.Fprintf(&root, "@ 518400 IN NS %s\n", s.Name)
		for _, a := range s.Addrs {
			fmt.Fprintln(&root, addressRecord(s.Name, a))
		}
		roots = append(roots, s.Addrs...)
	}
	all = append(all, roots...)
	for i, tld := range tlds {
		at := take(129 + i)
		n.delegate(&root, tld, at)
		var text strings.Builder
		writeApex(&text, tld, at)
		for j, zone := range zones {
			at := take(140 + 10*i + j)
			name := zone + "." + tld
			n.delegate(&text, name, at)
			n.sim.Zone(name, zoneText(name, at), at...)
		}
		n.sim.Zone(tld, text.String(), at...)
	}
	n.sim.Zone(".", root.String(), roots...)
	n.sim.SignAll()
	return n, n.serve(h, all)
}

// anchorOf writes the trust anchor of an Internet for a node's file.
func anchorOf(n *sim.Internet) string {
	ds := n.Anchor()
	return fmt.Sprintf(". IN DS %d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
}

// delegate writes a zone cut and its glue into the parent's text.
func (n *internet) delegate(parent *strings.Builder, zone string, at []netip.Addr) {
	fmt.Fprintf(parent, "%s 86400 IN NS ns.%s\n", zone, zone)
	for _, a := range at {
		fmt.Fprintln(parent, addressRecord("ns."+zone, a))
	}
}

// writeApex writes what a zone says of itself.
func writeApex(text *strings.Builder, zone string, at []netip.Addr) {
	fmt.Fprintf(text, "%s 3600 IN SOA ns.%s hostmaster.%s 1 7200 3600 1209600 300\n", zone, zone, zone)
	fmt.Fprintf(text, "%s 3600 IN NS ns.%s\n", zone, zone)
	for _, a := range at {
		fmt.Fprintln(text, addressRecord("ns."+zone, a))
	}
}

func zoneText(zone string, at []netip.Addr) string {
	var text strings.Builder
	writeApex(&text, zone, at)
	for i := range 4 {
		fmt.Fprintf(&text, "www.%s 3600 IN A 192.0.2.%d\n", zone, 201+i)
		fmt.Fprintf(&text, "www.%s 3600 IN AAAA 2001:db8:80::%d\n", zone, 1+i)
		fmt.Fprintf(&text, "long.%s 3600 IN TXT %q\n", zone, strings.Repeat(fmt.Sprintf("part %d of an answer too long for UDP. ", i), 5))
		fmt.Fprintf(&text, "long.%s 3600 IN TXT %q\n", zone, strings.Repeat(fmt.Sprintf("more of part %d, for the same reason. ", i), 6))
	}
	fmt.Fprintf(&text, "%s 3600 IN MX 10 mail.%s\n", zone, zone)
	fmt.Fprintf(&text, "mail.%s 3600 IN A 192.0.2.210\n", zone)
	fmt.Fprintf(&text, "far.%s 3600 IN CNAME www.ant.lab.\n", zone)
	return text.String()
}

func addressRecord(owner string, a netip.Addr) string {
	typ := "AAAA"
	if a.Is4() {
		typ = "A"
	}
	return fmt.Sprintf("%s 518400 IN %s %s", owner, typ, a)
}

// serve answers on port 53 of every address, UDP and TCP.
func (n *internet) serve(h *netns.Host, all []netip.Addr) error {
	for _, a := range all {
		if err := h.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
		at := netip.AddrPortFrom(a, 53).String()
		err := h.Do(func() error {
			pc, err := net.ListenPacket("udp", at)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", at)
			if err != nil {
				_ = pc.Close()
				return err
			}
			n.stops = append(n.stops, n.sim.Serve(a, pc, l))
			return nil
		})
		if err != nil {
			return fmt.Errorf("internet: %s: %w", at, err)
		}
	}
	return nil
}

// close stops answering.
func (n *internet) close() {
	for _, stop := range n.stops {
		stop()
	}
}
