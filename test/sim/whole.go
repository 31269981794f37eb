package sim

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// Whole returns all records of a signed zone, the SOA first, as who copies the
// zone gets them. With digest set, there is a ZONEMD record among them, RFC
// 8976: scheme SIMPLE, SHA-384. It is right if all names are in lower case.
func (z *Zone) Whole(digest bool) []dns.RR {
	z.internet.mu.Lock()
	defer z.internet.mu.Unlock()
	md := &dns.ZONEMD{
		Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeZONEMD, Class: dns.ClassINET, Ttl: defaultTTL}, Scheme: 1, Hash: 1,
	}
	kept := slices.DeleteFunc(slices.Clone(z.records), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeZONEMD })
	if digest {
		kept = append(kept, md)
	}
	z.change(kept)
	z.index()
	if digest {
		soa := z.set(place{exact, z.name, z.nodes[z.name]}, dns.TypeSOA)[0].(*dns.SOA)
		md.Serial = soa.Serial
		md.Digest = hex.EncodeToString(digestOf(z.whole()))
		delete(z.signed, signature{z.name, dns.TypeZONEMD})
	}
	return copies(z.whole(), "")
}

// whole returns all records, the SOA first, then by name, type and data.
func (z *Zone) whole() []dns.RR {
	var soa, all []dns.RR
	for _, name := range slices.SortedFunc(maps.Keys(z.nodes), compareNames) {
		node := maps.Clone(z.nodes[name])
		ours := false
		if _, ours = slices.BinarySearchFunc(z.chain, name, compareNames); ours {
			node[dns.TypeNSEC] = []dns.RR{z.nsec(name)}
		}
		for _, typ := range slices.Sorted(maps.Keys(node)) {
			set := node[typ]
			isCut := name != z.name && node[dns.TypeNS] != nil
			if ours && (!isCut || typ == dns.TypeDS || typ == dns.TypeNSEC) {
				set = append(slices.Clip(set), z.signatures(name, "", typ)...)
			}
			if typ == dns.TypeSOA {
				soa = set
			} else {
				all = append(all, set...)
			}
		}
	}
	return append(slices.Clip(soa), all...)
}

// digestOf computes the digest of all records but ZONEMD and its signatures, RFC
// 8976 section 3.
func digestOf(rrs []dns.RR) []byte {
	type record struct {
		owner string
		typ   uint16
		wire  []byte
		data  int // where it begins in wire
	}
	var all []record
	for _, rr := range rrs {
		sig, isSig := rr.(*dns.RRSIG)
		if rr.Header().Rrtype == dns.TypeZONEMD || isSig && sig.TypeCovered == dns.TypeZONEMD {
			continue
		}
		wire := make([]byte, dns.MaxMsgSize)
		end, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			panic("sim: " + err.Error())
		}
		_, data, err := dns.UnpackDomainName(wire, 0)
		if err != nil {
			panic("sim: " + err.Error())
		}
		const fixed = 10 // octets of type, class, TTL and length
		all = append(all, record{rr.Header().Name, rr.Header().Rrtype, wire[:end], data + fixed})
	}
	slices.SortFunc(all, func(a, b record) int {
		if c := compareNames(a.owner, b.owner); c != 0 {
			return c
		}
		if a.typ != b.typ {
			return int(a.typ) - int(b.typ)
		}
		return bytes.Compare(a.wire[a.data:], b.wire[b.data:])
	})
	h := sha512.New384()
	for _, r := range all {
		h.Write(r.wire)
	}
	return h.Sum(nil)
}
