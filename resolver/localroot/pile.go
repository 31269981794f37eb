package localroot

import (
	"fmt"

	"github.com/miekg/dns"
)

const (
	// MaxRecords bounds the records of a zone, so that a wrong file or a hostile
	// server does not fill the memory. The root has some 25,000.
	MaxRecords = 200_000

	// maxMemory bounds what they may take in memory, in octets, as costOf
	// estimates. 64 MiB: the root takes 13 MiB by that, and 36 MiB if each
	// signature were one of ML-DSA-44 (2,420 octets). MaxSize alone is no bound: by
	// compression two octets of a message are a name of 255, and a string without
	// letters is one octet there and 16 here.
	maxMemory = 64 << 20
)

// What a record costs in memory, in octets.
const (
	costRecord = 256 // itself, and its place in the zone
	costText   = 4   // for an octet of a name or of what is kept as text: at most "\255"
	costParts  = 28  // for an octet of what is kept as a list of values
)

// A Pile gathers the records of a zone, no more than the memory has room for.
// The zero Pile is empty.
type Pile struct {
	rrs  []dns.RR
	cost int
}

// Add puts a record on the pile, which keeps it, or says that it is too high.
func (p *Pile) Add(rr dns.RR) error {
	p.cost += costOf(rr)
	switch {
	case len(p.rrs) == MaxRecords:
		return fmt.Errorf("more than %d records", MaxRecords)
	case p.cost > maxMemory:
		return fmt.Errorf("records that take more than %d MiB of memory", maxMemory>>20)
	}
	p.rrs = append(p.rrs, rr)
	return nil
}

// Records returns what is on the pile, in the order in which it came. Read only.
func (p *Pile) Records() []dns.RR { return p.rrs }

// Zone returns the zone that the pile is, which keeps the records.
func (p *Pile) Zone() (*Zone, error) { return New(p.rrs) }

// costOf estimates what a record takes in memory: never less than it does.
func costOf(rr dns.RR) int {
	size := dns.Len(rr) // with all names written out
	switch rr.(type) {
	case *dns.A, *dns.AAAA, *dns.NS, *dns.SOA, *dns.DS, *dns.DNSKEY, *dns.RRSIG, *dns.ZONEMD, *dns.RFC3597:
		return costRecord + size*costText
	}
	return costRecord + size*costParts
}
