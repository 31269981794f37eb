// Package localroot answers as the root's servers do, out of a copy of the root
// zone on this node: RFC 8806.
//
// Read or New makes a Zone of a file or of what a server transferred. Verify
// proves it with the trust anchors: every signature, the chain of NSEC records
// and, since the root has one, the digest of it all (ZONEMD, RFC 8976). A Copy
// then holds it until it expires, and gives a walk the replies that it would
// have got from a server, to be judged like those. Without a Zone it gives none,
// and the servers are asked. Package fetch brings the files and transfers.
package localroot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

const (
	// maxSet bounds the records of one set, as it is for sets that servers send.
	maxSet = 256

	// maxSets bounds the sets of one name, since they are looked through one after
	// another. 64: the root itself has seven.
	maxSets = 64
)

// A Zone is a copy of the root zone. It never changes.
type Zone struct {
	records []dns.RR // as they came
	nodes   map[string]*node
	sorted  []*node // all, in canonical order
	chain   []*node // those with authoritative data, in canonical order
	apex    *node
	soa     *dns.SOA
}

// A node is a name of the zone with its sets.
type node struct {
	name string // as an unpacked message has it, in lower case
	key  string // sorts as names do, see keyOf
	sets []dnssec.RRset
}

// New returns the zone that rrs are, which it keeps. It is not verified yet.
func New(rrs []dns.RR) (*Zone, error) {
	if len(rrs) > MaxRecords {
		return nil, fmt.Errorf("localroot: more than %d records", MaxRecords)
	}
	z := &Zone{records: rrs, nodes: make(map[string]*node)}
	for _, rr := range rrs {
		if err := z.admit(rr); err != nil {
			return nil, fmt.Errorf("localroot: %w", err)
		}
	}
	for _, set := range dnssec.Sets(rrs) {
		n, err := z.nodeOf(set.Name())
		if err != nil {
			return nil, fmt.Errorf("localroot: %w", err)
		}
		if len(set.RRs) > maxSet {
			return nil, fmt.Errorf("localroot: %s %s: more than %d records in a set", n.name, dns.Type(set.Type()), maxSet)
		}
		if len(n.sets) == maxSets {
			return nil, fmt.Errorf("localroot: %s: has more than %d types", n.name, maxSets)
		}
		if strings.HasPrefix(n.name, "*.") {
			return nil, fmt.Errorf("localroot: %s %s: %w", n.name, dns.Type(set.Type()), errStrange)
		}
		if n.set(set.Type()) != nil {
			return nil, fmt.Errorf("localroot: %s: is spelled in two ways", n.name)
		}
		n.sets = append(n.sets, set)
	}
	if err := z.arrange(); err != nil {
		return nil, fmt.Errorf("localroot: %w", err)
	}
	return z, nil
}

// errStrange says that Answer would not know what follows from a record.
var errStrange = errors.New("the root has neither wildcards nor aliases")

// admit returns why a record cannot be one of the root zone, or of one that
// Answer knows to answer from, or nil. A type that nobody knows is welcome.
func (z *Zone) admit(rr dns.RR) error {
	h := rr.Header()
	switch {
	case h.Name == "":
		return errors.New("a record without a name")
	case h.Class != dns.ClassINET:
		return fmt.Errorf("%s: class %s, want IN", h.Name, dns.Class(h.Class))
	case isMeta(h.Rrtype):
		return fmt.Errorf("%s: %s is no type of a zone's records", h.Name, dns.Type(h.Rrtype))
	case h.Rrtype == dns.TypeCNAME, h.Rrtype == dns.TypeDNAME:
		return fmt.Errorf("%s %s: %w", h.Name, dns.Type(h.Rrtype), errStrange)
	}
	soa, ok := rr.(*dns.SOA)
	switch {
	case !ok:
		return nil
	case h.Name != ".":
		return fmt.Errorf("%s SOA: not the root", h.Name)
	case z.soa != nil:
		return errors.New("a second SOA")
	}
	z.soa = soa
	return nil
}

// isMeta reports whether typ is one of questions or of messages, RFC 6895
// section 3.1, or of no record at all.
func isMeta(typ uint16) bool {
	return typ == 0 || typ == dns.TypeOPT || typ >= 128 && typ <= 255
}

// nodeOf returns the node of a name, which may be spelled in many ways.
func (z *Zone) nodeOf(name string) (*node, error) {
	name, key, err := canonical(name)
	if err != nil {
		return nil, err
	}
	n := z.nodes[name]
	if n == nil {
		n = &node{name: name, key: key}
		z.nodes[name] = n
	}
	return n, nil
}

// arrange puts the nodes in order, and returns why they are no zone, or nil.
func (z *Zone) arrange() error {
	z.apex = z.nodes["."]
	if z.soa == nil || z.apex == nil || z.apex.set(dns.TypeNS) == nil {
		return errors.New("no SOA and NS of the root")
	}
	for _, n := range z.nodes {
		z.sorted = append(z.sorted, n)
	}
	slices.SortFunc(z.sorted, func(a, b *node) int { return strings.Compare(a.key, b.key) })
	cut := ""
	for _, n := range z.sorted {
		if cut != "" && strings.HasPrefix(n.key, cut) {
			continue // below a delegation: glue
		}
		if n != z.apex && n.set(dns.TypeNS) != nil {
			cut = n.key
		}
		z.chain = append(z.chain, n)
	}
	return nil
}

// Serial returns the zone's version.
func (z *Zone) Serial() uint32 { return z.soa.Serial }

// Records returns how many records the zone has.
func (z *Zone) Records() int { return len(z.records) }

// newer reports whether serial a comes after b, RFC 1982 section 3.2.
func newer(a, b uint32) bool { return int32(a-b) > 0 }

// set returns the node's set of a type, nil if it has none.
func (n *node) set(typ uint16) *dnssec.RRset {
	for i := range n.sets {
		if n.sets[i].Type() == typ {
			return &n.sets[i]
		}
	}
	return nil
}

// delegates reports whether the node is where another zone begins.
func (z *Zone) delegates(n *node) bool { return n != z.apex && n.set(dns.TypeNS) != nil }

// owns reports whether the zone itself, and not one that it delegates to, has
// the node's records of a type.
func (z *Zone) owns(n *node, typ uint16) bool {
	return !z.delegates(n) || typ == dns.TypeDS || typ == dns.TypeNSEC
}
