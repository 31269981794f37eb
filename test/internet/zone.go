//go:build linux

package internet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A tierID says which NSD serves a zone.
type tierID uint8

const (
	rootTier tierID = iota
	registryTier
	leafTier
	tiers
)

var tierNames = [tiers]string{"root", "registry", "leaf"}

// A style is how a zone's name servers are named.
type style uint8

const (
	own    style = iota // in the zone, with glue
	hosted              // in the zone of an operator, below example.
	lent                // in the zone of somebody else, which may be hosted or lent
)

// A server is a name server by name.
type server struct {
	name string
	host *host
}

// A zone is planned first and written when all are.
type zone struct {
	name    string
	tier    tierID
	style   style
	depth   int // of zones to be found before this zone's servers are, without glue
	servers []server
	records []dns.RR // but for SOA and NS
	alias   bool     // www leads to another zone
	lends   []server // what lent zones call their servers
}

// In percent of the leaves.
const (
	percentHosted = 40
	percentLent   = 15
	percentAlias  = 20
	percentTorn   = 1 // two servers, of which one is silent
	percentNoIPv6 = 25
)

// Numbers of other things.
const (
	// maxGlueless bounds depth. Three zones on the way are more than enough, and
	// less than what resolvers refuse.
	maxGlueless = 3

	// deliverers deliver the content of other zones from so many edges each.
	deliverers = 5
	edges      = 20
)

func delivererName(n int) string { return fmt.Sprintf("cdn%d.example.", n) }

func (z *zone) serve(name string, h *host) { z.servers = append(z.servers, server{name, h}) }

// adds adds records in text, with owners and targets relative to the zone.
func (z *zone) adds(lines ...string) {
	for _, line := range lines {
		parser := dns.NewZoneParser(strings.NewReader(line+"\n"), z.name, "")
		rr, ok := parser.Next()
		if !ok {
			panic(fmt.Sprintf("internet: %s: %s: %v", z.name, line, parser.Err()))
		}
		z.records = append(z.records, rr)
	}
}

// addLeaf plans the zone of a listed name.
func (m *Model) addLeaf(name string) {
	z, r := m.add(name, leafTier), m.random
	count := []int{2, 2, 2, 2, 3, 4}[r.IntN(6)]
	torn := r.IntN(100) < percentTorn
	if torn {
		count = 2
	}
	switch p := r.IntN(100); {
	case p < percentHosted && !torn:
		z.style, z.depth = hosted, 1
		for _, h := range m.drawHosts(m.farm(r.IntN(len(m.hosts)/farmSize)), count) {
			z.serve(h.name, h)
		}
	case p < percentHosted+percentLent && !torn && len(m.leaves) > 0:
		m.lend(z, m.leaves[r.IntN(len(m.leaves))])
	default:
		hosts := m.drawHosts(m.hosts, count)
		if torn {
			hosts = []*host{m.drawHost(silent), m.drawHost(sound)}
		}
		for i, h := range hosts {
			z.serve(fmt.Sprintf("ns%d.%s", 1+i, name), h)
		}
		z.lends = z.servers
		m.addAddresses(z, z.servers)
	}
	m.fill(z)
	m.leaves = append(m.leaves, z)
}

// lend gives a zone name servers that are called after another zone.
func (m *Model) lend(z, of *zone) {
	if of.depth == maxGlueless {
		of = m.leaves[0]
	}
	if of.lends == nil {
		for i, h := range m.drawHosts(m.hosts, 2) {
			of.lends = append(of.lends, server{fmt.Sprintf("dns%d.%s", 1+i, of.name), h})
		}
		m.addAddresses(of, of.lends)
	}
	z.style, z.depth, z.servers = lent, of.depth+1, of.lends
}

func (m *Model) addAddresses(z *zone, servers []server) {
	for _, s := range servers {
		for _, a := range s.host.addrs {
			z.records = append(z.records, AddressRR(s.name, a))
		}
	}
}

// drawHosts draws different hosts, of which one at least can be made to answer.
func (m *Model) drawHosts(from []*host, count int) []*host {
	for {
		var drawn []*host
		for _, i := range m.random.Perm(len(from))[:min(count, len(from))] {
			drawn = append(drawn, from[i])
		}
		if slices.ContainsFunc(drawn, func(h *host) bool { return h.fault.answers() }) {
			return drawn
		}
	}
}

// drawHost draws one host with a fault.
func (m *Model) drawHost(f fault) *host {
	for {
		if h := m.hosts[m.random.IntN(len(m.hosts))]; h.fault == f {
			return h
		}
	}
}

// fill gives a leaf what is asked for.
func (m *Model) fill(z *zone) {
	r := m.random
	for i := range 1 + r.IntN(3) {
		z.adds(fmt.Sprintf("@ 300 IN A 192.0.2.%d", 1+r.IntN(60)+60*i))
	}
	if r.IntN(100) >= percentNoIPv6 {
		z.adds(fmt.Sprintf("@ 300 IN AAAA 2001:db8:80::%x", 1+r.IntN(60_000)))
	}
	z.adds("@ 3600 IN MX 10 mail", "@ 3600 IN MX 20 mail2", `@ 3600 IN TXT "v=spf1 mx -all"`,
		"mail 3600 IN A 192.0.2.251", "mail2 3600 IN A 192.0.2.252")
	if z.alias = r.IntN(100) < percentAlias && len(m.leaves) > 0; !z.alias {
		z.adds("www 300 IN CNAME @")
		return
	}
	if r.IntN(2) == 0 {
		z.adds("www 300 IN CNAME " + m.leaves[r.IntN(len(m.leaves))].name)
		return
	}
	// By way of two networks of delivery.
	at := r.IntN(deliverers)
	label := fmt.Sprintf("c%d", len(m.leaves))
	z.adds("www 300 IN CNAME " + label + "." + delivererName(at))
	m.zones[delivererName(at)].adds(fmt.Sprintf("%s 300 IN CNAME edge%d.%s", label, r.IntN(edges), delivererName((at+1)%deliverers)))
}

// Tiers writes all zones.
func (m *Model) Tiers() []*Tier {
	var all [tiers]*Tier
	for i := range all {
		all[i] = NewTier(tierNames[i])
	}
	for name, z := range m.zones {
		text := &strings.Builder{}
		fmt.Fprintf(text, "%s 3600 IN SOA %s hostmaster.%s 1 7200 3600 1209600 600\n", name, z.servers[0].name, strings.TrimPrefix(name, "."))
		for _, rr := range slices.Concat(z.delegation(), z.records) {
			fmt.Fprintln(text, rr)
		}
		all[z.tier].Zones[name] = text
	}
	for name, z := range m.zones {
		if name == "." {
			continue
		}
		parent := m.enclosing(parentName(name))
		text := all[parent.tier].Zones[parent.name]
		for _, rr := range z.delegation() {
			fmt.Fprintln(text, rr)
		}
		for _, rr := range m.glue(parent, z) {
			fmt.Fprintln(text, rr)
		}
	}
	for i, hosts := range [tiers][]*host{m.roots, m.registries, m.hosts} {
		for _, h := range hosts {
			if h.fault == sound {
				all[i].Addrs = append(all[i].Addrs, h.addrs...)
			}
		}
	}
	return all[:]
}

// delegation returns the NS records of a zone, in it and in its parent.
func (z *zone) delegation() []dns.RR {
	var all []dns.RR
	for _, s := range z.servers {
		all = append(all, &dns.NS{Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 86400}, Ns: s.name})
	}
	return all
}

// glue returns the addresses that a parent adds to a delegation: the root those
// of all servers, as in the genuine zone, others what the child has in itself.
func (m *Model) glue(parent, z *zone) []dns.RR {
	var all []dns.RR
	for _, s := range z.servers {
		if parent.name != "." && !dns.IsSubDomain(z.name, s.name) {
			continue
		}
		for _, a := range s.host.addrs {
			all = append(all, AddressRR(s.name, a))
		}
	}
	return all
}
