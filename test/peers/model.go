//go:build linux

// Package peers asks Proxima and another resolver the same questions about the
// same Internet, and compares what they say.
//
// The Internet is a model of the real one: the genuine root zone on the root
// servers' own addresses, the top-level domains on theirs, and zones for real
// domain names on a dozen addresses, all served by NSD in a network namespace.
// It needs NSD, Unbound and the data; the tests skip where one is missing.
//
// Besides, there is a signed Internet of its own, for validators: a hierarchy
// of zones in every algorithm, made and signed by other programs' hands, most
// of them broken afterwards, each in one way. A zone is planned (hierarchy.go)
// as one of many kinds (kinds.go), signed (signer.go), broken (fault.go) and
// served; then Proxima, Unbound and Knot Resolver judge it (validators.go).
// And there is the genuine root zone with its own signatures, at its own date.
//
// Lies that no zone file can hold are told by servers in the test's process, to
// all three at once (lies_test.go).
package peers

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
	"proxima/test/internet"
)

// A model is an Internet as zone files.
type model struct {
	tiers []*internet.Tier
	// names are the domain names that have a zone of their own.
	names []string
	// delegations holds the top-level domains and their addresses.
	delegations map[string][]dns.RR
	// secure holds those of them that have DS records.
	secure map[string]bool
}

// hosters serve the leaf zones: half of the zones name them, the others have
// name servers of their own on the same addresses.
var hosters = []string{"dns.example.", "ns-farm.example.", "hosting.example."}

// leafAddrs is a dozen addresses of both families.
func leafAddrs() []netip.Addr {
	var all []netip.Addr
	for i := range 6 {
		all = append(all, netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)}), netip.MustParseAddr(fmt.Sprintf("2001:db8:a::%d", 10+i)))
	}
	return all
}

// newModel builds the Internet of the first count names that the root zone
// has a top-level domain for.
func newModel(data string, count int) (*model, error) {
	m := &model{delegations: map[string][]dns.RR{}, secure: map[string]bool{}}
	root := newRootTier()
	if err := m.readRoot(data, root, false); err != nil {
		return nil, err
	}
	tlds := internet.NewTier("tld")
	leaves := internet.NewTier("leaf")
	leaves.Addrs = leafAddrs()
	m.addHosters(root, tlds, leaves)
	lists := []string{internet.TopNames, internet.RandomNames}
	for _, list := range lists {
		names, err := internet.ReadNames(filepath.Join(data, list))
		if err != nil {
			return nil, err
		}
		// An even share of each list.
		want := len(m.names) + (count-len(m.names))/(len(lists)-slices.Index(lists, list))
		for _, name := range names {
			if len(m.names) == want {
				break
			}
			m.addName(name, tlds, leaves)
		}
	}
	if len(m.names) != count {
		return nil, fmt.Errorf("the lists have %d usable names, %d wanted", len(m.names), count)
	}
	m.finish(root, tlds, leaves)
	return m, nil
}

// newGenuine builds the Internet of the genuine root zone with its signatures,
// and of the top-level domains without: those whose servers the root zone has
// addresses of, as nothing else is there to be asked.
func newGenuine(data string) (*model, error) {
	m := &model{delegations: map[string][]dns.RR{}, secure: map[string]bool{}}
	root, tlds := newRootTier(), internet.NewTier("tld")
	if err := m.readRoot(data, root, true); err != nil {
		return nil, err
	}
	for name, records := range m.delegations {
		if m.secure[name] || !glued(records) {
			continue
		}
		m.tld(name, tlds)
		m.names = append(m.names, name)
	}
	slices.Sort(m.names)
	m.finish(root, tlds)
	return m, nil
}

// glued reports whether each server of a delegation has an address.
func glued(records []dns.RR) bool {
	return !slices.ContainsFunc(records, func(rr dns.RR) bool {
		ns, ok := rr.(*dns.NS)
		return ok && !slices.ContainsFunc(records, func(rr dns.RR) bool { return rr.Header().Name == ns.Ns })
	})
}

// newRootTier returns the root servers without their zone.
func newRootTier() *internet.Tier {
	root := internet.NewTier("root")
	root.Zones["."] = &strings.Builder{}
	for _, s := range anchor.Roots() {
		root.Addrs = append(root.Addrs, s.Addrs...)
	}
	return root
}

// finish takes the tiers, each with its addresses once.
func (m *model) finish(tiers ...*internet.Tier) {
	m.tiers = tiers
	for _, t := range tiers {
		slices.SortFunc(t.Addrs, netip.Addr.Compare)
		t.Addrs = slices.Compact(t.Addrs)
	}
}

// readRoot takes the genuine root zone, as it is or without what makes it a
// signed zone, and learns the delegations.
func (m *model) readRoot(data string, root *internet.Tier, signed bool) error {
	records, err := internet.ReadRoot(data)
	if err != nil {
		return err
	}
	glue := map[string][]netip.Addr{}
	for _, rr := range records {
		h := rr.Header()
		switch rr := rr.(type) {
		case *dns.RRSIG, *dns.NSEC, *dns.DNSKEY, *dns.DS, *dns.ZONEMD:
			if h.Rrtype == dns.TypeDS {
				m.secure[h.Name] = true
			}
			if !signed {
				continue
			}
		case *dns.NS:
			if h.Name != "." {
				m.delegations[h.Name] = append(m.delegations[h.Name], rr)
			}
		case *dns.A:
			glue[h.Name] = append(glue[h.Name], address(rr.A))
		case *dns.AAAA:
			glue[h.Name] = append(glue[h.Name], address(rr.AAAA))
		}
		fmt.Fprintln(root.Zones["."], rr)
	}
	for name, addrs := range glue {
		if strings.HasSuffix(name, ".root-servers.net.") {
			root.Addrs = append(root.Addrs, addrs...)
		}
	}
	for tld, servers := range m.delegations {
		for _, ns := range servers {
			for _, a := range glue[ns.(*dns.NS).Ns] {
				m.delegations[tld] = append(m.delegations[tld], internet.AddressRR(ns.(*dns.NS).Ns, a))
			}
		}
	}
	return nil
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// addName gives a domain name a zone and its top-level domain a delegation.
func (m *model) addName(name string, tlds, leaves *internet.Tier) {
	name = dns.CanonicalName(name)
	labels := dns.SplitDomainName(name)
	tld := labels[len(labels)-1] + "."
	if len(labels) < 2 || m.delegations[tld] == nil || leaves.Zones[name] != nil || m.below(name, leaves) {
		return
	}
	parent := m.tld(tld, tlds)
	h := fnv.New32a()
	_, _ = io.WriteString(h, name)
	pick := int(h.Sum32() % 1000)
	zone := &strings.Builder{}
	servers := nameServers(name, pick)
	fmt.Fprintf(zone, "%s 3600 IN SOA %s hostmaster.%s 1 7200 3600 1209600 600\n", name, servers[0], name)
	for i, ns := range servers {
		fmt.Fprintf(parent, "%s 172800 IN NS %s\n", name, ns)
		fmt.Fprintf(zone, "%s 3600 IN NS %s\n", name, ns)
		if dns.IsSubDomain(name, ns) {
			for _, a := range addressPair(pick + i) {
				fmt.Fprintln(parent, internet.AddressRR(ns, a))
				fmt.Fprintln(zone, internet.AddressRR(ns, a))
			}
		}
	}
	for i := range 1 + pick%3 {
		fmt.Fprintf(zone, "%s 300 IN A 192.0.2.%d\n", name, 1+(pick+i*7)%250)
	}
	if pick%4 != 0 { // a quarter has no IPv6
		fmt.Fprintf(zone, "%s 300 IN AAAA 2001:db8:80::%x\n", name, 1+pick)
	}
	fmt.Fprintf(zone, "%s 3600 IN MX 10 mail.%s\n%s 3600 IN MX 20 mail2.%s\n", name, name, name, name)
	fmt.Fprintf(zone, "%s 3600 IN TXT \"v=spf1 mx -all\"\nmail.%s 3600 IN A 192.0.2.251\n", name, name)
	if pick%5 == 0 && len(m.names) > 0 { // a fifth has an alias into another zone
		fmt.Fprintf(zone, "www.%s 300 IN CNAME %s\n", name, m.names[pick%len(m.names)])
	} else {
		fmt.Fprintf(zone, "www.%s 300 IN CNAME %s\n", name, name)
	}
	leaves.Zones[name] = zone
	m.names = append(m.names, name)
}

// below reports whether a name lies under a zone that already is there, or
// over one: a delegation from both would be no tree.
func (m *model) below(name string, leaves *internet.Tier) bool {
	for parent := name; strings.Count(parent, ".") > 1; parent = parent[strings.IndexByte(parent, '.')+1:] {
		if leaves.Zones[parent] != nil {
			return true
		}
	}
	return slices.ContainsFunc(m.names, func(other string) bool { return dns.IsSubDomain(name, other) })
}

// tld returns the text of a top-level domain, begun at its first use.
func (m *model) tld(name string, tlds *internet.Tier) *strings.Builder {
	if text := tlds.Zones[name]; text != nil {
		return text
	}
	text := &strings.Builder{}
	tlds.Zones[name] = text
	fmt.Fprintf(text, "%s 86400 IN SOA ns.%s hostmaster.%s 1 1800 900 604800 900\n", name, name, name)
	for _, rr := range m.delegations[name] {
		if rr.Header().Rrtype == dns.TypeNS || dns.IsSubDomain(name, rr.Header().Name) {
			fmt.Fprintln(text, rr)
		}
		switch rr := rr.(type) {
		case *dns.A:
			tlds.Addrs = append(tlds.Addrs, address(rr.A))
		case *dns.AAAA:
			tlds.Addrs = append(tlds.Addrs, address(rr.AAAA))
		}
	}
	return text
}

// addHosters adds the top-level domain of the hosters and their zones.
func (m *model) addHosters(root, tlds, leaves *internet.Tier) {
	at := []netip.Addr{netip.MustParseAddr("203.0.113.250"), netip.MustParseAddr("2001:db8:a::250")}
	m.delegations["example."] = []dns.RR{internet.MustRR("example. 172800 IN NS ns.nic.example.")}
	for _, a := range at {
		m.delegations["example."] = append(m.delegations["example."], internet.AddressRR("ns.nic.example.", a))
	}
	for _, rr := range m.delegations["example."] {
		fmt.Fprintln(root.Zones["."], rr)
	}
	parent := m.tld("example.", tlds)
	for i, h := range hosters {
		zone := &strings.Builder{}
		fmt.Fprintf(zone, "%s 3600 IN SOA ns1.%s hostmaster.%s 1 7200 3600 1209600 600\n", h, h, h)
		for n := range 2 {
			ns := fmt.Sprintf("ns%d.%s", n+1, h)
			fmt.Fprintf(parent, "%s 172800 IN NS %s\n", h, ns)
			fmt.Fprintf(zone, "%s 3600 IN NS %s\n", h, ns)
			for _, a := range addressPair(2*i + n) {
				fmt.Fprintln(parent, internet.AddressRR(ns, a))
				fmt.Fprintln(zone, internet.AddressRR(ns, a))
			}
		}
		leaves.Zones[h] = zone
	}
}

// nameServers returns a zone's two: its own, or a hoster's.
func nameServers(zone string, pick int) []string {
	if pick%2 == 0 {
		return []string{"ns1." + zone, "ns2." + zone}
	}
	h := hosters[pick%len(hosters)]
	return []string{"ns1." + h, "ns2." + h}
}

// addressPair returns one leaf address of each family.
func addressPair(i int) []netip.Addr {
	all := leafAddrs()
	i = 2 * (i % (len(all) / 2))
	return all[i : i+2]
}
