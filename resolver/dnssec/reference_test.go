package dnssec

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/miekg/dns"
)

// This file judges signatures again, slowly and by other means: names as text,
// records as structures, times as RFC 1982 writes them, and the library's own
// Verify for all algorithms that it has.

// referenceSigned returns what a signature is made over.
func referenceSigned(tb testing.TB, rrs []dns.RR, sig *dns.RRSIG) []byte {
	tb.Helper()
	head := dns.Copy(sig).(*dns.RRSIG)
	head.Signature = ""
	head.SignerName = strings.ToLower(head.SignerName)
	head.Hdr.Name = "."
	packed := referencePack(tb, head)
	all := packed[11:] // the root, type, class, TTL and length before it

	var wires [][]byte
	for _, rr := range rrs {
		c := dns.Copy(rr)
		c.Header().Name = referenceOwner(c.Header().Name, int(sig.Labels))
		c.Header().Ttl = sig.OrigTtl
		referenceLower(c)
		wires = append(wires, referencePack(tb, c))
	}
	// All begin alike, up to the length of the data, which does not count.
	_, start, err := dns.UnpackDomainName(wires[0], 0)
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortFunc(wires, func(a, b []byte) int { return bytes.Compare(a[start+10:], b[start+10:]) })
	for i, w := range wires {
		if i == 0 || !bytes.Equal(w, wires[i-1]) {
			all = append(all, w...)
		}
	}
	return all
}

func referencePack(tb testing.TB, rr dns.RR) []byte {
	tb.Helper()
	buf := make([]byte, 1<<17)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		tb.Fatal(err)
	}
	return buf[:n]
}

// referenceOwner returns the name that was signed.
func referenceOwner(owner string, labels int) string {
	all := dns.SplitDomainName(strings.ToLower(owner))
	have := len(all)
	if have > 0 && all[0] == "*" {
		have--
	}
	if labels >= have {
		return strings.ToLower(owner)
	}
	return dns.Fqdn(strings.Join(append([]string{"*"}, all[len(all)-labels:]...), "."))
}

// referenceLower lower-cases the names in data that the tests use.
func referenceLower(rr dns.RR) {
	switch x := rr.(type) {
	case *dns.NS:
		x.Ns = strings.ToLower(x.Ns)
	case *dns.CNAME:
		x.Target = strings.ToLower(x.Target)
	case *dns.DNAME:
		x.Target = strings.ToLower(x.Target)
	case *dns.PTR:
		x.Ptr = strings.ToLower(x.Ptr)
	case *dns.MX:
		x.Mx = strings.ToLower(x.Mx)
	case *dns.SRV:
		x.Target = strings.ToLower(x.Target)
	case *dns.SOA:
		x.Ns, x.Mbox = strings.ToLower(x.Ns), strings.ToLower(x.Mbox)
	case *dns.NAPTR:
		x.Replacement = strings.ToLower(x.Replacement)
	case *dns.RP:
		x.Mbox, x.Txt = strings.ToLower(x.Mbox), strings.ToLower(x.Txt)
	case *dns.PX:
		x.Map822, x.Mapx400 = strings.ToLower(x.Map822), strings.ToLower(x.Mapx400)
	}
}

// referenceVerify reports whether one of the keys of zone has signed set.
func referenceVerify(tb testing.TB, set RRset, zone string, keys []*dns.DNSKEY, at time.Time) bool {
	tb.Helper()
	if !dns.IsRRset(set.RRs) || len(set.RRs) > maxRecords {
		return false
	}
	owner := strings.ToLower(set.RRs[0].Header().Name)
	if !dns.IsSubDomain(zone, owner) || (set.Type() == dns.TypeDS && owner == zone) {
		return false
	}
	for _, sig := range set.Sigs[:min(len(set.Sigs), maxTries)] {
		for _, k := range keys {
			if referenceFits(set, sig, owner, zone, at) && referenceGenuine(tb, set, sig, k) {
				return true
			}
		}
	}
	return false
}

// referenceFits checks all of a signature but the signature.
func referenceFits(set RRset, sig *dns.RRSIG, owner, zone string, at time.Time) bool {
	h := set.RRs[0].Header()
	most := dns.CountLabel(owner)
	if strings.HasPrefix(owner, "*.") {
		most--
	}
	now := uint32(at.Unix())
	validity := sig.Expiration - sig.Inception
	skew := min(max(validity/10, 3600), 86400)
	return strings.EqualFold(sig.Hdr.Name, owner) && sig.Hdr.Class == h.Class && sig.TypeCovered == h.Rrtype &&
		strings.EqualFold(sig.SignerName, zone) &&
		(int(sig.Labels) == most || int(sig.Labels) < most && int(sig.Labels) >= dns.CountLabel(zone)) &&
		!serialLess(sig.Expiration, sig.Inception) &&
		!serialLess(now+skew, sig.Inception) && !serialLess(sig.Expiration+skew, now)
}

// serialLess is "less than" of RFC 1982 section 3.2.
func serialLess(a, b uint32) bool {
	return a < b && b-a < 1<<31 || a > b && a-b > 1<<31
}

// referenceGenuine asks the library, where it can.
func referenceGenuine(tb testing.TB, set RRset, sig *dns.RRSIG, k *dns.DNSKEY) bool {
	tb.Helper()
	if sig.KeyTag != k.KeyTag() || sig.Algorithm != k.Algorithm {
		return false
	}
	if k.Algorithm != dns.ED448 && sig.Labels > 0 { // it writes "*.." for a wildcard of the root
		return sig.Verify(k, set.RRs) == nil
	}
	public, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		return false
	}
	signature, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil {
		return false
	}
	signed := referenceSigned(tb, set.RRs, sig)
	if k.Algorithm == dns.ED448 {
		return ed448.Verify(public, signed, signature, "")
	}
	return k.Algorithm == dns.ED25519 && len(public) == 32 && ed25519.Verify(public, signed, signature)
}
