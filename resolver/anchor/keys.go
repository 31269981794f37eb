package anchor

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxAnchors bounds the records of a trust anchor file. 64: a zone in the midst
// of a roll has two, and an operator has a few zones with anchors of their own.
const maxAnchors = 64

// keys are the root's keys as IANA publishes them: KSK-2017, and KSK-2024,
// which is in the zone since 2025-01-11 and signs since 2026-10-11.
var keys = [...]string{
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
}

// Keys returns the trust anchors of the root that are built in. The caller owns
// the result.
func Keys() []*dns.DS {
	anchors, err := ReadKeys(strings.NewReader(strings.Join(keys[:], "\n")))
	if err != nil {
		panic(err.Error()) // it names the package
	}
	return anchors
}

// ReadKeys reads trust anchors: DS and DNSKEY records, of any zones, as
// zone-file text (RFC 1035 section 5) without $INCLUDE. A DNSKEY becomes its DS.
// None comes twice. An error names the line.
func ReadKeys(r io.Reader) ([]*dns.DS, error) {
	var anchors []*dns.DS
	lines := &lineReader{r: bufio.NewReader(io.LimitReader(r, maxHintsSize+1))}
	parser := dns.NewZoneParser(lines, ".", "")
	parser.SetDefaultTTL(0) // an anchor's TTL means nothing, so it may be missing
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		ds, err := readKey(rr)
		if err == nil && len(anchors) == maxAnchors {
			err = fmt.Errorf("more than %d trust anchors", maxAnchors)
		}
		if err != nil {
			return nil, fmt.Errorf("anchor: line %d: %w", lines.last, err)
		}
		if !slices.ContainsFunc(anchors, func(a *dns.DS) bool { return sameDS(a, ds) }) {
			anchors = append(anchors, ds)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("anchor: line %d: %w", lines.last, err)
	}
	if len(anchors) == 0 {
		return nil, errors.New("anchor: no DS or DNSKEY record")
	}
	return anchors, nil
}

// readKey reads one trust anchor. What could never vouch for a key is an error:
// whoever writes it expects to be protected by it.
func readKey(rr dns.RR) (*dns.DS, error) {
	h := rr.Header()
	if h.Class != dns.ClassINET {
		return nil, fmt.Errorf("class %s in a trust anchor, want IN", dns.Class(h.Class))
	}
	h.Name, h.Ttl = dns.CanonicalName(h.Name), 0
	switch rr := rr.(type) {
	case *dns.DS:
		length, ok := map[uint8]int{dns.SHA256: 64, dns.SHA384: 96}[rr.DigestType]
		switch {
		case !ok:
			return nil, fmt.Errorf("digest type %d, want 2 or 4", rr.DigestType)
		case len(rr.Digest) != length:
			return nil, fmt.Errorf("digest of %d hexadecimal digits, want %d", len(rr.Digest), length)
		}
		if _, err := hex.DecodeString(rr.Digest); err != nil {
			return nil, fmt.Errorf("digest: %w", err)
		}
		rr.Digest = strings.ToUpper(rr.Digest)
		return rr, nil
	case *dns.DNSKEY:
		if rr.Flags&dns.ZONE == 0 || rr.Flags&dns.REVOKE != 0 || rr.Protocol != 3 {
			return nil, fmt.Errorf("flags %d and protocol %d, want a zone key that is not revoked", rr.Flags, rr.Protocol)
		}
		return dsOf(rr)
	default:
		return nil, fmt.Errorf("%s record in a trust anchor, want DS or DNSKEY", dns.Type(h.Rrtype))
	}
}

// dsOf returns the DS of a key with SHA-256.
func dsOf(k *dns.DNSKEY) (*dns.DS, error) {
	ds := k.ToDS(dns.SHA256)
	if ds == nil {
		return nil, errors.New("malformed key")
	}
	ds.Hdr.Ttl = 0
	ds.Digest = strings.ToUpper(ds.Digest)
	return ds, nil
}

// sameDS reports whether two anchors are the same.
func sameDS(a, b *dns.DS) bool {
	return a.Hdr.Name == b.Hdr.Name && a.KeyTag == b.KeyTag && a.Algorithm == b.Algorithm &&
		a.DigestType == b.DigestType && a.Digest == b.Digest
}

// vouches reports whether an anchor is one of this key.
func vouches(a *dns.DS, k *dns.DNSKEY) bool {
	if a.KeyTag != k.KeyTag() || a.Algorithm != k.Algorithm {
		return false
	}
	ds := k.ToDS(a.DigestType)
	return ds != nil && strings.EqualFold(ds.Digest, a.Digest)
}
