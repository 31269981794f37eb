package dnssec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/sha1" // linked for crypto.SHA1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"math/big"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/miekg/dns"
)

// Prices of one signature in tenths of a unit, measured on one core with Go
// 1.26: a unit is 28 us. What RSA costs is in rsa.go.
const (
	priceEd25519 = 15  // 41 us
	priceP256    = 25  // 70 us
	priceEd448   = 70  // 190 us
	priceP384    = 180 // 500 us

	// signedPerTenth is how many octets are hashed for a tenth of a unit more.
	// 1 KiB: SHAKE256 in Ed448 takes 3 us for it, SHA-512 1.4, SHA-256 0.6.
	signedPerTenth = 1 << 10
)

// An algorithm is a DNSSEC algorithm whose signatures can be verified.
type algorithm struct {
	// parse reads a public key as RFC 3110, 6605 or 8080 write it into k.
	// An error means that keys of this shape are not supported.
	parse func(k *key, public []byte) error
	sha1  bool // only if the Rules allow it, RFC 9905
}

// algorithms are those of RFC 9904 that a validator must or should have.
var algorithms = map[uint8]algorithm{
	dns.RSASHA1:          {parse: rsaParser(crypto.SHA1), sha1: true},
	dns.RSASHA1NSEC3SHA1: {parse: rsaParser(crypto.SHA1), sha1: true},
	dns.RSASHA256:        {parse: rsaParser(crypto.SHA256)},
	dns.RSASHA512:        {parse: rsaParser(crypto.SHA512)},
	dns.ECDSAP256SHA256:  {parse: ecdsaParser(elliptic.P256(), crypto.SHA256, priceP256)},
	dns.ECDSAP384SHA384:  {parse: ecdsaParser(elliptic.P384(), crypto.SHA384, priceP384)},
	dns.ED25519: {parse: edwardsParser(ed25519.PublicKeySize, priceEd25519, func(public, signed, signature []byte) bool {
		return ed25519.Verify(public, signed, signature)
	})},
	dns.ED448: {parse: edwardsParser(ed448.PublicKeySize, priceEd448, func(public, signed, signature []byte) bool {
		return ed448.Verify(public, signed, signature, "") // the context that RFC 8080 section 4 wants
	})},
}

// algorithm returns the algorithm numbered n if these rules support it.
func (r Rules) algorithm(n uint8) (algorithm, bool) {
	a, ok := algorithms[n]
	return a, ok && (r.SHA1 || !a.sha1)
}

// ecdsaParser parses the keys of RFC 6605: the two coordinates of a point.
func ecdsaParser(curve elliptic.Curve, hash crypto.Hash, price int) func(*key, []byte) error {
	size := (curve.Params().BitSize + 7) / 8
	return func(k *key, public []byte) error {
		const uncompressed = 4 // SEC 1, section 2.3.3
		point, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{uncompressed}, public...))
		if err != nil {
			return fmt.Errorf("no point of %s", curve.Params().Name)
		}
		k.price = price
		k.verify = func(signed, signature []byte) bool {
			if len(signature) != 2*size {
				return false
			}
			r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
			return ecdsa.Verify(point, sum(hash, signed), r, s)
		}
		return nil
	}
}

// edwardsParser parses the keys of RFC 8080 section 3: so many octets, of which
// none are wrong as such.
func edwardsParser(size, price int, verify func(public, signed, signature []byte) bool) func(*key, []byte) error {
	return func(k *key, public []byte) error {
		if len(public) != size {
			return fmt.Errorf("%d octets, not %d", len(public), size)
		}
		k.price = price
		k.verify = func(signed, signature []byte) bool { return verify(public, signed, signature) }
		return nil
	}
}

// sum returns the hash of octets.
func sum(hash crypto.Hash, octets []byte) []byte {
	h := hash.New()
	h.Write(octets)
	return h.Sum(nil)
}
