// Package anchor holds what must be known before the first query: where the
// root servers are, and which keys to trust.
//
// A walk starts here. It takes the built-in Roots, or what ReadHints reads
// from the operator's file, asks one of them for the root's own NS records
// (priming, RFC 9609) and from then on believes what it was told.
//
// Trust starts here as well: with the built-in Keys, or what ReadKeys reads.
// From then on an Upkeep follows the zone as it changes its keys (RFC 5011).
// Whoever keeps it Loads it from its file, asks for the DNSKEY set when it is
// time, judges the set by what is Trusted, goes on with the Upkeep After that,
// and Saves it.
package anchor

import "net/netip"

// A Server is a name server and the addresses it is asked at.
type Server struct {
	Name  string // lower case, with the final dot
	Addrs []netip.Addr
}

// roots are the root servers as the root zone names them. B has its addresses
// since 2023-11-27; before, it was 199.9.14.201 and 2001:500:200::b.
var roots = [...]struct{ name, v4, v6 string }{
	{"a.root-servers.net.", "198.41.0.4", "2001:503:ba3e::2:30"},
	{"b.root-servers.net.", "170.247.170.2", "2801:1b8:10::b"},
	{"c.root-servers.net.", "192.33.4.12", "2001:500:2::c"},
	{"d.root-servers.net.", "199.7.91.13", "2001:500:2d::d"},
	{"e.root-servers.net.", "192.203.230.10", "2001:500:a8::e"},
	{"f.root-servers.net.", "192.5.5.241", "2001:500:2f::f"},
	{"g.root-servers.net.", "192.112.36.4", "2001:500:12::d0d"},
	{"h.root-servers.net.", "198.97.190.53", "2001:500:1::53"},
	{"i.root-servers.net.", "192.36.148.17", "2001:7fe::53"},
	{"j.root-servers.net.", "192.58.128.30", "2001:503:c27::2:30"},
	{"k.root-servers.net.", "193.0.14.129", "2001:7fd::1"},
	{"l.root-servers.net.", "199.7.83.42", "2001:500:9f::42"},
	{"m.root-servers.net.", "202.12.27.33", "2001:dc3::35"},
}

// Roots returns the thirteen root servers, each with its IPv4 and its IPv6
// address. The caller owns the result.
func Roots() []Server {
	servers := make([]Server, len(roots))
	for i, r := range roots {
		servers[i] = Server{
			Name:  r.name,
			Addrs: []netip.Addr{netip.MustParseAddr(r.v4), netip.MustParseAddr(r.v6)},
		}
	}
	return servers
}
