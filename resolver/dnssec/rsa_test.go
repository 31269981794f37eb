package dnssec

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestVerifyRRset_wideExponents(t *testing.T) {
	rrs := mustRecords(t, "www.example. 300 IN A 192.0.2.1")
	for _, exponent := range []uint64{3, 1<<16 + 1, 1<<31 - 1, 1<<31 + 1, 1<<32 + 1, 1<<33 - 1, 1<<64 - 1} {
		s := mustRSA(t, "example.", new(big.Int).SetUint64(exponent), 1024)
		k := mustTrust(t, s)
		set := s.set(t, rrs, nil)
		if err := verify(set, k, NewWork(Rules{})); err != nil {
			t.Errorf("exponent %d: %v", exponent, err)
		}
		octets, err := base64.StdEncoding.DecodeString(set.Sigs[0].Signature)
		if err != nil {
			t.Fatal(err)
		}
		for i, change := range [][]byte{flip(octets, 0), flip(octets, 127), octets[:127], append(octets, 0), nil, bytes.Repeat([]byte{0xff}, 128), make([]byte, 128)} {
			sig := *set.Sigs[0]
			sig.Signature = base64.StdEncoding.EncodeToString(change)
			if verify(RRset{RRs: rrs, Sigs: []*dns.RRSIG{&sig}}, k, NewWork(Rules{})) == nil {
				t.Errorf("exponent %d: change %d verified", exponent, i)
			}
		}
	}
}

func flip(octets []byte, at int) []byte {
	c := bytes.Clone(octets)
	c[at] ^= 1
	return c
}

// crypto/rsa and verifyRSA must agree where both can judge.
func TestVerifyRSA_isTheLibrarys(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		for _, bits := range []int{1024, 1031} {
			k, err := rsa.GenerateKey(nil, bits)
			if err != nil {
				t.Fatal(err)
			}
			digest := sum(h, []byte("signed"))
			signature, err := rsa.SignPKCS1v15(nil, k, h, digest)
			if err != nil {
				t.Fatal(err)
			}
			e := big.NewInt(int64(k.E))
			if !verifyRSA(e, k.N, h, digest, signature) {
				t.Errorf("%v, %d bits: good signature refused", h, bits)
			}
			for i := range signature {
				bad := flip(signature, i)
				if got, want := verifyRSA(e, k.N, h, digest, bad), rsa.VerifyPKCS1v15(&k.PublicKey, h, digest, bad) == nil; got != want {
					t.Errorf("%v, %d bits, octet %d: %t, want %t", h, bits, i, got, want)
				}
			}
		}
	}
}

func TestParse_shapes(t *testing.T) {
	odd := func(bits int) *big.Int { // an odd number of so many bits
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return n.SetBit(n, 0, 1)
	}
	key := func(octets ...byte) string { return base64.StdEncoding.EncodeToString(octets) }
	three := big.NewInt(3)
	long := append([]byte{0, 0, 3, 1, 0, 1}, odd(2048).Bytes()...)
	zeros := append([]byte{5, 0, 0, 1, 0, 1, 0}, odd(2048).Bytes()...)
	point := mustSigner(t, "example.", dns.ECDSAP256SHA256, 256).PublicKey
	tests := []struct {
		name      string
		algorithm uint8
		public    string
		reason    string // "" if supported
	}{
		{"RSA of 1024 bits", dns.RSASHA256, rsaKey(three, odd(1024)), ""},
		{"RSA of 4096 bits", dns.RSASHA512, rsaKey(three, odd(4096)), ""},
		{"exponent of 64 bits", dns.RSASHA256, rsaKey(odd(64), odd(2048)), ""},
		{"exponent with a length of three octets", dns.RSASHA256, key(long...), ""},
		{"leading zeros", dns.RSASHA256, key(zeros...), ""},
		{"RSA of 512 bits", dns.RSASHA256, rsaKey(three, odd(512)), "modulus of 512 bits"},
		{"RSA of 1023 bits", dns.RSASHA256, rsaKey(three, odd(1023)), "modulus of 1023 bits"},
		{"RSA of 8192 bits", dns.RSASHA256, rsaKey(three, odd(8192)), "modulus of 8192 bits"},
		{"exponent of 65 bits", dns.RSASHA256, rsaKey(odd(65), odd(2048)), "exponent of 65 bits"},
		{"exponent 0", dns.RSASHA256, key(append([]byte{1, 0}, odd(2048).Bytes()...)...), "that is none"},
		{"exponent 1", dns.RSASHA256, rsaKey(big.NewInt(1), odd(2048)), "that is none"},
		{"even exponent", dns.RSASHA256, rsaKey(big.NewInt(65536), odd(2048)), "that is none"},
		{"even modulus", dns.RSASHA256, rsaKey(three, new(big.Int).Lsh(three, 2046)), "that is none"},
		{"no octets", dns.RSASHA256, "", "empty"},
		{"one octet", dns.RSASHA256, key(0), "malformed"},
		{"length of the exponent cut short", dns.RSASHA256, key(0, 1), "malformed"},
		{"exponent of no octets", dns.RSASHA256, key(0, 0, 0, 1, 1), "malformed"},
		{"exponent beyond the key", dns.RSASHA256, key(200, 1, 1), "malformed"},
		{"no modulus", dns.RSASHA256, key(1, 3), "malformed"},
		{"P-256", dns.ECDSAP256SHA256, point, ""},
		{"P-256 off the curve", dns.ECDSAP256SHA256, key(bytes.Repeat([]byte{1}, 64)...), "no point of P-256"},
		{"P-256 at infinity", dns.ECDSAP256SHA256, key(make([]byte, 64)...), "no point of P-256"},
		{"P-256 cut short", dns.ECDSAP256SHA256, key(make([]byte, 63)...), "no point of P-256"},
		{"P-384 with a point of P-256", dns.ECDSAP384SHA384, point, "no point of P-384"},
		{"Ed25519 cut short", dns.ED25519, key(make([]byte, 31)...), "31 octets"},
		{"Ed448 cut short", dns.ED448, key(make([]byte, 56)...), "56 octets"},
		{"GOST", dns.ECCGOST, key(make([]byte, 64)...), "unsupported algorithm"},
		{"algorithm 0", 0, key(1, 2, 3), "unsupported algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := publish(&dns.DNSKEY{Flags: dns.ZONE, Protocol: 3, Algorithm: tt.algorithm, PublicKey: tt.public})
			if err != nil {
				t.Fatal(err)
			}
			k, bad := p.parse("example.", Rules{})
			if tt.reason == "" {
				if bad != nil {
					t.Fatal(bad)
				}
				for _, signature := range [][]byte{nil, {1}, make([]byte, 64), bytes.Repeat([]byte{0xff}, 96), make([]byte, 114), make([]byte, 512)} {
					if k.verify([]byte("signed"), signature) {
						t.Errorf("%d octets verify", len(signature))
					}
				}
				return
			}
			if bad == nil || bad.Code != codeAlgorithm || bad.Status() != Insecure || !strings.Contains(bad.Reason, tt.reason) {
				t.Errorf("%v, want %q", bad, tt.reason)
			}
		})
	}
}

func TestPriceRSA(t *testing.T) {
	number := func(bits int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(bits-1)) }
	tests := []struct {
		name     string
		exponent uint64
		bits     int
		price    int
	}{
		{"a unit for 2048 bits", 1<<16 + 1, 2048, 10},
		{"a small exponent is no cheaper", 3, 2048, 10},
		{"3072 bits", 1<<16 + 1, 3072, 60},
		{"fifteen units for 4096 bits", 1<<16 + 1, 4096, 150},
		{"2^32+1", 1<<32 + 1, 2048, 20},
		{"the worst exponent", 1<<64 - 1, 2048, 100},
	}
	for _, tt := range tests {
		if got := priceRSA(new(big.Int).SetUint64(tt.exponent), number(tt.bits)); got != tt.price {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.price)
		}
	}
}
