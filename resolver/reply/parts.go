package reply

import (
	"slices"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

// A Part is one set of a verdict's answer, of one zone. A chain of aliases has
// parts of several zones, even if one server sent it.
type Part struct {
	set  dnssec.RRset
	made []*dns.CNAME // of a DNAME: what it makes of names; nothing signs that
}

// A Proof is what verified signatures say of something.
type Proof struct {
	Status dnssec.Status // Secure or Insecure
	TTL    uint32        // in seconds: caps how long it may be kept

	// Of a denial, and of records that come from a wildcard: the proof that
	// there is nothing else; and the SOA, or those records.
	Denial dnssec.Denial
	Set    dnssec.RRset
	Signed dnssec.Signed
}

// Parts returns the sets of the answer in the order of the chain. An answer of
// nothing but signatures, which nobody signs, has none.
func (v *Verdict) Parts() []Part {
	var parts []Part
	for _, set := range dnssec.Sets(v.Answer) {
		c, ok := set.RRs[0].(*dns.CNAME)
		by := slices.IndexFunc(parts, func(p Part) bool { return ok && p.makes(c) })
		if by >= 0 { // the chain may have passed the DNAME before, and others since
			parts[by].made = append(parts[by].made, c)
			continue
		}
		parts = append(parts, Part{set: set})
	}
	return parts
}

// makes reports whether the part is the DNAME of which chase has made c.
func (p Part) makes(c *dns.CNAME) bool {
	d, ok := p.set.RRs[0].(*dns.DNAME)
	if !ok {
		return false
	}
	owner, name := dns.CanonicalName(d.Hdr.Name), dns.CanonicalName(c.Hdr.Name)
	if !strictlyBelow(owner, name) {
		return false
	}
	target, fits := substitute(name, owner, dns.CanonicalName(d.Target))
	return fits && target == dns.CanonicalName(c.Target)
}

// Home returns the name at or above which the zone of the part is to be looked
// for, below zone, whose servers sent it: the zone that claims to have signed
// it, or else its owner. The claim is worth nothing yet.
func (p Part) Home(zone string) string { return home(p.set, zone) }

// Verify verifies the part with the keys of its zone, and if it comes from a
// wildcard, that this may stand there; proofs are the denials that came along.
// It caps the TTLs of the records. The error is a *dnssec.ProofError.
func (p Part) Verify(k dnssec.Keys, proofs []dnssec.RRset, at time.Time, w *dnssec.Work) (Proof, error) {
	signed, err := dnssec.VerifyRRset(p.set, k, at, w)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Status: dnssec.Secure, TTL: signed.TTL}
	if signed.Wildcard != "" {
		d, err := dnssec.ProveWildcard(p.set.Name(), signed.Wildcard, proofs, k, at, w)
		if err != nil {
			return Proof{}, err
		}
		proof = Proof{Status: d.Status, TTL: min(proof.TTL, d.TTL), Denial: d, Set: p.set, Signed: signed}
	}
	for _, rr := range p.set.RRs {
		capTTL(rr, proof.TTL)
	}
	for _, sig := range p.set.Sigs {
		capTTL(sig, proof.TTL)
	}
	for _, c := range p.made {
		capTTL(c, proof.TTL)
	}
	return proof, nil
}

// Denier is Part.Home for the denial that v is of q.
func (v *Verdict) Denier(q dns.Question, zone string) string {
	sets := dnssec.Sets(v.Authority)
	for _, set := range sets {
		if set.Type() == dns.TypeSOA && len(set.Sigs) > 0 {
			return home(set, zone)
		}
	}
	for _, set := range sets {
		if len(set.Sigs) > 0 {
			return home(set, zone)
		}
	}
	for _, set := range sets {
		if set.Type() == dns.TypeSOA {
			return home(set, zone)
		}
	}
	if name := ownerHome(q.Name, q.Qtype); dns.IsSubDomain(zone, name) {
		return name
	}
	return zone
}

// ProveDenial verifies the denial that v is of q with the keys of the zone that
// denies. The SOA is a part of it. What is not verified it takes away, and it
// caps the TTLs of the rest. The error is a *dnssec.ProofError.
func (v *Verdict) ProveDenial(q dns.Question, k dnssec.Keys, at time.Time, w *dnssec.Work) (Proof, error) {
	d, err := dnssec.ProveAbsent(q, v.Rcode, v.Proofs(), k, at, w)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Status: d.Status, TTL: d.TTL, Denial: d}
	var kept []dns.RR
	for _, set := range dnssec.Sets(v.Authority) {
		if set.Type() != dns.TypeSOA {
			continue
		}
		if proof.Signed, err = dnssec.VerifyRRset(set, k, at, w); err != nil {
			return Proof{}, err
		}
		proof.Set, proof.TTL = set, min(proof.TTL, proof.Signed.TTL)
		kept = appendSet(kept, set)
	}
	for _, set := range d.Sets {
		kept = appendSet(kept, set)
	}
	for _, rr := range kept {
		capTTL(rr, proof.TTL)
	}
	v.Authority = kept
	return proof, nil
}

// AddDenial adds the denial in a proof to the authority section, each record
// once, and caps their TTLs.
func (v *Verdict) AddDenial(p Proof) {
	for _, set := range p.Denial.Sets {
		for _, rr := range appendSet(nil, set) {
			capTTL(rr, p.TTL)
			if !slices.Contains(v.Authority, rr) {
				v.Authority = append(v.Authority, rr)
			}
		}
	}
}

// appendSet appends the records of a set and its signatures.
func appendSet(rrs []dns.RR, set dnssec.RRset) []dns.RR {
	rrs = append(rrs, set.RRs...)
	for _, sig := range set.Sigs {
		rrs = append(rrs, sig)
	}
	return rrs
}

// ReadDS reads the DS set of child in v, which is a referral to it or says what
// its parent has of that type, and verifies it with the parent's keys. It
// returns none if its absence is proven, so that child is insecure. The error
// is a *dnssec.ProofError.
func (v *Verdict) ReadDS(child string, k dnssec.Keys, at time.Time, w *dnssec.Work) ([]*dns.DS, Proof, error) {
	for _, set := range dnssec.Sets(slices.Concat(v.Answer, v.Authority)) {
		if set.Type() != dns.TypeDS || dns.CanonicalName(set.Name()) != child {
			continue
		}
		signed, err := dnssec.VerifyRRset(set, k, at, w)
		return v.DS(child), Proof{Status: dnssec.Secure, TTL: signed.TTL}, err
	}
	d, err := dnssec.ProveNoDS(child, v.Proofs(), k, at, w)
	return nil, Proof{Status: d.Status, TTL: d.TTL}, err
}

// DS returns the DS records of child.
func (v *Verdict) DS(child string) []*dns.DS {
	var out []*dns.DS
	for _, rr := range slices.Concat(v.Answer, v.Authority) {
		if ds, ok := rr.(*dns.DS); ok && dns.CanonicalName(ds.Hdr.Name) == child {
			out = append(out, ds)
		}
	}
	return out
}

// LeastTTL returns the least TTL of the records, in seconds.
func (v *Verdict) LeastTTL() uint32 {
	least := uint32(MaxTTL)
	for _, rr := range slices.Concat(v.Answer, v.Authority) {
		least = min(least, TTL(rr))
	}
	return least
}

// Referrer is Part.Home for what the referral v says of the DS of its zone, and
// "" if it says nothing.
func (v *Verdict) Referrer(zone string) string {
	for _, set := range dnssec.Sets(v.Authority) {
		if name := home(set, zone); len(set.Sigs) > 0 && strictlyBelow(name, v.Zone) {
			return name
		}
	}
	return ""
}

// Keys returns the DNSKEY set of the answer.
func (v *Verdict) Keys() dnssec.RRset {
	for _, set := range dnssec.Sets(v.Answer) {
		if set.Type() == dns.TypeDNSKEY {
			return set
		}
	}
	return dnssec.RRset{}
}

// Proofs returns the NSEC and NSEC3 sets that came with the reply.
func (v *Verdict) Proofs() []dnssec.RRset {
	var out []dnssec.RRset
	for _, set := range dnssec.Sets(v.Authority) {
		if isProof(set.Type()) {
			out = append(out, set)
		}
	}
	return out
}

// home returns the name at or above which the zone of a set is to be looked for:
// the signer, if that stands above the owner, so that it may be the zone, though
// not above the zone that was asked. Otherwise nothing is signed, and it may be
// any zone's down to the owner.
func home(set dnssec.RRset, zone string) string {
	owner := ownerHome(dns.CanonicalName(set.Name()), set.Type())
	if !dns.IsSubDomain(zone, owner) {
		return zone
	}
	for _, sig := range set.Sigs {
		if signer := dns.CanonicalName(sig.SignerName); dns.IsSubDomain(signer, owner) {
			if dns.IsSubDomain(zone, signer) {
				return signer
			}
			return zone
		}
	}
	return owner
}

// ownerHome returns the name whose zone has the records of a type at name: DS
// are the parent's.
func ownerHome(name string, typ uint16) string {
	if typ != dns.TypeDS || name == "." {
		return name
	}
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}

// capTTL shortens the TTL of a record.
func capTTL(rr dns.RR, ttl uint32) { rr.Header().Ttl = min(TTL(rr), ttl) }
