package dnssec

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"slices"

	"github.com/miekg/dns"
)

const (
	// maxDS bounds the DS of a zone that are considered. 8: two keys of two
	// algorithms in a roll, each with two digests.
	maxDS = 8

	// maxMismatches bounds the keys that have a DS's tag and algorithm but not
	// its digest. 4, as Unbound: a wrong one is a rare accident, and a made one
	// costs us a digest ("HashTrap", CVE-2023-50387).
	maxMismatches = 4
)

// digest returns the hash of a DS digest type if these rules support it.
func (r Rules) digest(n uint8) (crypto.Hash, bool) {
	switch n {
	case dns.SHA256:
		return crypto.SHA256, true
	case dns.SHA384:
		return crypto.SHA384, true
	case dns.SHA1:
		return crypto.SHA1, r.SHA1
	}
	return 0, false
}

// Unsupported returns what a DS wants that is not supported, or nil. A zone that
// has no other DS is insecure (RFC 4035 section 5.2).
func (r Rules) Unsupported(d *dns.DS) *ProofError {
	if _, ok := r.algorithm(d.Algorithm); !ok {
		return fault(codeAlgorithm, d.Hdr.Name, "DS of unsupported algorithm %d", d.Algorithm)
	}
	if _, ok := r.digest(d.DigestType); !ok {
		return fault(codeDigest, d.Hdr.Name, "DS of unsupported digest type %d", d.DigestType)
	}
	return nil
}

// usable returns the DS of zone to judge by. SHA-1 digests are ignored where
// there is a better one (RFC 4509 section 3), so that a broken hash opens no
// second way in.
func usable(zone name, ds []*dns.DS, r Rules) ([]*dns.DS, *ProofError) {
	bad := fault(codeBogus, zone.String(), "no DS")
	var all []*dns.DS
	for _, d := range ds {
		if owner, err := canonical(d.Hdr.Name); err != nil || !bytes.Equal(owner, zone) {
			continue
		}
		if why := r.Unsupported(d); why != nil {
			bad = why
			continue
		}
		all = append(all, d)
	}
	weak := func(d *dns.DS) bool { return d.DigestType == dns.SHA1 }
	if strong := slices.DeleteFunc(slices.Clone(all), weak); len(strong) > 0 {
		all = strong
	}
	if len(all) == 0 {
		return nil, bad
	}
	return all, nil
}

// entryKeys returns the keys of zone that ds vouches for and that can verify.
// That there are none but unsupported ones has to hold for every DS: else who
// leaves keys out of a reply could make the zone insecure.
func entryKeys(zone name, ds []*dns.DS, all []published, w *Work) ([]key, *ProofError) {
	wanted, bad := usable(zone, ds, w.rules)
	if bad != nil {
		return nil, bad
	}
	var entries []key
	var shape *ProofError
	known := make([]bool, len(all)) // two DS may be digests of one key
	unsupported, mismatches := 0, 0
	for _, d := range wanted[:min(len(wanted), maxDS)] {
		i, why := behind(zone, d, all, &mismatches, w)
		if why != nil {
			bad = why
			if why.Spent || mismatches >= maxMismatches {
				break
			}
			continue
		}
		k, why := all[i].parse(zone.String(), w.rules)
		switch {
		case why != nil:
			shape = why
			unsupported++
		case !known[i]:
			known[i] = true
			entries = append(entries, k)
		}
	}
	switch {
	case len(entries) > 0:
		return entries, nil
	case unsupported == len(wanted):
		return nil, shape
	case bad == nil:
		bad = fault(codeBogus, zone.String(), "%d DS, at most %d are considered", len(wanted), maxDS)
	}
	return nil, bad
}

// behind returns the index of the key that d is the digest of. It adds the keys
// that it is not the digest of to mismatches.
func behind(zone name, d *dns.DS, all []published, mismatches *int, w *Work) (int, *ProofError) {
	bad := fault(codeKeyMissing, zone.String(), "no key %d/%d for its DS", d.Algorithm, d.KeyTag)
	want, err := hex.DecodeString(d.Digest)
	hash, _ := w.rules.digest(d.DigestType)
	if err != nil || len(want) != hash.Size() {
		return 0, fault(codeBogus, zone.String(), "malformed digest in the DS of key %d/%d", d.Algorithm, d.KeyTag)
	}
	same := 0
	for i, p := range all {
		if p.tag != d.KeyTag || p.algorithm != d.Algorithm {
			continue
		}
		if same++; same > maxSameTag || *mismatches >= maxMismatches {
			break
		}
		if why := p.unfit(zone.String()); why != nil {
			bad = why
			continue
		}
		if !w.digest() {
			return 0, spent(zone.String(), "digests")
		}
		if bytes.Equal(want, sum(hash, slices.Concat(zone, p.data))) {
			return i, nil
		}
		*mismatches++
		bad = fault(codeKeyMissing, zone.String(), "key %d/%d has not the digest of its DS", d.Algorithm, d.KeyTag)
	}
	return 0, bad
}
