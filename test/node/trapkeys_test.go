//go:build linux

package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
)

// public returns a DNSKEY record of these octets.
func public(zone string, algorithm uint8, octets []byte) *dns.DNSKEY {
	return &dns.DNSKEY{
		Hdr: header(zone, dns.TypeDNSKEY), Flags: 257, Protocol: 3, Algorithm: algorithm,
		PublicKey: base64.StdEncoding.EncodeToString(octets),
	}
}

// rsaKey returns the octets of an RSA key, RFC 3110 section 2, whose modulus
// nobody has made of primes.
func rsaKey(exponent []byte, bits int) []byte {
	modulus := noise(bits / 8)
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	return append(append([]byte{byte(len(exponent))}, exponent...), modulus...)
}

// usual is the exponent that nearly all RSA keys have.
var usual = []byte{1, 0, 1}

// collidingRSA returns RSA keys of one tag. They have no private half and need
// none: two octets of a modulus that nobody factors set the tag.
func collidingRSA(zone string, count, bits int) []dns.RR {
	const want, at = 4711, 100 // the tag, and where it is set
	var all []dns.RR
	for len(all) < count {
		octets := rsaKey(usual, bits)
		k := public(zone, dns.RSASHA256, octets)
		set := func(word uint16) uint16 {
			binary.BigEndian.PutUint16(octets[at:], word)
			k.PublicKey = base64.StdEncoding.EncodeToString(octets)
			return k.KeyTag()
		}
		if set(want-set(0)) == want { // a carry spoils some
			all = append(all, k)
		}
	}
	return all
}

// mustCollideP384 returns two P-384 keys of one tag. Their points have to lie
// on the curve, so they are looked for: some 300 have a pair among them.
func mustCollideP384(t *testing.T, zone string) []dns.RR {
	t.Helper()
	seen := map[uint16]*dns.DNSKEY{}
	for {
		private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		octets, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		k := public(zone, dns.ECDSAP384SHA384, octets[1:]) // less the mark of an uncompressed point
		if other := seen[k.KeyTag()]; other != nil {
			return []dns.RR{other, k}
		}
		seen[k.KeyTag()] = k
	}
}

// A shape is a key that is odd in one way.
type shape struct {
	name      string
	algorithm uint8
	octets    []byte
	want      string // of a zone with no other key
}

// shapes are keys that no signature can be verified with, and two that look
// like that.
func shapes() []shape {
	const unsupported, computed = "NOERROR EDE 1", "SERVFAIL EDE 6"
	return []shape{
		{"RSA of 512 bits", dns.RSASHA256, rsaKey(usual, 512), unsupported},
		{"RSA of 8,192 bits", dns.RSASHA256, rsaKey(usual, 8192), unsupported},
		{"RSA with the exponent 1", dns.RSASHA256, rsaKey([]byte{1}, 2048), unsupported},
		{"RSA with the exponent 2^33", dns.RSASHA256, rsaKey([]byte{2, 0, 0, 0, 0}, 2048), unsupported},
		{"RSA with the exponent 2^32+1", dns.RSASHA256, rsaKey([]byte{1, 0, 0, 0, 1}, 2048), computed},
		{"RSA with the exponent 2^64-1", dns.RSASHA256, rsaKey([]byte{255, 255, 255, 255, 255, 255, 255, 255}, 4096), computed},
		{"RSA with an exponent of 65 bits", dns.RSASHA256, rsaKey([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, 2048), unsupported},
		{"RSA with a modulus of 0", dns.RSASHA256, append([]byte{3, 1, 0, 1}, make([]byte, 256)...), unsupported},
		{"RSA that is shorter than its exponent", dns.RSASHA256, []byte{0, 255, 255, 1}, unsupported},
		{"RSA of one octet", dns.RSASHA256, []byte{3}, unsupported},
		{"RSA of no octet", dns.RSASHA256, nil, unsupported},
		{"P-256 off the curve", dns.ECDSAP256SHA256, noise(64), unsupported},
		{"P-256 at infinity", dns.ECDSAP256SHA256, make([]byte, 64), unsupported},
		{"P-256 of 63 octets", dns.ECDSAP256SHA256, noise(63), unsupported},
		{"P-384 off the curve", dns.ECDSAP384SHA384, noise(96), unsupported},
		{"Ed25519 of 31 octets", dns.ED25519, noise(31), unsupported},
		{"Ed448 of 56 octets", dns.ED448, noise(56), unsupported},
	}
}

// mustShape makes a zone whose only key is odd.
func mustShape(t *testing.T, zone, at string, s shape) *trap {
	t.Helper()
	k := public(zone, s.algorithm, s.octets)
	tr := mustJam(t, zone, at, dns.ECDSAP256SHA256, []dns.RR{k}, 1)
	tr.ds = []*dns.DS{k.ToDS(dns.SHA256)}
	tr.keys = append([]dns.RR{k}, tr.wrong(k, k.Header(), 1)...)
	return tr
}
