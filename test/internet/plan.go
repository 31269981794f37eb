//go:build linux

package internet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
)

// Options say how large a model is.
type Options struct {
	Data    string // the folder with the root zone and the lists
	Names   int    // how many of the listed names, half of each list; 0 = all
	Servers int    // hosts of the zones of these names, in tens
	Seed    uint64 // of everything that is drawn
}

// A Model is an Internet as a plan: zones, the hosts they are on, and what is
// wrong with those.
type Model struct {
	// Names are those of the lists, in their order; some are on both.
	Names []string

	seed       uint64
	random     *rand.Rand
	hosts      []*host // of the zones
	registries []*host // of the top-level domains
	roots      []*host
	byName     map[string]*host // name servers of the top-level domains
	zones      map[string]*zone
	leaves     []*zone // one for each name
	truth      map[string][]dns.RR
}

// registryHosts is how many hosts serve top-level domains.
const registryHosts = 40

// NewModel plans an Internet.
func NewModel(o Options) (*Model, error) {
	if o.Servers < 2*farmSize || o.Servers > maxHosts-registryHosts || o.Servers%farmSize != 0 {
		return nil, fmt.Errorf("internet: Servers: %d is not a multiple of %d from %d to %d", o.Servers, farmSize, 2*farmSize, maxHosts-registryHosts)
	}
	m := &Model{
		seed:   o.Seed,
		random: rand.New(rand.NewPCG(o.Seed, 0)),
		zones:  map[string]*zone{},
		byName: map[string]*host{},
		truth:  map[string][]dns.RR{},
	}
	m.hosts = newHosts(m.random, o.Servers)
	m.registries = newRegistries(m.random, o.Servers, registryHosts)
	for _, list := range []string{TopNames, RandomNames} {
		names, err := ReadNames(filepath.Join(o.Data, list))
		if err != nil {
			return nil, err
		}
		if o.Names > 0 {
			names = names[:min(len(names), o.Names/2)]
		}
		for _, name := range names {
			m.Names = append(m.Names, dns.CanonicalName(name))
		}
	}
	root, err := ReadRoot(o.Data)
	if err != nil {
		return nil, err
	}
	m.addRoot(root)
	m.addFarms()
	m.addSuffixes()
	for _, name := range m.Names {
		if m.zones[name] == nil {
			m.addLeaf(name)
		}
	}
	m.nameServers()
	m.index()
	return m, nil
}

// addRoot plans the root without its signatures, and all top-level domains
// under the genuine names of their servers, on fewer hosts.
func (m *Model) addRoot(records []dns.RR) {
	root := m.add(".", rootTier)
	for _, s := range anchor.Roots() {
		h := &host{name: s.Name, addrs: s.Addrs, rtt: drawRTT(m.random, 3*time.Millisecond, 80*time.Millisecond)}
		m.roots = append(m.roots, h)
		root.servers = append(root.servers, server{s.Name, h})
		m.byName[s.Name] = h
	}
	for _, rr := range records {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Name == "." {
			continue
		}
		m.delegateTLD(ns.Hdr.Name, ns.Ns)
	}
	for i := range 2 {
		m.delegateTLD("example.", fmt.Sprintf("ns%d.nic.example.", 1+i))
	}
	m.addAddresses(root, root.servers)
}

// nameServers gives the names of the servers of top-level domains their
// addresses, in whichever zone they are.
func (m *Model) nameServers() {
	for _, name := range slices.Sorted(maps.Keys(m.byName)) {
		z := m.enclosing(name)
		m.addAddresses(z, []server{{name, m.byName[name]}})
	}
}

func (m *Model) delegateTLD(tld, server string) {
	z := m.zones[tld]
	if z == nil {
		z = m.add(tld, registryTier)
	}
	h := m.byName[server]
	if h == nil {
		h = m.registries[m.random.IntN(len(m.registries))]
		m.byName[server] = h
	}
	z.serve(server, h)
}

// addFarms plans the zones in which the hosts have their names, and those of
// networks that deliver content for others.
func (m *Model) addFarms() {
	for n := range len(m.hosts) / farmSize {
		z := m.add(farmName(n), leafTier)
		for _, h := range m.farm(n) {
			for _, a := range h.addrs {
				z.records = append(z.records, AddressRR(h.name, a))
			}
			if h.fault == sound && len(h.addrs) == 2 && len(z.servers) < 2 {
				z.serve(h.name, h)
			}
		}
	}
	for n := range deliverers {
		z := m.add(delivererName(n), leafTier)
		z.style = hosted
		for _, h := range m.drawHosts(m.farm(n%(len(m.hosts)/farmSize)), 3) {
			z.serve(h.name, h)
		}
		for i := range edges {
			z.adds(fmt.Sprintf("edge%d 60 IN A 192.0.2.%d", i, 200+i), fmt.Sprintf("edge%d 60 IN AAAA 2001:db8:80:1::%x", i, 1+i))
		}
	}
}

// farm returns the hosts of one operator.
func (m *Model) farm(n int) []*host {
	return m.hosts[n*farmSize : (n+1)*farmSize]
}

// addSuffixes plans zones for what lies between top-level domains and names
// with three labels, such as co.uk., on the servers of the top-level domain.
func (m *Model) addSuffixes() {
	below := map[string]int{}
	for _, name := range m.Names {
		if suffix := parentName(name); strings.Count(suffix, ".") > 1 {
			if below[suffix]++; below[suffix] == 2 {
				z := m.add(suffix, registryTier)
				z.servers = slices.Clone(m.zones[parentName(suffix)].servers)
			}
		}
	}
}

// parentName returns a name less its first label.
func parentName(name string) string {
	if _, parent, _ := strings.Cut(name, "."); parent != "" {
		return parent
	}
	return "."
}

// add adds a zone without servers.
func (m *Model) add(name string, t tierID) *zone {
	z := &zone{name: name, tier: t}
	m.zones[name] = z
	return z
}

// enclosing returns the deepest zone that a name is in.
func (m *Model) enclosing(name string) *zone {
	for m.zones[name] == nil {
		name = parentName(name)
	}
	return m.zones[name]
}

// RTTs returns the round trip to each address.
func (m *Model) RTTs() map[netip.Addr]time.Duration {
	all := map[netip.Addr]time.Duration{}
	for _, h := range slices.Concat(m.roots, m.registries, m.hosts) {
		for _, a := range h.addrs {
			all[a] = h.rtt
		}
	}
	return all
}
