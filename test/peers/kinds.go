//go:build linux

package peers

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// A kind is one way for a zone to be right or wrong. Each registry has a zone
// of each kind, named after it.
type kind struct {
	name string
	// only says in which registries; nil means in all.
	only func(registry *zone) bool
	// rare kinds have little to do with denials: not each registry needs them.
	rare bool
	// plan changes what is to be signed, fault what was signed, and above what
	// the signed parent says of the zone.
	plan  func(h *hierarchy, z *zone) error
	fault func(z *zone) error
	above func(parent, z *zone) error
	// asks are questions beyond those for every zone.
	asks []ask
}

// An ask is a question for a name below the zone's.
type ask struct {
	name string
	typ  uint16
}

// asks are the questions for every leaf.
var asks = []ask{
	{"", dns.TypeA}, {"", dns.TypeSOA}, {"", dns.TypeNS}, {"", dns.TypeDNSKEY}, {"", dns.TypeDS}, {"", dns.TypeMX},
	{"www", dns.TypeA}, {"www", dns.TypeAAAA}, {"www", dns.TypeDS}, {"alias", dns.TypeA},
	{"nope", dns.TypeA}, {"a.nope", dns.TypeTXT}, {"ent", dns.TypeA}, {"b.ent", dns.TypeA},
	{"x1.w", dns.TypeA}, {"x2.y.w", dns.TypeA}, {"x3.w", dns.TypeTXT}, {"x4.wc", dns.TypeA}, {"w", dns.TypeA}, {"*.w", dns.TypeA},
}

// outs are the questions for the aliases that addOuts adds.
var outs = func() []ask {
	all := []ask{{"sub", dns.TypeDS}, {"www.sub", dns.TypeA}, {"safe", dns.TypeDS}, {"www.safe", dns.TypeA}, {"nope.safe", dns.TypeA}, {"lost", dns.TypeDS}, {"www.lost", dns.TypeA}}
	for _, target := range outTargets {
		all = append(all, ask{"to-" + target, dns.TypeA}, ask{"to-" + target, dns.TypeMX}, ask{"nope-" + target, dns.TypeA},
			ask{"www.in-" + target, dns.TypeA}, ask{"nope.in-" + target, dns.TypeA}, ask{"in-" + target, dns.TypeDNAME})
	}
	return all
}()

// outTargets are the kinds to which aliases lead: secure, insecure, bogus.
var outTargets = []string{"good", "unsigned", "expired", "unknown-algorithm", "no-denial"}

// kinds are all of them. A name is a domain label and the claim.
var kinds = []kind{
	{name: "good", plan: addOuts, asks: outs},
	{name: "single-key", plan: func(_ *hierarchy, z *zone) error { z.keys, z.ldns = z.keys[:1], true; return nil }},
	{name: "unsigned", plan: func(h *hierarchy, z *zone) error { z.unsigned = true; return addOuts(h, z) }, asks: outs},
	{name: "island", plan: func(_ *hierarchy, z *zone) error { z.ds = []*dns.DS{}; return nil }},

	// Time.
	{name: "expired", plan: validity(-60, -30)},
	{name: "not-yet-valid", rare: true, plan: validity(30, 60)},

	// What the parent says.
	{name: "wrong-key", rare: true, plan: func(h *hierarchy, z *zone) error {
		other := h.ring.pool[use{z.keys[0].public.Algorithm, flagsKSK}]
		z.ds = []*dns.DS{other[0].of(z.name).ds(dns.SHA256)} // a key of the other levels
		return nil
	}},
	{name: "wrong-digest", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { return []*dns.DS{spoil(ds)} })},
	{name: "wrong-tag", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { ds.KeyTag++; return []*dns.DS{ds} })},
	{name: "wrong-ds-algorithm", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS {
		ds.Algorithm = map[bool]uint8{true: dns.ED25519, false: dns.ECDSAP256SHA256}[ds.Algorithm == dns.ECDSAP256SHA256]
		return []*dns.DS{ds}
	})},
	{name: "wrong-and-right-ds", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { return []*dns.DS{spoil(ds), ds} })},
	{name: "unknown-digest", plan: parentSays(func(ds *dns.DS) []*dns.DS { return []*dns.DS{unknownDigest(ds)} })},
	{name: "unknown-and-right-digest", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { return []*dns.DS{unknownDigest(ds), ds} })},
	{name: "unknown-and-wrong-digest", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { return []*dns.DS{unknownDigest(ds), spoil(ds)} })},
	{name: "unknown-ds-algorithm", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { ds.Algorithm = unknownAlgorithm; return []*dns.DS{ds} })},
	{name: "gost-digest", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS { ds.DigestType = dns.GOST94; return []*dns.DS{ds} })},
	{name: "sha384-digest", rare: true, plan: digests(dns.SHA384)},
	{name: "sha256-and-sha384", rare: true, plan: digests(dns.SHA256, dns.SHA384)},
	{name: "sha1-and-sha256", rare: true, plan: digests(dns.SHA1, dns.SHA256)},
	{name: "sha1-alone", rare: true, plan: digests(dns.SHA1)},
	{name: "sha256-but-wrong-sha384", rare: true, plan: func(_ *hierarchy, z *zone) error {
		z.ds = []*dns.DS{z.keys[0].ds(dns.SHA256), spoil(z.keys[0].ds(dns.SHA384))}
		return nil
	}},
	{name: "stripped-ds", above: func(parent, z *zone) error { parent.drop(z.name, dns.TypeDS); return nil }},
	{name: "unsigned-ds", rare: true, above: func(parent, z *zone) error { parent.dropSignatures(z.name, dns.TypeDS); return nil }},
	{name: "altered-ds", rare: true, above: func(parent, z *zone) error {
		return parent.edit(z.name, dns.TypeDS, func(rr dns.RR) { rr.(*dns.DS).Digest = spoil(rr.(*dns.DS)).Digest })
	}},
	{name: "unproven-unsigned", plan: func(_ *hierarchy, z *zone) error { z.unsigned = true; return nil },
		above: func(parent, z *zone) error { parent.dropDenials(z.name); return nil }},

	// Keys.
	{name: "no-keys", rare: true, fault: func(z *zone) error { z.drop(z.name, dns.TypeDNSKEY); return nil }},
	{name: "unsigned-keys", rare: true, fault: func(z *zone) error { z.dropSignatures(z.name, dns.TypeDNSKEY); return nil }},
	{name: "unknown-algorithm", fault: renumber},
	{name: "revoked", rare: true, only: not(dns.ED448), plan: swapKey(func(k *key) *key { return k.with(flagsKSK | dns.REVOKE) })},
	{name: "no-zone-flag", rare: true, only: not(dns.ED448), plan: swapKey(func(k *key) *key { return k.with(dns.SEP) })},
	{name: "other-protocol", rare: true, only: not(dns.ED448), plan: swapKey(func(k *key) *key { k.public.Protocol = 2; return k })},
	{name: "revoked-beside", rare: true, plan: func(h *hierarchy, z *zone) error { return addRevoked(h, z) }},
	{name: "rsa-1024", rare: true, only: rsa, plan: rsaKeys(shape{1024, 0})},
	{name: "rsa-4096", rare: true, only: rsa, plan: rsaKeys(shape{4096, 0})},
	{name: "rsa-1000", rare: true, only: rsa, plan: rsaKeys(shape{1000, 0})},
	{name: "exponent-3", rare: true, only: rsa, plan: rsaKeys(shape{2048, 3})},
	{name: "exponent-33-bits", rare: true, only: rsa, plan: rsaKeys(shape{2048, 1<<32 + 1})},
	{name: "exponent-64-bits", rare: true, only: rsa, plan: rsaKeys(shape{2048, 1<<63 + 29})},

	// Rolls from one algorithm to another.
	{name: "roll", rare: true, plan: roll(func(old, next *dns.DS) []*dns.DS { return []*dns.DS{old} })},
	{name: "roll-ds", rare: true, plan: roll(func(old, next *dns.DS) []*dns.DS { return []*dns.DS{old, next} })},
	{name: "roll-next-ds", rare: true, plan: roll(func(old, next *dns.DS) []*dns.DS { return []*dns.DS{next} })},
	{name: "roll-one-broken", rare: true, plan: roll(func(old, next *dns.DS) []*dns.DS { return []*dns.DS{old, next} }), fault: spoilAlgorithm(0)},
	{name: "roll-both-broken", rare: true, plan: roll(func(old, next *dns.DS) []*dns.DS { return []*dns.DS{old, next} }), fault: spoilSignatures},
	{name: "roll-to-unknown", rare: true, plan: parentSays(func(ds *dns.DS) []*dns.DS {
		unknown := dns.Copy(ds).(*dns.DS)
		unknown.Algorithm = unknownAlgorithm
		return []*dns.DS{ds, unknown}
	})},
	{name: "roll-to-unknown-broken", rare: true, fault: spoilSignatures, plan: parentSays(func(ds *dns.DS) []*dns.DS {
		unknown := dns.Copy(ds).(*dns.DS)
		unknown.Algorithm = unknownAlgorithm
		return []*dns.DS{ds, unknown}
	})},

	// Signatures.
	{name: "no-signatures", fault: func(z *zone) error { z.dropSignatures("", dns.TypeANY); return nil }},
	{name: "no-a-signatures", fault: func(z *zone) error { z.dropSignatures("", dns.TypeA); return nil }},
	{name: "no-soa-signature", fault: func(z *zone) error { z.dropSignatures("", dns.TypeSOA); return nil }},
	{name: "flipped-bit", rare: true, fault: spoilSignatures},
	{name: "altered", rare: true, fault: func(z *zone) error {
		return z.edit("", dns.TypeA, func(rr dns.RR) { a := rr.(*dns.A).A; a[len(a)-1] ^= 128 })
	}},
	{name: "one-more", rare: true, fault: func(z *zone) error { z.adds("www 300 IN A 192.0.2.99"); return nil }},
	{name: "longer-ttl", rare: true, fault: func(z *zone) error {
		return z.edit("", dns.TypeA, func(rr dns.RR) { rr.Header().Ttl = 1000 })
	}},
	{name: "signer-parent", rare: true, fault: resign(func(z *zone, s *dns.RRSIG) { s.SignerName = z.parent.name })},
	{name: "signer-sibling", rare: true, fault: resign(func(z *zone, s *dns.RRSIG) { s.SignerName = "good." + z.parent.name })},
	{name: "signer-child", rare: true, fault: resign(func(z *zone, s *dns.RRSIG) { s.SignerName = "www." + z.name })},
	{name: "labels-more", rare: true, fault: func(z *zone) error {
		return z.editSignatures("", dns.TypeA, func(s *dns.RRSIG) { s.Labels++ })
	}},
	{name: "labels-fewer", fault: asWildcard(func(z *zone) string { return z.name })},
	{name: "labels-of-parent", fault: asWildcard(func(z *zone) string { return z.parent.name })},
	{name: "labels-of-grandparent", rare: true, fault: asWildcard(func(z *zone) string { return z.parent.parent.name })},
	{name: "wildcard-without-proof", fault: func(z *zone) error { z.copyTo("*.w."+z.name, "x1.w."+z.name); return nil }},

	// Denials.
	{name: "no-denial", fault: func(z *zone) error {
		for _, t := range []uint16{dns.TypeNSEC, dns.TypeNSEC3} {
			z.drop("", t)
		}
		return nil
	}},
	{name: "unsigned-denial", fault: func(z *zone) error {
		z.dropSignatures("", dns.TypeNSEC)
		z.dropSignatures("", dns.TypeNSEC3)
		return nil
	}},
	{name: "no-apex-denial", fault: func(z *zone) error { z.dropDenials(z.name); return nil }},
	{name: "no-wildcard-denial", fault: func(z *zone) error { z.dropDenials("*." + z.name); return nil }},
	{name: "no-name-denial", fault: func(z *zone) error { z.dropDenials("nope." + z.name); return nil }},
	{name: "next-outside", only: func(r *zone) bool { return r.denial == nsec && signable(r) }, fault: func(z *zone) error {
		return z.rewrite(dns.TypeNSEC, func(rr dns.RR) {
			if rr := rr.(*dns.NSEC); rr.NextDomain == z.name {
				rr.NextDomain = "zzz." + z.parent.name
			}
		})
	}},
	{name: "iterations-50", only: hashed, plan: iterations(50)},
	{name: "iterations-51", only: hashed, plan: iterations(51)},
	{name: "iterations-150", only: hashed, plan: iterations(150)},
	{name: "iterations-151", only: hashed, plan: iterations(151)},
	{name: "iterations-2500", only: hashed, plan: iterations(2500)},
	{name: "long-salt", rare: true, only: hashed, plan: func(_ *hierarchy, z *zone) error {
		z.salt = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
		return nil
	}},
	{name: "unknown-flags", only: func(r *zone) bool { return hashed(r) && signable(r) }, fault: func(z *zone) error {
		return z.rewrite(dns.TypeNSEC3, func(rr dns.RR) { rr.(*dns.NSEC3).Flags |= 2 })
	}},
}

// unknownAlgorithm and unknownDigest's number are unassigned.
const unknownAlgorithm = 200

func not(algorithm uint8) func(*zone) bool {
	return func(r *zone) bool { return r.keys[0].public.Algorithm != algorithm }
}

// signable says whether lies in such a zone can be signed here: the library
// knows no Ed448.
func signable(r *zone) bool { return not(dns.ED448)(r) }

func hashed(r *zone) bool { return r.denial != nsec }

func rsa(r *zone) bool {
	return slices.Contains([]uint8{dns.RSASHA256, dns.RSASHA512}, r.keys[0].public.Algorithm)
}

// validity returns a plan of signatures that hold between two days from now.
func validity(from, until int) func(*hierarchy, *zone) error {
	return func(h *hierarchy, z *zone) error {
		z.from, z.until = h.now.Add(time.Duration(from)*24*time.Hour), h.now.Add(time.Duration(until)*24*time.Hour)
		return nil
	}
}

func iterations(n int) func(*hierarchy, *zone) error {
	return func(_ *hierarchy, z *zone) error {
		z.iterations = n
		z.ldns = n > 150 || z.ldns // BIND refuses more
		return nil
	}
}

// parentSays returns a plan in which the parent has other DS records.
func parentSays(change func(*dns.DS) []*dns.DS) func(*hierarchy, *zone) error {
	return func(_ *hierarchy, z *zone) error {
		z.ds = change(z.keys[0].ds(dns.SHA256))
		return nil
	}
}

func digests(types ...uint8) func(*hierarchy, *zone) error {
	return func(_ *hierarchy, z *zone) error {
		for _, t := range types {
			z.ds = append(z.ds, z.keys[0].ds(t))
		}
		return nil
	}
}

// swapKey returns a plan with another entry point.
func swapKey(change func(*key) *key) func(*hierarchy, *zone) error {
	return func(_ *hierarchy, z *zone) error {
		z.keys[0], z.ldns = change(z.keys[0]), true // BIND refuses some
		return nil
	}
}

func addRevoked(h *hierarchy, z *zone) error {
	pool := h.ring.pool[use{z.keys[0].public.Algorithm, flagsKSK}]
	z.keys = append(z.keys, pool[0].of(z.name).with(flagsKSK|dns.REVOKE))
	return nil
}

func rsaKeys(s shape) func(*hierarchy, *zone) error {
	return func(h *hierarchy, z *zone) error {
		z.ldns = true // BIND refuses some
		for i, k := range z.keys {
			z.keys[i] = h.ring.rsa(s, use{k.public.Algorithm, k.public.Flags}).of(z.name)
		}
		return nil
	}
}

// roll returns a plan with keys of two algorithms.
func roll(ds func(old, next *dns.DS) []*dns.DS) func(*hierarchy, *zone) error {
	return func(h *hierarchy, z *zone) error {
		to := uint8(dns.ECDSAP256SHA256)
		if z.keys[0].public.Algorithm == to {
			to = dns.ED25519
		}
		next := h.key(z, to, flagsKSK, 1)
		z.keys = append(z.keys, next, h.key(z, to, flagsZSK, 1))
		z.ds = ds(z.keys[0].ds(dns.SHA256), next.ds(dns.SHA256))
		return nil
	}
}

// addOuts gives a zone aliases to zones of other kinds in the same registry,
// and three zones of its own below: unsigned, signed, and one that expired.
func addOuts(h *hierarchy, z *zone) error {
	for _, target := range outTargets {
		to := target + "." + z.parent.name
		z.adds("to-"+target+" 300 IN CNAME www."+to, "nope-"+target+" 300 IN CNAME nope."+to, "in-"+target+" 300 IN DNAME "+to)
	}
	for _, label := range []string{"sub", "safe", "lost"} {
		child := h.add(z, label, dns.ECDSAP256SHA256, z.denial)
		child.fill()
		switch label {
		case "sub":
			child.unsigned = true
		case "lost":
			if err := validity(-60, -30)(h, child); err != nil {
				return err
			}
		}
	}
	return nil
}
