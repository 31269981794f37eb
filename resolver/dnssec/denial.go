package dnssec

import (
	"time"

	"github.com/miekg/dns"
)

// A Denial is the proof that something does not exist.
type Denial struct {
	// Status is Insecure where opt-out leaves room for an unsigned delegation,
	// or where the zone's NSEC3 parameters are not computed.
	Status Status

	// Sets are the NSEC and NSEC3 records that the zone has signed. Of what was
	// brought, they alone may be remembered.
	Sets []RRset

	Until time.Time // when the first signature of the proof ends
	TTL   uint32    // in seconds, caps how long the denial may be kept
}

// ProveAbsent judges the denial of a reply that has nothing for q. What must be
// proven is what rcode claims: with NXDOMAIN, that there is no such name, nor a
// wildcard in its place; with NOERROR, that the name or the wildcard in its
// place is there and has neither records of the type nor an alias. One does not
// pass for the other. Only NSEC and NSEC3 records signed by k, which must be
// the zone's that replied, prove anything; what else there is, is passed over.
//
// An error is a *ProofError. Its Status and the Denial's are Insecure if the
// zone's NSEC3 parameters are beyond what is computed, otherwise Bogus.
func ProveAbsent(q dns.Question, rcode int, denial []RRset, k Keys, at time.Time, w *Work) (Denial, error) {
	n, e, err := gather(q.Name, denial, k, at, w)
	if err != nil {
		return Denial{Status: Bogus}, err
	}
	switch rcode {
	case dns.RcodeNameError:
		return e.conclude(n, "there is no such name",
			e.nsecs.noName(n), e.chain.noName(n))
	case dns.RcodeSuccess:
		return e.conclude(n, "there is no "+dns.Type(q.Qtype).String(),
			e.nsecs.noData(n, q.Qtype), e.nsecs.emptyNonTerminal(n), e.nsecs.wildcardNoData(n, q.Qtype),
			e.chain.noData(n, q.Qtype), e.chain.emptyNonTerminal(n), e.chain.wildcardNoData(n, q.Qtype),
			e.chain.optOut(n))
	default:
		return Denial{Status: Bogus}, fault(codeBogus, q.Name, "%s denies nothing", dns.RcodeToString[rcode])
	}
}

// ProveWildcard judges the denial that must come with records of owner that
// were expanded from wildcard, as VerifyRRset found: that there is nothing
// closer to owner, in whose favour the wildcard had to stand back. With a
// Status of Insecure, the records are so too: opt-out leaves room for an
// unsigned delegation. Otherwise it is as ProveAbsent.
func ProveWildcard(owner, wildcard string, denial []RRset, k Keys, at time.Time, w *Work) (Denial, error) {
	n, e, err := gather(owner, denial, k, at, w)
	if err != nil {
		return Denial{Status: Bogus}, err
	}
	star, err := canonical(wildcard)
	if err != nil || !star.wildcard() {
		return Denial{Status: Bogus}, fault(codeBogus, owner, "%q is no wildcard", wildcard)
	}
	encloser := star.parent()
	return e.conclude(n, "nothing is closer than "+wildcard,
		e.nsecs.wildcardExpansion(n, encloser), e.chain.wildcardExpansion(n, encloser))
}

// ProveNoDS judges the denial in a referral to child that came without a DS
// set: that child is a delegation, and that the parent, whose keys k are,
// vouches for no key of it. The Denial's Status is never more than Insecure:
// that is what is proven of child. Otherwise it is as ProveAbsent.
func ProveNoDS(child string, denial []RRset, k Keys, at time.Time, w *Work) (Denial, error) {
	n, e, err := gather(child, denial, k, at, w)
	if err != nil {
		return Denial{Status: Bogus}, err
	}
	d, err := e.conclude(n, "it is a delegation without DS",
		e.nsecs.noDS(n), e.chain.noDS(n), e.chain.optOut(n))
	if err == nil {
		d.Status = Insecure
	}
	return d, err
}
