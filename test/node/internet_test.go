//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"proxima/resolver/anchor"
	"proxima/test/netns"
	"proxima/test/sim"
)

// exampleAt is where the zone example. is served.
var exampleAt = []netip.Addr{netip.MustParseAddr("203.0.113.53"), netip.MustParseAddr("2001:db8:a::53")}

// mustInternet serves the root, on the root servers' own addresses, and the
// zone example., which it returns, on the host. Nothing is signed.
func mustInternet(t *testing.T, h *netns.Host) (*sim.Internet, *sim.Zone) {
	t.Helper()
	n := sim.New(1)
	var root strings.Builder
	all := exampleAt
	for _, s := range anchor.Roots() {
		fmt.Fprintf(&root, "@ NS %s\n", s.Name)
		writeAddresses(&root, s.Name, s.Addrs)
		all = append(all, s.Addrs...)
	}
	root.WriteString("example. NS ns.example.\n")
	writeAddresses(&root, "ns.example.", exampleAt)
	n.Zone(".", root.String(), all[len(exampleAt):]...)

	var example strings.Builder
	example.WriteString("@ NS ns.example.\n*.any 300 A 192.0.2.201\n*.any 300 AAAA 2001:db8:80::1\n")
	writeAddresses(&example, "ns.example.", exampleAt)
	for i := range 4 {
		fmt.Fprintf(&example, "*.big 300 TXT \"%d %s\"\n", i, strings.Repeat("big, but it fits. ", 14))
	}
	for i := range 12 {
		fmt.Fprintf(&example, "*.long 300 TXT \"%d %s\"\n", i, strings.Repeat("too long for UDP. ", 12))
	}
	zone := n.Zone("example.", example.String(), exampleAt...)
	for _, a := range all {
		mustServe(t, h, n, a)
	}
	return n, zone
}

func writeAddresses(text *strings.Builder, owner string, addrs []netip.Addr) {
	for _, a := range addrs {
		typ := "AAAA"
		if a.Is4() {
			typ = "A"
		}
		fmt.Fprintf(text, "%s %s %s\n", owner, typ, a)
	}
}

// mustServe answers on port 53 of one address of the host until the test ends.
func mustServe(t *testing.T, h *netns.Host, n *sim.Internet, a netip.Addr) {
	t.Helper()
	datagrams, streams, err := h.Listen(netip.AddrPortFrom(a, 53))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Serve(a, datagrams, streams))
}
