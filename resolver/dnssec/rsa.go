package dnssec

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// The RSA keys that are supported. Others are unsupported, not wrong: nothing
// can be said of what they signed. The bounds keep prices bounded, too.
const (
	minModulus  = 1024 // bits; RFC 5702 section 2.1 allows 512, which anybody can factor
	maxModulus  = 4096 // bits, RFC 3110 section 2
	maxExponent = 64   // bits; zones in use have 2^32+1

	// maxLibraryExponent is the widest that crypto/rsa takes.
	maxLibraryExponent = 31 // bits
)

// rsaParser parses the keys of RFC 3110 section 2, for signatures over hash.
func rsaParser(hash crypto.Hash) func(*key, []byte) error {
	return func(k *key, public []byte) error {
		exponent, modulus, err := splitRSA(public)
		if err != nil {
			return err
		}
		k.price = priceRSA(exponent, modulus)
		if exponent.BitLen() <= maxLibraryExponent {
			p := &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
			k.verify = func(signed, signature []byte) bool {
				return rsa.VerifyPKCS1v15(p, hash, sum(hash, signed), signature) == nil
			}
			return nil
		}
		k.verify = func(signed, signature []byte) bool {
			return verifyRSA(exponent, modulus, hash, sum(hash, signed), signature)
		}
		return nil
	}
}

// splitRSA returns exponent and modulus, or why the key is not supported. It
// forgives leading zeros, which RFC 3110 forbids, as others do.
func splitRSA(public []byte) (exponent, modulus *big.Int, err error) {
	if len(public) == 0 {
		return nil, nil, errors.New("empty RSA key")
	}
	length, rest := int(public[0]), public[1:]
	if length == 0 && len(rest) >= 2 {
		length, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
	}
	if length == 0 || length >= len(rest) {
		return nil, nil, errors.New("malformed RSA key")
	}
	exponent = new(big.Int).SetBytes(rest[:length])
	modulus = new(big.Int).SetBytes(rest[length:])
	switch n := modulus.BitLen(); {
	case n < minModulus || n > maxModulus:
		return nil, nil, fmt.Errorf("RSA modulus of %d bits", n)
	case exponent.BitLen() > maxExponent:
		return nil, nil, fmt.Errorf("RSA exponent of %d bits", exponent.BitLen())
	case modulus.Bit(0) == 0 || exponent.Bit(0) == 0 || exponent.BitLen() < 2:
		return nil, nil, errors.New("RSA modulus or exponent that is none")
	}
	return exponent, modulus, nil
}

// priceRSA returns the price in tenths of a unit. Measured: 10 for 2048 bits,
// 62 for 3072 and 130 for 4096 with the usual exponent of 2^16+1. Wider ones
// take a multiplication for each bit, and one more for each bit that is set;
// twelve of them cost as much as the usual exponent, which the price bears out
// within the half (2048 bits, 2^32+1: 22; 2^64-1: 106) or asks too much.
func priceRSA(exponent, modulus *big.Int) int {
	price := 150
	switch n := modulus.BitLen(); {
	case n <= 2048:
		price = 10
	case n <= 3072:
		price = 60
	}
	e := exponent.Uint64()
	return price * max(1, (bits.Len64(e)+bits.OnesCount64(e))/12)
}

// prefixes are the DER encodings that stand before a digest in PKCS #1 version
// 1.5, RFC 8017 section 9.2 note 1.
var prefixes = map[crypto.Hash][]byte{
	crypto.SHA1:   {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14},
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// verifyRSA verifies a signature whose exponent is too wide for crypto/rsa. It
// builds the whole encoded message and compares, so nothing of the signature
// has to be parsed. It has no secret to keep.
func verifyRSA(exponent, modulus *big.Int, hash crypto.Hash, digest, signature []byte) bool {
	size := (modulus.BitLen() + 7) / 8
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || s.Cmp(modulus) >= 0 {
		return false
	}
	tail := append(bytes.Clone(prefixes[hash]), digest...)
	want := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(tail)-3)...)
	want = append(append(want, 0), tail...)
	return bytes.Equal(want, s.Exp(s, exponent, modulus).FillBytes(make([]byte, size)))
}
