package sim

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// defaultTTL, in seconds, is the TTL of records whose text gives none.
const defaultTTL = 3600

// defaultSOA is the SOA record of a zone whose text has none. Negative answers
// of such a zone live for 300 s.
const defaultSOA = "@ 3600 IN SOA ns hostmaster 1 7200 3600 1209600 300"

// A Zone is one version of a zone on some addresses. Two zones may have one
// name: servers that disagree are made so. Its methods may be called while the
// Internet is in use.
type Zone struct {
	internet *Internet // its mu guards all below
	name     string    // canonical
	records  []dns.RR
	key      *key // nil if not signed here

	// Made from records when needed, nil after a change.
	nodes  map[string]node
	chain  []string // owners of NSEC records in canonical order
	signed map[signature]*dns.RRSIG
}

// A node is what a zone has at a name, by type: nothing at an empty
// non-terminal.
type node map[uint16][]dns.RR

// Zone adds a zone in master file format, with names relative to name, and
// serves it on the addresses. Without an SOA record in text it gets one.
// Zone panics if the text is bad.
func (n *Internet) Zone(name, text string, at ...netip.Addr) *Zone {
	z, err := n.ReadZone(name, strings.NewReader(text), at...)
	if err != nil {
		panic("sim: " + err.Error())
	}
	return z
}

// ReadZone is Zone for text that comes from a file, with an error that names
// the line.
func (n *Internet) ReadZone(name string, r io.Reader, at ...netip.Addr) (*Zone, error) {
	z := &Zone{internet: n, name: dns.CanonicalName(name)}
	records, err := z.parse(r)
	if err != nil {
		return nil, err
	}
	isSOA := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }
	if !slices.ContainsFunc(records, isSOA) {
		soa, err := z.parse(strings.NewReader(defaultSOA))
		if err != nil {
			return nil, err
		}
		records = append(records, soa...)
	}
	z.records = records
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zones = append(n.zones, z)
	for _, a := range at {
		h := n.host(a)
		h.zones = append(h.zones, z)
	}
	return z, nil
}

// Name returns the zone's name in lower case.
func (z *Zone) Name() string { return z.name }

// Add adds records in master file format. It panics if the text is bad.
func (z *Zone) Add(text string) {
	records, err := z.parse(strings.NewReader(text))
	if err != nil {
		panic("sim: " + err.Error())
	}
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	z.change(append(z.records, records...))
}

// Remove takes away the records of a type at a name; dns.TypeANY takes all.
func (z *Zone) Remove(name string, typ uint16) {
	name = dns.CanonicalName(name)
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	z.change(slices.DeleteFunc(z.records, func(rr dns.RR) bool {
		h := rr.Header()
		return dns.CanonicalName(h.Name) == name && (typ == dns.TypeANY || typ == h.Rrtype)
	}))
}

// change makes records the zone's content. The caller holds mu.
func (z *Zone) change(records []dns.RR) {
	z.records = records
	z.nodes, z.chain, z.signed = nil, nil, nil
}

// parse reads records of the zone.
func (z *Zone) parse(r io.Reader) ([]dns.RR, error) {
	p := dns.NewZoneParser(r, z.name, "")
	p.SetDefaultTTL(defaultTTL)
	var records []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if !dns.IsSubDomain(z.name, rr.Header().Name) {
			return nil, fmt.Errorf("zone %s: %s is not in the zone", z.name, rr.Header().Name)
		}
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.name, err)
	}
	return records, nil
}

// index makes the nodes from the records, empty non-terminals included.
func (z *Zone) index() {
	if z.nodes != nil {
		return
	}
	z.nodes = make(map[string]node)
	for _, rr := range z.records {
		h := rr.Header()
		name := dns.CanonicalName(h.Name)
		at := z.ensure(name)
		at[h.Rrtype] = append(at[h.Rrtype], rr)
		for name != z.name {
			name = parent(name)
			z.ensure(name)
		}
	}
	z.link()
}

// ensure returns the node of a canonical name, made if absent.
func (z *Zone) ensure(name string) node {
	at := z.nodes[name]
	if at == nil {
		at = make(node)
		z.nodes[name] = at
	}
	return at
}

// parent returns the name less its first label.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}
