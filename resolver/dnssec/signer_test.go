package dnssec

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/miekg/dns"
)

// today is the date of the tests.
var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A signer is a key pair of a zone.
type signer struct {
	*dns.DNSKEY
	private crypto.Signer
}

// mustSigner makes a key pair; bits are for RSA.
func mustSigner(tb testing.TB, zone string, algorithm uint8, bits int) signer {
	tb.Helper()
	s := signer{DNSKEY: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: algorithm,
	}}
	if algorithm == dns.ED448 {
		public, private, err := ed448.GenerateKey(rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		s.PublicKey, s.private = base64.StdEncoding.EncodeToString(public), private
		return s
	}
	private, err := s.Generate(bits)
	if err != nil {
		tb.Fatal(err)
	}
	s.private = private.(crypto.Signer)
	return s
}

// mustRSA makes an RSA key with any exponent and length.
func mustRSA(tb testing.TB, zone string, exponent *big.Int, bits int) signer {
	tb.Helper()
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			tb.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			tb.Fatal(err)
		}
		n, phi := new(big.Int).Mul(p, q), new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
		d := new(big.Int).ModInverse(exponent, phi)
		if d == nil { // the exponent divides phi: other primes
			continue
		}
		return signer{private: anyRSA{n: n, d: d}, DNSKEY: &dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
			Flags: dns.ZONE, Protocol: 3, Algorithm: dns.RSASHA256, PublicKey: rsaKey(exponent, n),
		}}
	}
}

// rsaKey writes an RSA key as RFC 3110 has it.
func rsaKey(exponent, modulus *big.Int) string {
	b := exponent.Bytes()
	return base64.StdEncoding.EncodeToString(append(append([]byte{byte(len(b))}, b...), modulus.Bytes()...))
}

// anyRSA signs SHA-256 as PKCS #1 version 1.5 has it, where crypto/rsa will not.
type anyRSA struct{ n, d *big.Int }

func (w anyRSA) Public() crypto.PublicKey { return nil }

func (w anyRSA) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	if len(digest) != 32 {
		return nil, errors.New("only SHA-256")
	}
	m := "\x00\x01" + strings.Repeat("\xff", len(w.n.Bytes())-54) + "\x00" +
		"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20" + string(digest)
	s := new(big.Int).SetBytes([]byte(m))
	return s.Exp(s, w.d, w.n).FillBytes(make([]byte, len(w.n.Bytes()))), nil
}

// sign signs records; edit may change what the signature says before it is made.
func (s signer) sign(tb testing.TB, rrs []dns.RR, edit func(*dns.RRSIG)) *dns.RRSIG {
	tb.Helper()
	h := rrs[0].Header()
	sig := &dns.RRSIG{
		Hdr:         dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: h.Class, Ttl: h.Ttl},
		TypeCovered: h.Rrtype, Algorithm: s.Algorithm, Labels: uint8(dns.CountLabel(h.Name)), OrigTtl: h.Ttl,
		Inception: uint32(today.Unix() - 86400), Expiration: uint32(today.Unix() + 10*86400),
		KeyTag: s.KeyTag(), SignerName: s.Hdr.Name,
	}
	if strings.HasPrefix(h.Name, "*.") {
		sig.Labels--
	}
	if edit != nil {
		edit(sig)
	}
	octets := referenceSigned(tb, rrs, sig)
	opts := crypto.Hash(0)
	switch s.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		opts = crypto.SHA1
	case dns.RSASHA256, dns.ECDSAP256SHA256:
		opts = crypto.SHA256
	case dns.ECDSAP384SHA384:
		opts = crypto.SHA384
	case dns.RSASHA512:
		opts = crypto.SHA512
	}
	if opts != 0 {
		h := opts.New()
		h.Write(octets)
		octets = h.Sum(nil)
	}
	signature, err := s.private.Sign(rand.Reader, octets, opts)
	if err != nil {
		tb.Fatal(err)
	}
	if s.Algorithm == dns.ECDSAP256SHA256 || s.Algorithm == dns.ECDSAP384SHA384 {
		signature = plainECDSA(tb, signature, opts.Size())
	}
	sig.Signature = base64.StdEncoding.EncodeToString(signature)
	return sig
}

// plainECDSA turns an ASN.1 signature into that of RFC 6605 section 4.
func plainECDSA(tb testing.TB, der []byte, size int) []byte {
	tb.Helper()
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		tb.Fatal(err)
	}
	return append(pair.R.FillBytes(make([]byte, size)), pair.S.FillBytes(make([]byte, size))...)
}

// set returns the records with a signature by s.
func (s signer) set(tb testing.TB, rrs []dns.RR, edit func(*dns.RRSIG)) RRset {
	tb.Helper()
	return RRset{RRs: rrs, Sigs: []*dns.RRSIG{s.sign(tb, rrs, edit)}}
}

// ds returns the DS of s.
func (s signer) ds(digest uint8) *dns.DS { return s.ToDS(digest) }

// mustRecords reads records.
func mustRecords(tb testing.TB, lines ...string) []dns.RR {
	tb.Helper()
	var rrs []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			tb.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

// mustTrust returns the keys of the zone that has the signers as keys, all of
// which sign the set.
func mustTrust(tb testing.TB, signers ...signer) Keys {
	tb.Helper()
	var set RRset
	var ds []*dns.DS
	for _, s := range signers {
		set.RRs = append(set.RRs, s.DNSKEY)
		ds = append(ds, s.ds(dns.SHA256))
	}
	for _, s := range signers {
		set.Sigs = append(set.Sigs, s.sign(tb, set.RRs, nil))
	}
	k, err := TrustKeys(signers[0].Hdr.Name, ds, set, today, NewWork(Rules{SHA1: true}))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// says checks an error: "" for none, else its code and a part of its reason.
func says(err error, code uint16, reason string) error {
	var e *ProofError
	switch {
	case reason == "" && err == nil:
		return nil
	case reason == "":
		return fmt.Errorf("refused: %w", err)
	case !errors.As(err, &e):
		return fmt.Errorf("error %v, want %q", err, reason)
	case e.Code != code || !strings.Contains(e.Reason, reason):
		return fmt.Errorf("EDE %d %q, want %d %q", e.Code, e.Reason, code, reason)
	}
	return nil
}
