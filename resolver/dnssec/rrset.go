package dnssec

import (
	"strings"

	"github.com/miekg/dns"
)

const (
	// maxRecords bounds the records of one set. 256, as PowerDNS; the greatest
	// in use have some dozens, and sorting them is work (CVE-2024-1737).
	maxRecords = 256

	// maxSignatures bounds the signatures kept of one set. 8: two algorithms and
	// two keys of each in a roll make four.
	maxSignatures = 8
)

// An RRset is one set of records, all of the same owner, type and class, with
// the signatures that came with it.
type RRset struct {
	RRs  []dns.RR
	Sigs []*dns.RRSIG
}

// Sets groups the records of a section, in the order in which they come. It
// keeps the first 8 signatures of a set and leaves out those without a set, and
// it keeps one record more than a set may have, so that VerifyRRset refuses the
// whole set rather than a part of it. OPT and TSIG belong to no set.
func Sets(rrs []dns.RR) []RRset {
	type key struct {
		owner      string
		typ, class uint16
	}
	var sets []RRset
	at := make(map[key]int, len(rrs))
	for _, rr := range rrs {
		h := rr.Header()
		switch h.Rrtype {
		case dns.TypeRRSIG, dns.TypeOPT, dns.TypeTSIG:
			continue
		}
		k := key{strings.ToLower(h.Name), h.Rrtype, h.Class}
		i, known := at[k]
		if !known {
			i = len(sets)
			at[k] = i
			sets = append(sets, RRset{})
		}
		if s := &sets[i]; len(s.RRs) <= maxRecords {
			s.RRs = append(s.RRs, rr)
		}
	}
	for _, rr := range rrs {
		sig, ok := rr.(*dns.RRSIG)
		if !ok {
			continue
		}
		i, known := at[key{strings.ToLower(sig.Hdr.Name), sig.TypeCovered, sig.Hdr.Class}]
		if known && len(sets[i].Sigs) < maxSignatures {
			sets[i].Sigs = append(sets[i].Sigs, sig)
		}
	}
	return sets
}

// Name returns the owner as it came, "" for an empty set.
func (s RRset) Name() string {
	if len(s.RRs) == 0 {
		return ""
	}
	return s.RRs[0].Header().Name
}

// Type returns the type of the records, 0 for an empty set.
func (s RRset) Type() uint16 {
	if len(s.RRs) == 0 {
		return 0
	}
	return s.RRs[0].Header().Rrtype
}
