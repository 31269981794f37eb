package localroot

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// Verify proves that the zone is, as a whole, what the owner of the root's keys
// has signed, for the time at. It returns when the first signature ends.
//
// The anchors vouch for the keys, and these for every set that the zone itself
// has. The NSEC records lead from name to name and back to the root, and tell
// which sets each name has, so that none is missing. If ZONEMD is among those,
// the digest must be right, which vouches for the servers' names and addresses,
// too. Without it, as before 2023, those are no more certain than a server's
// reply makes them.
func (z *Zone) Verify(anchors []*dns.DS, r dnssec.Rules, at time.Time) (until time.Time, err error) {
	if until, err = z.verify(anchors, r, at); err != nil {
		return until, fmt.Errorf("localroot: serial %d: %w", z.Serial(), err)
	}
	return until, nil
}

func (z *Zone) verify(anchors []*dns.DS, r dnssec.Rules, at time.Time) (until time.Time, err error) {
	var published dnssec.RRset
	if set := z.apex.set(dns.TypeDNSKEY); set != nil {
		published = *set
	}
	keys, err := dnssec.TrustKeys(".", anchors, published, at, dnssec.NewWork(r))
	if err != nil {
		return until, err
	}
	for i, n := range z.chain {
		if err := z.checkLink(n, z.chain[(i+1)%len(z.chain)]); err != nil {
			return until, err
		}
		for _, set := range n.sets {
			if !z.owns(n, set.Type()) {
				continue
			}
			signed, err := dnssec.VerifyRRset(set, keys, at, dnssec.NewWork(r))
			switch {
			case err != nil:
				return until, err
			case signed.Wildcard != "":
				return until, fmt.Errorf("%s %s: signed for a wildcard", n.name, dns.Type(set.Type()))
			case until.IsZero() || signed.Until.Before(until):
				until = signed.Until
			}
		}
	}
	return until, z.checkDigest()
}

// errChain says that the chain of NSEC records is broken.
var errChain = errors.New("the NSEC records do not lead to each other")

// checkLink checks that the NSEC record of n tells which sets it has, and leads
// to next.
func (z *Zone) checkLink(n, next *node) error {
	set := n.set(dns.TypeNSEC)
	if set == nil || len(set.RRs) != 1 {
		return fmt.Errorf("%s: has not one NSEC record", n.name)
	}
	nsec, ok := set.RRs[0].(*dns.NSEC)
	if !ok {
		return fmt.Errorf("%s: %w", n.name, errChain)
	}
	if to, _, err := canonical(nsec.NextDomain); err != nil || to != next.name {
		return fmt.Errorf("%s: %w", n.name, errChain)
	}
	has := []uint16{dns.TypeRRSIG}
	for _, set := range n.sets {
		if z.owns(n, set.Type()) || set.Type() == dns.TypeNS {
			has = append(has, set.Type())
		}
	}
	slices.Sort(has)
	if said := slices.Sorted(slices.Values(nsec.TypeBitMap)); !slices.Equal(said, has) {
		return fmt.Errorf("%s: the NSEC record tells of other sets than there are", n.name)
	}
	return nil
}
