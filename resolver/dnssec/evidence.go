package dnssec

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/miekg/dns"
)

// maxDenials bounds the NSEC and NSEC3 records that are looked at in one reply:
// a proof needs at most three. 8, as Knot Resolver; each costs a signature, and
// of NSEC3 a comparison with every hash (CVE-2023-50868, CVE-2026-11605).
const maxDenials = 8

// An evidence is what one reply proves about the names that a zone has not: its
// NSEC and NSEC3 records, with valid signatures by the zone's keys.
type evidence struct {
	nsecs nsecs
	chain chain

	sets  []RRset   // the records with their signatures
	until time.Time // when the first signature ends
	ttl   uint32    // least cap of a record, in seconds

	// fault is the first thing that was wrong with a record. It matters only if
	// the others prove too little.
	fault *ProofError
}

// gather reads s, a name of k's zone, and verifies the evidence about it.
func gather(s string, denial []RRset, k Keys, at time.Time, w *Work) (name, *evidence, error) {
	n, err := canonical(s)
	if err != nil || k.Empty() || !n.within(k.zone) {
		return nil, nil, fault(codeKeyMissing, s, "there are no keys of its zone")
	}
	e := &evidence{ttl: math.MaxUint32}
	var records []nsec3
	looked := 0
	for _, set := range denial {
		plain, hashed := readDenials(set, k.zone)
		if len(plain)+len(hashed) == 0 {
			continue // nothing that is worth a signature
		}
		if looked += len(set.RRs); looked > maxDenials {
			break
		}
		if e.verify(set, k, at, w) {
			e.nsecs = append(e.nsecs, plain...)
			records = append(records, hashed...)
		}
	}
	e.chain = newChain(k.zone, records, w)
	return n, e, nil
}

// readDenials reads what a set says as one of zone, without its signature.
func readDenials(set RRset, zone name) (plain nsecs, hashed []nsec3) {
	for _, rr := range set.RRs {
		if rr.Header().Class != dns.ClassINET {
			continue
		}
		switch rr := rr.(type) {
		case *dns.NSEC:
			if r, ok := readNSEC(rr, zone); ok {
				plain = append(plain, r)
			}
		case *dns.NSEC3:
			if r, ok := readNSEC3(rr, zone); ok {
				hashed = append(hashed, r)
			}
		}
	}
	return plain, hashed
}

// verify reports whether the signature of a set is valid, and notes how long.
// A record that was expanded from a wildcard is not where its owner says: it
// proves nothing (CVE-2017-15105).
func (e *evidence) verify(set RRset, k Keys, at time.Time, w *Work) bool {
	signed, err := VerifyRRset(set, k, at, w)
	if err == nil && signed.Wildcard != "" {
		err = fault(codeBogus, set.Name(), "%s expanded from %s", dns.Type(set.Type()), signed.Wildcard)
	}
	if err != nil {
		if e.fault == nil {
			errors.As(err, &e.fault)
		}
		return false
	}
	if e.until.IsZero() || signed.Until.Before(e.until) {
		e.until = signed.Until
	}
	e.sets = append(e.sets, set)
	e.ttl = min(e.ttl, signed.TTL)
	return true
}

// conclude makes a Denial of n from the first statement that is proven, or
// says why none is.
func (e *evidence) conclude(n name, statement string, proven ...Status) (Denial, error) {
	for _, s := range proven {
		if s != Bogus {
			return Denial{Status: s, Sets: e.sets, Until: e.until, TTL: e.ttl}, nil
		}
	}
	bad := cmp.Or(e.chain.fault, e.fault, fault(codeDenialMissing, n.String(), "no NSEC or NSEC3 proves that %s", statement))
	return Denial{Status: bad.Status()}, bad
}
