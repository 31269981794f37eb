package dnssec

import (
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"

	"github.com/miekg/dns"
)

const (
	// defaultIterations is what Rules.Iterations is if it is 0: 50, as Knot
	// Resolver, PowerDNS and BIND. RFC 9276 section 3.1 wants zones to use 0.
	defaultIterations = 50

	// limitIterations is the most that Rules.Iterations can be: RFC 5155 section
	// 10.3 allowed no more to any zone with keys of 1024 bits.
	limitIterations = 150

	// maxSalt bounds the salt in octets. 64, as Unbound where it remembers
	// denials: hashing it is repeated with every iteration, and it hides nothing
	// (RFC 9276 section 2.4).
	maxSalt = 64
)

// HashName returns the hash of a name by the parameters of an NSEC3 record,
// paid from w. It is not ok if these are beyond what is computed, which is
// found before anything is paid or hashed, or if w has too little left.
func HashName(s string, like *dns.NSEC3, w *Work) (h [sha1.Size]byte, ok bool) {
	n, err := canonical(s)
	p, ok := readParameters(like)
	if err != nil || !ok || like.Hash != dns.SHA1 || !p.affordable(w.rules) || !w.hash(p.price(n)) {
		return h, false
	}
	return p.hash(n), true
}

// base32hex is how a hash is written in a label, RFC 5155 section 1.3.
var base32hex = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// A hash is the hash of a name: SHA-1, the only algorithm there is for NSEC3.
type hash [sha1.Size]byte

// readHash reads a hash as NSEC3 writes it, in either letter case.
func readHash(s string) (hash, bool) {
	octets, err := base32hex.DecodeString(string(lower([]byte(s))))
	if err != nil || len(octets) != sha1.Size {
		return hash{}, false
	}
	return hash(octets), true
}

// parameters are how a zone hashes its names, RFC 5155 section 5.
type parameters struct {
	iterations int
	salt       string // octets
}

// readParameters reads them from an NSEC3 record.
func readParameters(rr *dns.NSEC3) (parameters, bool) {
	p := parameters{iterations: int(rr.Iterations)}
	if rr.Salt != "" && rr.Salt != "-" {
		salt, err := hex.DecodeString(rr.Salt)
		if err != nil {
			return parameters{}, false
		}
		p.salt = string(salt)
	}
	return p, true
}

// affordable reports whether hashes with p are computed at all. If not, the
// zone counts as insecure: RFC 9276 section 3.2.
func (p parameters) affordable(r Rules) bool {
	limit := min(r.Iterations, limitIterations)
	if limit == 0 {
		limit = defaultIterations
	}
	return p.iterations <= max(limit, 0) && len(p.salt) <= maxSalt
}

// hash returns the hash of n, RFC 5155 section 5.
func (p parameters) hash(n name) hash {
	h := hash(sha1.Sum(append(n[:len(n):len(n)], p.salt...)))
	buf := make([]byte, len(h)+len(p.salt))
	copy(buf[len(h):], p.salt)
	for range p.iterations {
		copy(buf, h[:])
		h = sha1.Sum(buf)
	}
	return h
}

// price returns how many blocks of SHA-1 the hash of n takes.
func (p parameters) price(n name) int {
	return blocks(len(n)+len(p.salt)) + p.iterations*blocks(sha1.Size+len(p.salt))
}

// blocks returns how many blocks SHA-1 makes of so many octets and nine of its own.
func blocks(octets int) int { return (octets + 8 + sha1.BlockSize) / sha1.BlockSize }
