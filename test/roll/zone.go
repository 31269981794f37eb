//go:build linux

package roll

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

	"proxima/resolver/anchor"
)

// A signing says which keys a zone has, and what each of them does.
type signing struct {
	shown []*key // the DNSKEY set
	keys  []*key // they sign the DNSKEY set
	data  []*key // they sign the rest; a signature may be there before its key is, RFC 6781 section 4.1.4
}

// A zone is signed anew for each day.
type zone struct {
	name  string
	text  string // all but SOA and what makes it a signed zone
	nsec3 bool
	signing
	ds       []*key // of which the parent has DS records; none: it is unsigned
	children []*zone
}

// A tier is what one NSD serves on its addresses. Parents and children live in
// different tiers, so that a parent answers with referrals.
type tier struct {
	name  string
	addrs []netip.Addr
	zones []*zone
}

// An internet is the zones of the test:
//
//	.                      rolls its keys
//	├─ example.            ECDSA, NSEC
//	│  ├─ rolling.example. rolls its algorithm
//	│  └─ plain.example.   unsigned
//	└─ other-example.      RSA, NSEC3
type internet struct {
	root, rolling *zone
	tiers         []*tier
	serial        int
}

// newInternet makes the zones and the keys of those that roll none.
func newInternet(ctx context.Context, dir string) (*internet, error) {
	const leaf, top = "203.0.113.2", "203.0.113.1"
	plain := &zone{name: "plain.example.", text: records("plain.example.", leaf)}
	rolling := &zone{name: "rolling.example.", text: records("rolling.example.", leaf)}
	example := &zone{name: "example.", text: records("example.", top), children: []*zone{rolling, plain}}
	other := &zone{name: "other-example.", text: records("other-example.", top), nsec3: true}
	for z, algorithm := range map[*zone]uint8{example: dns.ECDSAP256SHA256, other: dns.RSASHA256} {
		k, err := newPair(ctx, dir, z.name, algorithm)
		if err != nil {
			return nil, err
		}
		z.signing, z.ds = k.alone(), []*key{k.ksk}
	}
	root := &zone{name: ".", children: []*zone{example, other}}
	servers := &tier{name: "root", zones: []*zone{root}}
	for _, s := range anchor.Roots() {
		root.text += fmt.Sprintf(". %d IN NS %s\n", ttl, s.Name)
		for _, a := range s.Addrs {
			root.text += address(s.Name, a)
		}
		servers.addrs = append(servers.addrs, s.Addrs...)
	}
	return &internet{root: root, rolling: rolling, tiers: []*tier{
		servers,
		{"top", []netip.Addr{netip.MustParseAddr(top)}, []*zone{example, other}},
		{"leaf", []netip.Addr{netip.MustParseAddr(leaf)}, []*zone{rolling, plain}},
	}}, nil
}

// records are those of a zone that can be asked for.
func records(zone, server string) string {
	return fmt.Sprintf("%[1]s %[3]d IN NS ns.%[1]s\nns.%[1]s %[3]d IN A %[2]s\nwww.%[1]s %[3]d IN A 192.0.2.80\n", zone, server, ttl)
}

func address(owner string, a netip.Addr) string {
	if a.Is4() {
		return fmt.Sprintf("%s %d IN A %s\n", owner, ttl, a)
	}
	return fmt.Sprintf("%s %d IN AAAA %s\n", owner, ttl, a)
}

// A pair is the two keys of a zone that has two.
type pair struct{ ksk, zsk *key }

func newPair(ctx context.Context, dir, zone string, algorithm uint8) (p pair, err error) {
	if p.ksk, err = newKey(ctx, dir, zone, algorithm, true); err != nil {
		return p, err
	}
	p.zsk, err = newKey(ctx, dir, zone, algorithm, false)
	return p, err
}

// alone is how the zone is signed while there are no other keys.
func (p pair) alone() signing {
	return signing{shown: []*key{p.ksk, p.zsk}, keys: []*key{p.ksk}, data: []*key{p.zsk}}
}

// sign writes all zones as they are at a time, each tier into its folder.
// Signatures begin a day earlier, so that none is good on the days before, and
// last two weeks, as the root's do.
func (n *internet) sign(ctx context.Context, dir string, at time.Time) error {
	n.serial++
	for _, t := range n.tiers {
		for _, z := range t.zones {
			file := filepath.Join(dir, "nsd-"+t.name, zoneFile(z.name))
			if err := z.sign(ctx, dir, n.serial, at, file); err != nil {
				return fmt.Errorf("sign %s: %w", z.name, err)
			}
		}
	}
	return nil
}

func zoneFile(zone string) string { return "zone-" + zone }

// sign writes the zone as it is at a time into a file.
func (z *zone) sign(ctx context.Context, dir string, serial int, at time.Time, file string) error {
	plain := fmt.Sprintf("%s %d IN SOA ns.example. hostmaster.example. %d 7200 3600 1209600 3600\n%s", z.name, ttl, serial, z.text)
	for _, c := range z.children {
		plain += delegation(c)
	}
	if z.shown == nil {
		return os.WriteFile(file, []byte(plain), 0o644)
	}
	dir, err := os.MkdirTemp(dir, "sign-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hidden := func(k *key) bool { return !slices.Contains(z.shown, k) }
	shown := slices.Concat(z.keys, slices.DeleteFunc(slices.Clone(z.data), hidden))
	signed, err := z.signWith(ctx, dir, plain, at, z.shown, shown)
	if err != nil {
		return err
	}
	// The signer lets every key sign the DNSKEY set.
	signed = slices.DeleteFunc(signed, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return ok && sig.TypeCovered == dns.TypeDNSKEY && !slices.ContainsFunc(z.keys, func(k *key) bool { return k.public.KeyTag() == sig.KeyTag })
	})
	for _, k := range z.data {
		if !hidden(k) {
			continue
		}
		// The signer wants to see a key: its signatures are taken from another
		// version of the zone.
		other, err := z.signWith(ctx, dir, plain, at, []*key{k}, []*key{k})
		if err != nil {
			return err
		}
		for _, rr := range other {
			if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered != dns.TypeDNSKEY {
				signed = append(signed, sig)
			}
		}
	}
	var text strings.Builder
	for _, rr := range signed {
		fmt.Fprintln(&text, rr)
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

// signWith returns the records that the signer makes of a zone.
func (z *zone) signWith(ctx context.Context, dir, plain string, at time.Time, shown, signers []*key) ([]dns.RR, error) {
	for _, k := range shown {
		plain += k.public.String() + "\n"
	}
	from, to := filepath.Join(dir, "plain"), filepath.Join(dir, "signed")
	if err := os.WriteFile(from, []byte(plain), 0o644); err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	args := []string{"-P", "-q", "-n", "1", "-O", "full", "-s", date(at.Add(-day)), "-e", date(at.Add(14 * day)), "-o", z.name, "-f", to}
	if z.nsec3 {
		args = append(args, "-3", "-", "-H", "0")
	}
	args = append(args, from)
	for _, k := range signers {
		base, err := k.write(dir)
		if err != nil {
			return nil, err
		}
		args = append(args, base)
	}
	if _, err := run(ctx, dir, "dnssec-signzone", args...); err != nil {
		return nil, err
	}
	return read(to, z.name)
}

func date(at time.Time) string { return at.UTC().Format("20060102150405") }

// delegation is what a parent has of a child.
func delegation(child *zone) string {
	var text strings.Builder
	for line := range strings.Lines(child.text) {
		if strings.HasPrefix(line, child.name) || strings.HasPrefix(line, "ns.") {
			text.WriteString(line)
		}
	}
	for _, k := range child.ds {
		fmt.Fprintln(&text, k.ds())
	}
	return text.String()
}

// read takes a zone's records from a file.
func read(file, zone string) ([]dns.RR, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []dns.RR
	parser := dns.NewZoneParser(f, zone, file)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		all = append(all, rr)
	}
	return all, parser.Err()
}
