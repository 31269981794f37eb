package sim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A signature holds from an hour before it was made until two weeks after, and
// is made anew at half of that. Real zones do much the same.
const (
	signedBefore = time.Hour
	signedFor    = 14 * 24 * time.Hour
)

// flagsKSK marks a zone key that is a secure entry point, RFC 4034 section
// 2.1.1. Zones here have this one key for everything.
const flagsKSK = 257

// A key signs one zone.
type key struct {
	record  *dns.DNSKEY
	private *ecdsa.PrivateKey
}

// A signature names a set that was signed.
type signature struct {
	owner string
	typ   uint16
}

// newKey returns the ECDSA P-256 key of a zone, the same for equal seeds.
func newKey(seed uint64, zone string) *key {
	for try := 0; ; try++ { // one hash in 2^32 is no scalar of the curve
		scalar := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, try, zone))
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
		if err != nil {
			continue
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			panic("sim: " + err.Error())
		}
		return &key{
			record: &dns.DNSKEY{
				Hdr:       dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: defaultTTL},
				Flags:     flagsKSK,
				Protocol:  3,
				Algorithm: dns.ECDSAP256SHA256,
				PublicKey: base64.StdEncoding.EncodeToString(point[1:]), // less the octet for "uncompressed"
			},
			private: private,
		}
	}
}

// Public returns the public key.
func (k *key) Public() crypto.PublicKey { return k.private.Public() }

// Sign signs without chance, RFC 6979, so that equal runs are equal.
func (k *key) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.private.Sign(nil, digest, o)
}

// signature returns what is to be a signature for a zone, from now.
func (k *key) signature(zone string) *dns.RRSIG {
	now := time.Now()
	return &dns.RRSIG{
		KeyTag:     k.record.KeyTag(),
		SignerName: zone,
		Algorithm:  dns.ECDSAP256SHA256,
		Inception:  uint32(now.Add(-signedBefore).Unix()),
		Expiration: uint32(now.Add(signedFor).Unix()),
	}
}

// SignAll signs every zone, as Zone.Sign does.
func (n *Internet) SignAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, z := range n.zones {
		z.sign()
	}
}

// Anchor returns the DS record of the root zone's key.
func (n *Internet) Anchor() *dns.DS { return n.DS(".") }

// DS returns the DS record of the key that a zone has if it is signed here or in
// another Internet of the same seed.
func (n *Internet) DS(zone string) *dns.DS {
	return newKey(n.seed, dns.CanonicalName(zone)).record.ToDS(dns.SHA256)
}

// Vouch adds the DS record of a child that another Internet of the same seed has
// signed, if the zone delegates it.
func (z *Zone) Vouch(child string) {
	ds := z.internet.DS(child)
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	delegates := func(rr dns.RR) bool {
		h := rr.Header()
		return h.Rrtype == dns.TypeNS && dns.CanonicalName(h.Name) == ds.Hdr.Name && ds.Hdr.Name != z.name
	}
	known := func(rr dns.RR) bool { return rr.String() == ds.String() }
	if slices.ContainsFunc(z.records, delegates) && !slices.ContainsFunc(z.records, known) {
		z.change(append(z.records, ds))
	}
}

// Sign signs the zone from now on, with NSEC, and adds its DS record to the
// nearest zone above it. To break the chain, Remove that record.
func (z *Zone) Sign() {
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	z.sign()
}

// Signed returns a set, whatever is in it, with a signature by the zone's key:
// for lies that verify. An owner that begins with "*." is signed as the wildcard
// of what the set may be renamed to. The zone has to be signed.
func (z *Zone) Signed(set ...dns.RR) []dns.RR {
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	s := z.key.signature(z.name)
	if err := s.Sign(z.key, set); err != nil {
		panic("sim: " + err.Error())
	}
	s.Hdr.Ttl = set[0].Header().Ttl
	return append(slices.Clip(set), s)
}

func (z *Zone) sign() {
	if z.key != nil {
		return
	}
	z.key = newKey(z.internet.seed, z.name)
	z.change(append(z.records, z.key.record))
	ds := z.key.record.ToDS(dns.SHA256)
	for _, up := range z.internet.above(z.name) {
		same := func(rr dns.RR) bool { return rr.String() == ds.String() }
		if !slices.ContainsFunc(up.records, same) {
			up.change(append(up.records, ds))
		}
	}
}

// above returns the versions of the nearest zone above name.
func (n *Internet) above(name string) []*Zone {
	var nearest []*Zone
	for _, z := range n.zones {
		switch {
		case z.name == name || !dns.IsSubDomain(z.name, name):
		case len(nearest) == 0 || len(z.name) > len(nearest[0].name):
			nearest = []*Zone{z}
		case z.name == nearest[0].name:
			nearest = append(nearest, z)
		}
	}
	return nearest
}

// signatures returns the signature over a set, renamed to owner unless that is
// empty; nothing if the zone is not signed.
func (z *Zone) signatures(at, owner string, typ uint16) []dns.RR {
	set := z.set(place{exact, at, z.nodes[at]}, typ)
	isCut := at != z.name && z.nodes[at][dns.TypeNS] != nil
	if z.key == nil || len(set) == 0 || isCut && typ == dns.TypeNS {
		return nil
	}
	id := signature{at, typ}
	s := z.signed[id]
	if s == nil || time.Now().Unix() > int64(s.Expiration)-int64(signedFor/2/time.Second) {
		s = z.key.signature(z.name)
		if err := s.Sign(z.key, set); err != nil {
			panic("sim: " + err.Error())
		}
		s.Hdr.Ttl = set[0].Header().Ttl
		if z.signed == nil {
			z.signed = make(map[signature]*dns.RRSIG)
		}
		z.signed[id] = s
	}
	return copies([]dns.RR{s}, owner)
}

// set returns the records of a type at a place, with those that signing adds.
func (z *Zone) set(at place, typ uint16) []dns.RR {
	switch {
	case z.key == nil:
		return at.node[typ]
	case typ == dns.TypeNSEC:
		if _, found := slices.BinarySearchFunc(z.chain, at.owner, compareNames); found {
			return []dns.RR{z.nsec(at.owner)}
		}
		return nil
	case typ == dns.TypeRRSIG:
		var all []dns.RR
		for _, t := range slices.Sorted(maps.Keys(at.node)) {
			all = append(all, z.signatures(at.owner, "", t)...)
		}
		return all
	}
	return at.node[typ]
}

// link makes the chain of NSEC owners: every name with records but those below
// a cut or a DNAME record.
func (z *Zone) link() {
	if z.key == nil {
		return
	}
	for name, at := range z.nodes {
		if len(at) > 0 {
			z.chain = append(z.chain, name)
		}
	}
	slices.SortFunc(z.chain, compareNames)
	hidden := "" // the names below this one are not ours
	z.chain = slices.DeleteFunc(z.chain, func(name string) bool {
		if hidden != "" && dns.IsSubDomain(hidden, name) {
			return true
		}
		at := z.nodes[name]
		if at[dns.TypeDNAME] != nil || name != z.name && at[dns.TypeNS] != nil {
			hidden = name
		}
		return false
	})
}

// matching returns the NSEC record at a name with its signature.
func (z *Zone) matching(owner string) []dns.RR {
	if z.key == nil {
		return nil
	}
	if _, found := slices.BinarySearchFunc(z.chain, owner, compareNames); !found {
		return nil
	}
	return append([]dns.RR{z.nsec(owner)}, z.signatures(owner, "", dns.TypeNSEC)...)
}

// covering returns the NSEC record that covers a canonical name, with its
// signature.
func (z *Zone) covering(name string) []dns.RR {
	if z.key == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(z.chain, name, compareNames)
	if !found {
		i-- // the apex comes before every other name
	}
	return z.matching(z.chain[i])
}

// nsec returns the NSEC record of a name of the chain, RFC 4034 section 4.
func (z *Zone) nsec(owner string) *dns.NSEC {
	at := z.nodes[owner]
	i, _ := slices.BinarySearchFunc(z.chain, owner, compareNames)
	bits := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	isCut := owner != z.name && at[dns.TypeNS] != nil
	for t := range at {
		if !isCut || t == dns.TypeNS || t == dns.TypeDS {
			bits = append(bits, t)
		}
	}
	slices.Sort(bits)
	ttl := uint32(defaultTTL)
	if set := z.nodes[z.name][dns.TypeSOA]; len(set) > 0 {
		ttl = min(set[0].Header().Ttl, set[0].(*dns.SOA).Minttl) // RFC 9077
	}
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
		NextDomain: z.chain[(i+1)%len(z.chain)],
		TypeBitMap: bits,
	}
}

// isDNSSEC tells whether a type may stand beside a CNAME record, RFC 4034
// section 3 and 4.
func isDNSSEC(typ uint16) bool { return typ == dns.TypeRRSIG || typ == dns.TypeNSEC }

// compareNames orders canonical names as RFC 4034 section 6.1 wants: label by
// label from the right.
func compareNames(a, b string) int {
	x, y := dns.SplitDomainName(a), dns.SplitDomainName(b)
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.CompareFunc(x, y, func(p, q string) int {
		return strings.Compare(octets(p), octets(q))
	})
}

// octets returns a label in wire format.
func octets(label string) string {
	if !strings.Contains(label, `\`) {
		return label
	}
	var space [maxName]byte
	n, err := dns.PackDomainName(label+".", space[:], 0, nil, false)
	if err != nil {
		return label
	}
	return string(space[1 : n-1])
}
