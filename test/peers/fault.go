//go:build linux

package peers

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Faults edit a signed zone. An owner of "" means every owner.

func at(rr dns.RR, owner string) bool {
	return owner == "" || strings.EqualFold(rr.Header().Name, owner)
}

// drop removes sets with their signatures.
func (z *zone) drop(owner string, typ uint16) {
	z.records = slices.DeleteFunc(z.records, func(rr dns.RR) bool { return at(rr, owner) && rr.Header().Rrtype == typ })
	z.dropSignatures(owner, typ)
}

// dropSignatures removes the signatures of a type, or of dns.TypeANY.
func (z *zone) dropSignatures(owner string, typ uint16) {
	z.records = slices.DeleteFunc(z.records, func(rr dns.RR) bool {
		s, ok := rr.(*dns.RRSIG)
		return ok && at(rr, owner) && (typ == dns.TypeANY || s.TypeCovered == typ)
	})
}

// dropDenials removes the NSEC or NSEC3 records that match a name or, if none
// does, those that cover it.
func (z *zone) dropDenials(name string) {
	matches := func(rr dns.RR) bool {
		switch rr := rr.(type) {
		case *dns.NSEC:
			return at(rr, name)
		case *dns.NSEC3:
			return rr.Match(name)
		}
		return false
	}
	if !slices.ContainsFunc(z.records, matches) {
		matches = func(rr dns.RR) bool {
			switch rr := rr.(type) {
			case *dns.NSEC:
				return before(rr.Hdr.Name, name) && (before(name, rr.NextDomain) || rr.NextDomain == z.name)
			case *dns.NSEC3:
				return rr.Cover(name)
			}
			return false
		}
	}
	for _, rr := range slices.Clone(z.records) {
		if matches(rr) {
			z.drop(rr.Header().Name, rr.Header().Rrtype)
		}
	}
}

// before compares names in canonical order, RFC 4034 section 6.1.
func before(a, b string) bool {
	x, y := dns.SplitDomainName(dns.CanonicalName(a)), dns.SplitDomainName(dns.CanonicalName(b))
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y) < 0
}

// edit changes records and leaves their signatures.
func (z *zone) edit(owner string, typ uint16, change func(dns.RR)) error {
	found := false
	for _, rr := range z.records {
		if at(rr, owner) && rr.Header().Rrtype == typ {
			change(rr)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("nothing of type %s to break", dns.TypeToString[typ])
	}
	return nil
}

// editSignatures changes the signatures of a type, or of dns.TypeANY.
func (z *zone) editSignatures(owner string, typ uint16, change func(*dns.RRSIG)) error {
	return z.edit(owner, dns.TypeRRSIG, func(rr dns.RR) {
		if s := rr.(*dns.RRSIG); typ == dns.TypeANY || s.TypeCovered == typ {
			change(s)
		}
	})
}

// copyTo gives a name the records of another, signatures and all.
func (z *zone) copyTo(from, to string) {
	for _, rr := range slices.Clone(z.records) {
		if typ := rr.Header().Rrtype; !at(rr, from) || typ == dns.TypeNSEC {
			continue
		}
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == dns.TypeNSEC {
			continue
		}
		rr = dns.Copy(rr)
		rr.Header().Name = to
		z.records = append(z.records, rr)
	}
}

// keyOf returns the zone's key with a tag.
func (z *zone) keyOf(s *dns.RRSIG) (*key, error) {
	for _, k := range z.keys {
		if k.public.KeyTag() == s.KeyTag && k.public.Algorithm == s.Algorithm {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no key %d", s.KeyTag)
}

// signAs makes a true signature of records, with the period, the key and the
// signer's name that are in s.
func (z *zone) signAs(s *dns.RRSIG, records []dns.RR) error {
	k, err := z.keyOf(s)
	if err != nil {
		return err
	}
	signer, err := k.signer()
	if err != nil {
		return err
	}
	return s.Sign(signer, records)
}

// set returns the records of one set.
func (z *zone) set(owner string, typ uint16) []dns.RR {
	var all []dns.RR
	for _, rr := range z.records {
		if at(rr, owner) && rr.Header().Rrtype == typ {
			all = append(all, dns.Copy(rr))
		}
	}
	return all
}

// rewrite changes records and signs them again.
func (z *zone) rewrite(typ uint16, change func(dns.RR)) error {
	if err := z.edit("", typ, change); err != nil {
		return err
	}
	for _, rr := range z.records {
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == typ {
			if err := z.signAs(s, z.set(s.Hdr.Name, typ)); err != nil {
				return err
			}
		}
	}
	return nil
}

// resign returns a fault that changes the signatures of addresses and makes
// them true again. Where that cannot be done here, they do not verify either.
func resign(change func(*zone, *dns.RRSIG)) func(*zone) error {
	return func(z *zone) error {
		var fault error
		err := z.editSignatures("", dns.TypeA, func(s *dns.RRSIG) {
			change(z, s)
			if !strings.HasPrefix(s.Hdr.Name, "*") && signable(z) && fault == nil {
				fault = z.signAs(s, z.set(s.Hdr.Name, dns.TypeA))
			}
		})
		if err == nil {
			err = fault
		}
		return err
	}
}

// asWildcard returns a fault that gives www a true signature of a wildcard
// below another name, with fewer labels than www has.
func asWildcard(below func(*zone) string) func(*zone) error {
	return func(z *zone) error {
		www, wildcard := "www."+z.name, "*."+below(z)
		var fault error
		err := z.editSignatures(www, dns.TypeA, func(s *dns.RRSIG) {
			s.Labels = uint8(dns.CountLabel(wildcard) - 1)
			if signable(z) && fault == nil {
				records := z.set(www, dns.TypeA)
				for _, rr := range records {
					rr.Header().Name = wildcard
				}
				fault = z.signAs(s, records)
				s.Hdr.Name = www
			}
		})
		if err == nil {
			err = fault
		}
		return err
	}
}

// spoilSignatures flips a bit of every signature but those of keys.
func spoilSignatures(z *zone) error {
	return z.editSignatures("", dns.TypeANY, func(s *dns.RRSIG) {
		if s.TypeCovered != dns.TypeDNSKEY {
			s.Signature = flip(s.Signature)
		}
	})
}

// spoilAlgorithm returns a fault that does so for the algorithm of one key.
func spoilAlgorithm(n int) func(*zone) error {
	return func(z *zone) error {
		return z.editSignatures("", dns.TypeANY, func(s *dns.RRSIG) {
			if s.TypeCovered != dns.TypeDNSKEY && s.Algorithm == z.keys[n].public.Algorithm {
				s.Signature = flip(s.Signature)
			}
		})
	}
}

// flip changes one bit in the middle.
func flip(text string) string {
	octets, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic("peers: " + err.Error())
	}
	octets[len(octets)/2] ^= 1
	return base64.StdEncoding.EncodeToString(octets)
}

// spoil returns a DS record with another digest.
func spoil(ds *dns.DS) *dns.DS {
	other := dns.Copy(ds).(*dns.DS)
	octets, err := hex.DecodeString(ds.Digest)
	if err != nil {
		panic("peers: " + err.Error())
	}
	octets[0] ^= 1
	other.Digest = hex.EncodeToString(octets)
	return other
}

func unknownDigest(ds *dns.DS) *dns.DS {
	other := dns.Copy(ds).(*dns.DS)
	other.DigestType = 200
	return other
}

// renumber makes the zone one of an algorithm that nobody knows.
func renumber(z *zone) error {
	for _, rr := range z.records {
		if k, ok := rr.(*dns.DNSKEY); ok {
			k.Algorithm = unknownAlgorithm
		}
	}
	for _, k := range z.keys {
		k.public.Algorithm = unknownAlgorithm
	}
	z.ds = []*dns.DS{z.keys[0].ds(dns.SHA256)}
	return z.editSignatures("", dns.TypeANY, func(s *dns.RRSIG) {
		for _, k := range z.keys {
			// A tag is a sum over the key's octets, of which the algorithm is one.
			if old := dns.Copy(k.public).(*dns.DNSKEY); old != nil {
				old.Algorithm = s.Algorithm
				if old.KeyTag() == s.KeyTag {
					s.KeyTag = k.public.KeyTag()
					break
				}
			}
		}
		s.Algorithm = unknownAlgorithm
	})
}
