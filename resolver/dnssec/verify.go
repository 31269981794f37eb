package dnssec

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// maxTries bounds the signatures of one set that are computed. 4: a set in an
// algorithm and a key roll has as many. It is not the price: see Work.
const maxTries = 4

// The clocks of signers and of hosts differ, and a validity that has just begun
// or ended is more often an accident than a replay. It is stretched at both
// ends by a tenth, as Unbound does, but at least by what summer time makes
// wrong and at most by a day.
const (
	skewPart = 10
	minSkew  = int64(time.Hour / time.Second)
	maxSkew  = int64(24 * time.Hour / time.Second)
)

// Signed is what a verified signature says beyond "genuine".
type Signed struct {
	// Wildcard is the name that the set was expanded from, "*.zone.", and ""
	// if it was not. Then only half is proven: that the owner itself, and every
	// name between, does not exist needs a denial. NSEC and NSEC3 that were
	// expanded deny nothing.
	Wildcard string

	// Until is when the signature ends.
	Until time.Time

	// TTL, in seconds, caps how long the set may be kept: RFC 4035 section 5.3.3.
	TTL uint32
}

// VerifyRRset verifies that the zone whose keys are k has signed set, as it is,
// for the time at. One signature that holds is enough, of whatever algorithm
// (RFC 6840 section 5.11). The error, a *ProofError, tells of the signature that
// came nearest to it.
func VerifyRRset(set RRset, k Keys, at time.Time, w *Work) (Signed, error) {
	f, bad := judged(set, k)
	if bad != nil {
		return Signed{}, bad
	}
	owner := set.Name()
	sigs := set.Sigs[:min(len(set.Sigs), maxSignatures)]
	checks := []func(*dns.RRSIG) *ProofError{
		func(s *dns.RRSIG) *ProofError { return f.fits(s, owner, k.zone) },
		func(s *dns.RRSIG) *ProofError { return inTime(s, owner, at) },
		func(s *dns.RRSIG) *ProofError { return k.missing(s, owner) },
	}
	for _, check := range checks {
		if sigs, bad = passing(sigs, check); bad != nil {
			return Signed{}, bad
		}
	}
	for _, sig := range sigs[:min(len(sigs), maxTries)] {
		if bad = f.genuine(sig, owner, k, w); bad == nil {
			return f.result(sig, at), nil
		}
		if bad.Spent {
			break
		}
	}
	return Signed{}, bad
}

// judged returns the canonical form of a set that k may judge.
func judged(set RRset, k Keys) (form, *ProofError) {
	owner := set.Name()
	if len(set.RRs) > 0 && len(set.Sigs) == 0 {
		return form{}, fault(codeSignatures, owner, "no signature of %s", dns.Type(set.Type()))
	}
	if k.Empty() {
		return form{}, fault(codeKeyMissing, owner, "no keys to verify %s with", dns.Type(set.Type()))
	}
	f, err := formOf(set.RRs)
	switch {
	case err != nil:
		return form{}, fault(codeBogus, owner, "%v", err)
	case !f.owner.within(k.zone):
		return form{}, fault(codeBogus, owner, "not in the zone %s", k.zone)
	case f.typ == dns.TypeDS && len(f.owner) == len(k.zone): // RFC 4035 section 2.4
		return form{}, fault(codeBogus, owner, "DS on the child's side of the cut")
	}
	return f, nil
}

// passing returns the signatures that pass check, or the fault of the last if
// none does.
func passing(sigs []*dns.RRSIG, check func(*dns.RRSIG) *ProofError) (passed []*dns.RRSIG, bad *ProofError) {
	for _, sig := range sigs {
		if why := check(sig); why != nil {
			bad = why
		} else {
			passed = append(passed, sig)
		}
	}
	if len(passed) > 0 {
		return passed, nil
	}
	return nil, bad
}

// fits returns why a signature cannot be one of zone over this set, or nil: RFC
// 4035 section 5.3.1. A wildcard of fewer labels than the zone has would stand
// above it (CVE-2026-44690).
func (f form) fits(sig *dns.RRSIG, owner string, zone name) *ProofError {
	covered, err := canonical(sig.Hdr.Name)
	if err != nil || !bytes.Equal(covered, f.owner) || sig.TypeCovered != f.typ || sig.Hdr.Class != f.class {
		return fault(codeBogus, owner, "signature of other records")
	}
	signer, err := canonical(sig.SignerName)
	if err != nil || !bytes.Equal(signer, zone) {
		return fault(codeBogus, owner, "signed by %s, not by its zone %s", sig.SignerName, zone)
	}
	labels, most := int(sig.Labels), f.owner.labels()
	if labels > most || labels < most && labels < zone.depth() {
		return fault(codeBogus, owner, "signature by %s has %d labels", zone, labels)
	}
	return nil
}

// inTime returns why a signature is not valid at a time, or nil.
func inTime(sig *dns.RRSIG, owner string, at time.Time) *ProofError {
	from, left, skew := period(sig, at)
	switch {
	case from+left < 0:
		return fault(codeNeverValid, owner, "signature by %s ends before it begins", keyOf(sig))
	case from < -skew:
		return fault(codeNotYetValid, owner, "signature by %s begins %s", keyOf(sig), moment(at, -from))
	case left < -skew:
		return fault(codeExpired, owner, "signature by %s expired %s", keyOf(sig), moment(at, left))
	}
	return nil
}

// period returns, in seconds, since when a signature is valid at a time, how
// long it will be, and how far either may be below zero. Times are compared in
// serial arithmetic, RFC 4034 section 3.1.5.
func period(sig *dns.RRSIG, at time.Time) (from, left, skew int64) {
	now := uint32(at.Unix())
	from = int64(int32(now - sig.Inception))
	left = int64(int32(sig.Expiration - now))
	return from, left, min(max((from+left)/skewPart, minSkew), maxSkew)
}

// moment writes the time that is so many seconds after at.
func moment(at time.Time, seconds int64) string {
	return time.Unix(at.Unix()+seconds, 0).UTC().Format(time.RFC3339)
}

// keyOf names the key of a signature: zone, algorithm and tag.
func keyOf(sig *dns.RRSIG) string {
	return fmt.Sprintf("%s/%d/%d", sig.SignerName, sig.Algorithm, sig.KeyTag)
}

// missing returns the fault that the key of a signature is not there, or nil.
func (k Keys) missing(sig *dns.RRSIG, owner string) *ProofError {
	if len(k.named(sig.KeyTag, sig.Algorithm)) == 0 {
		return fault(codeKeyMissing, owner, "no trusted key %s", keyOf(sig))
	}
	return nil
}

// genuine computes one signature with each of its keys, paying w first. It
// returns nil if one of them has made it.
func (f form) genuine(sig *dns.RRSIG, owner string, k Keys, w *Work) *ProofError {
	signature, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil {
		return fault(codeBogus, owner, "malformed signature by %s", keyOf(sig))
	}
	signed := f.signed(sig, k.zone, f.expandedFrom(sig))
	for _, key := range k.named(sig.KeyTag, sig.Algorithm) {
		price := key.price + len(signed)/signedPerTenth
		if !w.signature(price) {
			return spent(owner, "signatures")
		}
		if key.verify(signed, signature) {
			return nil
		}
		w.wrong(price)
	}
	return fault(codeBogus, owner, "wrong signature by %s", keyOf(sig))
}

// expandedFrom returns the name that was signed: the owner, or the wildcard
// that it was expanded from (RFC 4035 section 5.3.2).
func (f form) expandedFrom(sig *dns.RRSIG) name {
	if int(sig.Labels) == f.owner.labels() {
		return f.owner
	}
	return append(name{1, '*'}, f.owner.last(int(sig.Labels))...)
}

// result says what a genuine signature says. One that is valid only by the skew
// counts until that ends.
func (f form) result(sig *dns.RRSIG, at time.Time) Signed {
	_, left, skew := period(sig, at)
	if left <= 0 {
		left += skew
	}
	s := Signed{
		Until: time.Unix(at.Unix()+left, 0).UTC(),
		TTL:   min(f.ttl, sig.Hdr.Ttl, sig.OrigTtl, uint32(left)),
	}
	if from := f.expandedFrom(sig); !bytes.Equal(from, f.owner) {
		s.Wildcard = from.String()
	}
	return s
}
