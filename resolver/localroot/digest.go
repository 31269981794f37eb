package localroot

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// simple is the only scheme of ZONEMD, RFC 8976 section 2.2.2.
const simple = 1

// digests are the hash algorithms of ZONEMD, RFC 8976 section 2.2.3.
var digests = map[uint8]func() hash.Hash{1: sha512.New384, 2: sha512.New}

// checkDigest compares the zone with its ZONEMD records, whose signatures have
// been verified, RFC 8976 section 4. It is content if there are none, or none
// that it understands: the signatures vouch for that, too.
func (z *Zone) checkDigest() error {
	set := z.apex.set(dns.TypeZONEMD)
	if set == nil {
		return nil
	}
	var known []*dns.ZONEMD
	for _, rr := range set.RRs {
		md, ok := rr.(*dns.ZONEMD)
		if !ok || md.Scheme != simple || digests[md.Hash] == nil {
			continue
		}
		for _, other := range known {
			if other.Hash == md.Hash && !dns.IsDuplicate(other, md) {
				return fmt.Errorf("ZONEMD: two of scheme %d and hash %d", md.Scheme, md.Hash)
			}
		}
		known = append(known, md)
	}
	var wrong error
	for _, md := range known {
		if md.Serial != z.soa.Serial {
			wrong = fmt.Errorf("ZONEMD: of serial %d, the zone has %d", md.Serial, z.soa.Serial)
			continue
		}
		digest, err := z.digest(digests[md.Hash]())
		if err != nil {
			return err
		}
		if strings.EqualFold(md.Digest, hex.EncodeToString(digest)) {
			return nil
		}
		wrong = errors.New("ZONEMD: the zone has another digest")
	}
	return wrong
}

// A line is one record as it is digested.
type line struct {
	key  string // of its owner
	typ  uint16
	data []byte
	wire []byte
}

// digest computes the digest of the zone, RFC 8976 section 3: of all records but
// ZONEMD and its signatures, in canonical form and order, none twice.
func (z *Zone) digest(h hash.Hash) ([]byte, error) {
	lines := make([]line, 0, len(z.records))
	for _, rr := range z.records {
		if isDigest(rr) {
			continue
		}
		one, err := lineOf(rr)
		if err != nil {
			return nil, err
		}
		lines = append(lines, one)
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.typ, b.typ), bytes.Compare(a.data, b.data))
	})
	for i, one := range lines {
		if i > 0 && one.key == lines[i-1].key && one.typ == lines[i-1].typ && bytes.Equal(one.data, lines[i-1].data) {
			continue
		}
		h.Write(one.wire)
	}
	return h.Sum(nil), nil
}

// isDigest reports whether a record is the ZONEMD of the root or signs it.
func isDigest(rr dns.RR) bool {
	sig, ok := rr.(*dns.RRSIG)
	typ := rr.Header().Rrtype
	return rr.Header().Name == "." && (typ == dns.TypeZONEMD || ok && sig.TypeCovered == dns.TypeZONEMD)
}

// lineOf returns the canonical form of a record.
func lineOf(rr dns.RR) (line, error) {
	wire := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		return line{}, fmt.Errorf("%s %s: %w", rr.Header().Name, dns.Type(rr.Header().Rrtype), err)
	}
	wire = wire[:end]
	owner, fixed := cutName(wire)
	lower(owner)
	const header = 10 // octets of type, class, TTL and length, RFC 1035 section 3.2.1
	typ, data := binary.BigEndian.Uint16(fixed), fixed[header:]
	dnssec.LowerNames(typ, data)
	if _, ok := rr.(*dns.RRSIG); ok { // whose signer is not among those, as nobody signs signatures
		const before = 18 // octets of a signature's other fields, RFC 4034 section 3.1
		signer, _ := cutName(data[min(before, len(data)):])
		lower(signer)
	}
	return line{keyOf(owner), typ, data, wire}, nil
}

// cutName splits the name at the beginning of wire off the rest. What ends too
// early, as a signature without any data does, is all name.
func cutName(wire []byte) (name, rest []byte) {
	at := 0
	for at < len(wire) && wire[at] != 0 {
		at += 1 + int(wire[at])
	}
	at = min(at+1, len(wire))
	return wire[:at], wire[at:]
}
