//go:build linux

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"proxima/test/internet"
)

// A denial is how a zone proves what it lacks.
type denial int

const (
	nsec denial = iota
	nsec3
	optOut // NSEC3 that passes over unsigned delegations, RFC 5155 section 6
)

var denials = []string{"nsec", "nsec3", "optout"}

// tiers serve one level of the hierarchy each, so that every parent answers
// with referrals: the root, example., the registries, the leaves, and zones
// below leaves.
var tiers = []string{"root", "top", "registry", "leaf", "deep"}

// tierAddrs are the two addresses on which a tier serves its zones.
func tierAddrs(level int) []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + level)}), netip.MustParseAddr(fmt.Sprintf("2001:db8:a::%d", 1+level))}
}

func tierServer(level int) string { return "ns." + tiers[level] + ".example." }

// A zone is first a plan, then plain records, then records that a program
// signed, and last what its kind's fault leaves of them.
type zone struct {
	name     string
	level    int
	parent   *zone
	children []*zone
	kind     *kind

	keys        []*key // the first is the one that the parent vouches for
	unsigned    bool
	ldns        bool // signed by ldns, otherwise by BIND
	denial      denial
	salt        string
	iterations  int
	from, until time.Time

	ds      []*dns.DS // what the parent has; if nil when signed, the first key's
	records []dns.RR
}

// A hierarchy is the signed Internet of the comparison.
type hierarchy struct {
	root   *zone
	levels [][]*zone
	ring   ring
	now    time.Time
}

// newHierarchy makes keys and zones in a folder: all registries, or one for
// each algorithm.
func newHierarchy(ctx context.Context, dir string, all bool) (*hierarchy, error) {
	made, err := newRing(ctx, dir)
	if err != nil {
		return nil, err
	}
	h := &hierarchy{levels: make([][]*zone, len(tiers)), ring: made, now: time.Now()}
	h.root = h.add(nil, "", dns.RSASHA256, nsec)
	top := h.add(h.root, "example", dns.ECDSAP256SHA256, nsec)
	for level := range tiers {
		for _, a := range tierAddrs(level) {
			top.records = append(top.records, internet.AddressRR(tierServer(level), a))
			if level < 2 { // the glue that leads here
				h.root.records = append(h.root.records, internet.AddressRR(tierServer(level), a))
			}
		}
	}
	for i, a := range algorithms {
		for d := range denials {
			if !all && d != i%len(denials) {
				continue
			}
			registry := h.add(top, fmt.Sprintf("a%d-%s", a.number, denials[d]), a.number, denial(d))
			if err := h.addLeaves(registry, all, i); err != nil {
				return nil, err
			}
		}
	}
	return h, h.make(ctx, dir)
}

// addLeaves adds the zones of a registry: one for each kind that belongs there. Rare kinds
// take turns.
func (h *hierarchy) addLeaves(registry *zone, all bool, turn int) error {
	for i := range kinds {
		k := &kinds[i]
		if k.only != nil && !k.only(registry) || k.rare && !takesTurn(i+turn, registry.denial, all) {
			continue
		}
		leaf := h.add(registry, k.name, registry.keys[0].public.Algorithm, registry.denial)
		leaf.kind = k
		leaf.fill()
		if k.plan != nil {
			if err := k.plan(h, leaf); err != nil {
				return fmt.Errorf("plan %s: %w", leaf.name, err)
			}
		}
	}
	return nil
}

// takesTurn reports whether a rare kind belongs into a registry: one of the
// three of each algorithm, or every second where there is one of each.
func takesTurn(n int, d denial, all bool) bool {
	if all {
		return n%len(denials) == int(d)
	}
	return n%2 == 0
}

// add plans a zone below a parent.
func (h *hierarchy) add(parent *zone, label string, algorithm uint8, d denial) *zone {
	z := &zone{name: ".", parent: parent, kind: &kind{}, denial: d, salt: "-", from: h.now.Add(-time.Hour), until: h.now.Add(20 * 24 * time.Hour)}
	if parent != nil {
		z.name = dns.Fqdn(label + "." + strings.TrimSuffix(parent.name, "."))
		z.level = parent.level + 1
		parent.children = append(parent.children, z)
	}
	n := len(h.levels[z.level])
	h.levels[z.level] = append(h.levels[z.level], z)
	z.keys = []*key{h.key(z, algorithm, flagsKSK, n), h.key(z, algorithm, flagsZSK, n)}
	// Both signers do half of the zones; only BIND leaves delegations out.
	z.ldns = n%2 == 0 && d != optOut
	if n%4 > 1 && d != nsec {
		z.salt = "aabbccdd"
	}
	z.records = []dns.RR{
		internet.MustRR(fmt.Sprintf("%s 3600 IN SOA %s hostmaster.example. 1 7200 3600 1209600 600", z.name, tierServer(z.level))),
		internet.MustRR(fmt.Sprintf("%s 3600 IN NS %s", z.name, tierServer(z.level))),
	}
	return z
}

// key returns a zone's key out of the ring. Parents and children never share one.
func (h *hierarchy) key(z *zone, algorithm uint8, flags uint16, n int) *key {
	pool := h.ring.pool[use{algorithm, flags}]
	half := len(pool) / 2
	return pool[z.level%2*half+n%half].of(z.name)
}

// fill gives a leaf what is asked for.
func (z *zone) fill() {
	z.adds(
		"@ 300 IN A 192.0.2.1", "@ 300 IN A 192.0.2.2", "@ 300 IN AAAA 2001:db8:80::1", "@ 300 IN TXT \"apex\"",
		"www 300 IN A 192.0.2.3", "alias 300 IN CNAME www",
		"*.w 300 IN A 192.0.2.4", "*.wc 300 IN CNAME www", "b.ent 300 IN A 192.0.2.5")
}

// adds adds records in text, with owners and targets relative to the zone.
func (z *zone) adds(lines ...string) {
	parser := dns.NewZoneParser(strings.NewReader(strings.Join(lines, "\n")+"\n"), z.name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.records = append(z.records, rr)
	}
	if err := parser.Err(); err != nil {
		panic("peers: " + z.name + ": " + err.Error())
	}
}

// make signs from the deepest level up, as parents sign what children hand them.
func (h *hierarchy) make(ctx context.Context, dir string) error {
	for _, level := range slices.Backward(h.levels) {
		work, ctx := errgroup.WithContext(ctx)
		work.SetLimit(signers)
		for _, z := range level {
			work.Go(func() error { return z.make(ctx, dir) })
		}
		if err := work.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (z *zone) make(ctx context.Context, dir string) error {
	for _, c := range z.children {
		z.records = append(z.records, internet.MustRR(fmt.Sprintf("%s 3600 IN NS %s", c.name, tierServer(c.level))))
		for _, ds := range c.ds {
			z.records = append(z.records, ds)
		}
	}
	if err := z.sign(ctx, dir); err != nil {
		return err
	}
	if z.ds == nil && !z.unsigned {
		z.ds = []*dns.DS{z.keys[0].ds(dns.SHA256)}
	}
	for _, c := range z.children {
		if c.kind.above != nil {
			if err := c.kind.above(z, c); err != nil {
				return fmt.Errorf("%s in its parent: %w", c.name, err)
			}
		}
	}
	if z.kind.fault != nil {
		if err := z.kind.fault(z); err != nil {
			return fmt.Errorf("%s: %w", z.name, err)
		}
	}
	return nil
}

// text returns the zone as a file.
func (z *zone) text() string {
	var b strings.Builder
	for _, rr := range z.records {
		b.WriteString(rr.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// zones returns how many zones there are, and how many of them are signed.
func (h *hierarchy) zones() (all, signed int) {
	for _, level := range h.levels {
		for _, z := range level {
			if all++; !z.unsigned {
				signed++
			}
		}
	}
	return all, signed
}

// model returns the hierarchy for the bench.
func (h *hierarchy) model() *model {
	m := &model{}
	for i, level := range h.levels {
		t := internet.NewTier(tiers[i])
		t.Addrs = tierAddrs(i)
		for _, z := range level {
			text := &strings.Builder{}
			text.WriteString(z.text())
			t.Zones[z.name] = text
		}
		m.tiers = append(m.tiers, t)
	}
	return m
}

// anchor returns the root's DS record in text.
func (h *hierarchy) anchor() string {
	ds := h.root.ds[0]
	return fmt.Sprintf(". IN DS %d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
}

// writeHints writes the file of root hints and returns its name.
func writeHints(dir string) (string, error) {
	file := filepath.Join(dir, "hints")
	text := fmt.Sprintf(". 3600000 IN NS %s\n", tierServer(0))
	for _, a := range tierAddrs(0) {
		text += internet.AddressRR(tierServer(0), a).String() + "\n"
	}
	return file, os.WriteFile(file, []byte(text), 0o644)
}
