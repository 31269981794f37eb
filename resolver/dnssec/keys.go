package dnssec

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxKeys bounds the DNSKEY set of a zone. 32: a zone that rolls two
	// algorithms at once has eight. More are not looked at.
	maxKeys = 32

	// maxSameTag bounds the keys of one tag and algorithm that are tried for one
	// signature or DS. Two: tags collide by chance once in 65,536, and keys made
	// to collide multiply the work of each signature (CVE-2023-50387).
	maxSameTag = 2
)

// Keys are the keys of one zone that its parent's DS set, or an anchor, vouches
// for, parsed once. They never change, and many goroutines may use them.
type Keys struct {
	zone    name
	keys    []key
	expires time.Time
}

// Empty reports whether nothing can be verified with the keys.
func (k Keys) Empty() bool { return len(k.keys) == 0 }

// Expires returns when the zone has to be asked for its keys again.
func (k Keys) Expires() time.Time { return k.expires }

// named returns the keys with this tag and algorithm, at most maxSameTag.
func (k Keys) named(tag uint16, algorithm uint8) []key {
	var found []key
	for _, key := range k.keys {
		if key.tag == tag && key.algorithm == algorithm && len(found) < maxSameTag {
			found = append(found, key)
		}
	}
	return found
}

// A key is one public key that can verify.
type key struct {
	tag       uint16
	algorithm uint8

	// price is what verifying one signature costs, in tenths of a unit.
	price int

	// verify judges one signature over the signed octets.
	verify func(signed, signature []byte) bool
}

// A published key is a DNSKEY record as the zone has it. Nothing has looked at
// the key itself yet: that is for those that are vouched for.
type published struct {
	tag       uint16
	algorithm uint8
	flags     uint16
	protocol  uint8
	data      []byte // in wire form
}

// publish reads a DNSKEY record.
func publish(k *dns.DNSKEY) (published, error) {
	public, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		return published{}, err
	}
	data := binary.BigEndian.AppendUint16(make([]byte, 0, 4+len(public)), k.Flags)
	data = append(append(data, k.Protocol, k.Algorithm), public...)
	return published{
		tag: tag(data), algorithm: k.Algorithm, flags: k.Flags, protocol: k.Protocol, data: data,
	}, nil
}

// tag returns the key tag of a DNSKEY's data, RFC 4034 appendix B.
func tag(data []byte) uint16 {
	var sum uint32
	for i, octet := range data {
		sum += uint32(octet) << (8 * (1 - i&1))
	}
	return uint16(sum + sum>>16)
}

// unfit returns why the key may not verify what is in the zone, or nil.
func (p published) unfit(zone string) *ProofError {
	const protocol = 3 // RFC 4034 section 2.1.2
	switch {
	case p.flags&dns.ZONE == 0:
		return fault(codeNoZoneKey, zone, "key %d/%d is no zone key", p.algorithm, p.tag)
	case p.flags&dns.REVOKE != 0: // RFC 5011 section 2.1
		return fault(codeBogus, zone, "key %d/%d is revoked", p.algorithm, p.tag)
	case p.protocol != protocol:
		return fault(codeBogus, zone, "key %d/%d has protocol %d", p.algorithm, p.tag, p.protocol)
	}
	return nil
}

// parse returns the key, or the fault that nothing can verify with it.
func (p published) parse(zone string, r Rules) (key, *ProofError) {
	a, ok := r.algorithm(p.algorithm)
	if !ok {
		return key{}, fault(codeAlgorithm, zone, "key %d/%d has an unsupported algorithm", p.algorithm, p.tag)
	}
	k := key{tag: p.tag, algorithm: p.algorithm}
	if err := a.parse(&k, p.data[4:]); err != nil {
		return key{}, fault(codeAlgorithm, zone, "key %d/%d is unsupported: %v", p.algorithm, p.tag, err)
	}
	return k, nil
}

// TrustKeys returns the keys of zone, if one that ds vouches for has signed the
// whole set. ds is what the parent has signed, or an anchor. If none of ds can
// be judged, or only keys of unsupported shapes are behind it, the error has the
// Status Insecure. Errors are of type *ProofError.
func TrustKeys(zone string, ds []*dns.DS, set RRset, at time.Time, w *Work) (Keys, error) {
	z, err := canonical(zone)
	if err != nil {
		return Keys{}, fault(codeBogus, zone, "%v", err)
	}
	zone = z.String()
	all, bad := publishedBy(zone, set)
	if bad != nil {
		return Keys{}, bad
	}
	entries, bad := entryKeys(z, ds, all, w)
	if bad != nil {
		return Keys{}, bad
	}
	s, err := VerifyRRset(set, Keys{zone: z, keys: entries}, at, w)
	if err != nil {
		return Keys{}, err
	}
	k := Keys{zone: z, expires: at.Add(time.Duration(s.TTL) * time.Second)}
	for _, p := range all {
		if p.unfit(zone) != nil {
			continue
		}
		if key, bad := p.parse(zone, w.rules); bad == nil {
			k.keys = append(k.keys, key)
		}
	}
	return k, nil
}

// SignedBy reports whether a key has signed the set, though it be revoked: thus
// a key revokes itself, RFC 5011 section 2.1.
func SignedBy(k *dns.DNSKEY, set RRset, at time.Time, w *Work) bool {
	z, err := canonical(k.Hdr.Name)
	p, malformed := publish(k)
	if err != nil || malformed != nil {
		return false
	}
	own, bad := p.parse(z.String(), w.rules)
	if bad == nil {
		_, err = VerifyRRset(set, Keys{zone: z, keys: []key{own}}, at, w)
	}
	return bad == nil && err == nil
}

// publishedBy reads a zone's DNSKEY set.
func publishedBy(zone string, set RRset) ([]published, *ProofError) {
	switch {
	case len(set.RRs) == 0:
		return nil, fault(codeKeyMissing, zone, "no DNSKEY")
	case len(set.RRs) > maxKeys:
		return nil, fault(codeBogus, zone, "%d or more keys, at most %d are looked at", len(set.RRs), maxKeys)
	}
	all := make([]published, 0, len(set.RRs))
	for _, rr := range set.RRs {
		k, ok := rr.(*dns.DNSKEY)
		if !ok {
			return nil, fault(codeKeyMissing, zone, "%s is no DNSKEY", dns.Type(rr.Header().Rrtype))
		}
		p, err := publish(k)
		if err != nil {
			return nil, fault(codeBogus, zone, "malformed DNSKEY: %v", err)
		}
		all = append(all, p)
	}
	return all, nil
}
