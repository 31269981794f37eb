//go:build linux

package peers

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

const (
	// signers is how many programs make keys and sign at once.
	signers = 2
	// keysEach is how many keys of each algorithm and use exist. Zones share
	// them: a key's tag does not depend on its zone, RFC 4034 appendix B.
	keysEach = 4
	// flagsKSK and flagsZSK are the keys' flags, RFC 4034 section 2.1.1.
	flagsKSK, flagsZSK = 257, 256
)

// algorithms are the six that a validator has to know, with the names that
// ldns gives them and the sizes of their keys, in bits: 0 where there is but one.
var algorithms = []struct {
	number uint8
	name   string
	ksk    int
	zsk    int
}{
	{dns.RSASHA256, "RSASHA256", 2048, 1280},
	{dns.RSASHA512, "RSASHA512", 2048, 1280},
	{dns.ECDSAP256SHA256, "ECDSAP256SHA256", 0, 0},
	{dns.ECDSAP384SHA384, "ECDSAP384SHA384", 0, 0},
	{dns.ED25519, "ED25519", 0, 0},
	{dns.ED448, "ED448", 0, 0},
}

// A key is a pair in the text that the signers read.
type key struct {
	public  *dns.DNSKEY
	private string
}

// of returns the key as the key of a zone.
func (k *key) of(zone string) *key {
	public := dns.Copy(k.public).(*dns.DNSKEY)
	public.Hdr.Name, public.Hdr.Ttl = zone, 3600
	return &key{public, k.private}
}

// with returns the key with other flags, and so with another tag.
func (k *key) with(flags uint16) *key {
	other := k.of(k.public.Hdr.Name)
	other.public.Flags = flags
	return other
}

func (k *key) ds(digest uint8) *dns.DS {
	ds := k.public.ToDS(digest)
	ds.Hdr.Ttl = 3600
	return ds
}

// signer returns what signs single sets, for lies that verify.
func (k *key) signer() (crypto.Signer, error) {
	private, err := k.public.NewPrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	s, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of algorithm %d cannot sign here", k.public.Algorithm)
	}
	return s, nil
}

// write puts the key into the files that the signers want, and returns their
// common name.
func (k *key) write(dir string) (string, error) {
	base := filepath.Join(dir, fmt.Sprintf("K%s+%03d+%05d", k.public.Hdr.Name, k.public.Algorithm, k.public.KeyTag()))
	if err := os.WriteFile(base+".key", []byte(k.public.String()+"\n"), 0o644); err != nil {
		return "", err
	}
	return base, os.WriteFile(base+".private", []byte(k.private), 0o600)
}

// A use is what a pool's keys are for.
type use struct {
	algorithm uint8
	flags     uint16
}

// A shape is that of an RSA key. The exponent is 65537 unless given: real zones
// have 2^32+1.
type shape struct {
	bits     int
	exponent uint64
}

// shapes are those of the zones that are about the shape.
var shapes = []shape{{1000, 0}, {1024, 0}, {4096, 0}, {2048, 3}, {2048, 1<<32 + 1}, {2048, 1<<63 + 29}}

// A ring is the pool of keys.
type ring struct {
	pool   map[use][]*key
	shaped []*key // one for each of shapes, for RSASHA256
}

// newRing makes the keys.
func newRing(ctx context.Context, dir string) (ring, error) {
	r := ring{pool: map[use][]*key{}, shaped: make([]*key, len(shapes))}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(signers)
	for _, a := range algorithms {
		for flags, bits := range map[uint16]int{flagsKSK: a.ksk, flagsZSK: a.zsk} {
			keys := make([]*key, keysEach)
			r.pool[use{a.number, flags}] = keys
			for i := range keys {
				work.Go(func() (err error) {
					keys[i], err = generate(ctx, dir, a.name, flags, bits)
					return err
				})
			}
		}
	}
	for i, s := range shapes {
		work.Go(func() (err error) {
			if s.exponent == 0 {
				r.shaped[i], err = generate(ctx, dir, "RSASHA256", flagsKSK, s.bits)
			} else {
				r.shaped[i], err = newRSA(s.bits, new(big.Int).SetUint64(s.exponent))
			}
			return err
		})
	}
	return r, work.Wait()
}

// rsa returns the key of a shape for an algorithm and a use.
func (r ring) rsa(s shape, u use) *key {
	k := r.shaped[slices.Index(shapes, s)]
	public := dns.Copy(k.public).(*dns.DNSKEY)
	public.Algorithm, public.Flags = u.algorithm, u.flags
	private := strings.Replace(k.private, "Algorithm: 8", fmt.Sprintf("Algorithm: %d", u.algorithm), 1)
	return &key{public, private}
}

// generate makes one key with ldns.
func generate(ctx context.Context, dir, algorithm string, flags uint16, bits int) (*key, error) {
	args := []string{"-a", algorithm}
	if bits > 0 {
		args = append(args, "-b", fmt.Sprint(bits))
	}
	if flags == flagsKSK {
		args = append(args, "-k")
	}
	base, err := politely(ctx, dir, "ldns-keygen", append(args, "key.example")...)
	if err != nil {
		return nil, err
	}
	base = filepath.Join(dir, strings.TrimSpace(base))
	public, err := os.ReadFile(base + ".key")
	if err != nil {
		return nil, err
	}
	private, err := os.ReadFile(base + ".private")
	if err != nil {
		return nil, err
	}
	rr, err := dns.NewRR(string(public))
	if err != nil {
		return nil, err
	}
	return &key{rr.(*dns.DNSKEY), string(private)}, nil
}

// newRSA makes an RSA key with an exponent that key generators do not offer.
func newRSA(bits int, exponent *big.Int) (*key, error) {
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		n, p1, q1 := new(big.Int).Mul(p, q), new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		d := new(big.Int).ModInverse(exponent, new(big.Int).Mul(p1, q1))
		if d == nil || n.BitLen() != bits || p.Cmp(q) == 0 {
			continue
		}
		text := func(i *big.Int) string { return base64.StdEncoding.EncodeToString(i.Bytes()) }
		private := fmt.Sprintf("Private-key-format: v1.2\nAlgorithm: 8 (RSASHA256)\nModulus: %s\nPublicExponent: %s\nPrivateExponent: %s\nPrime1: %s\nPrime2: %s\nExponent1: %s\nExponent2: %s\nCoefficient: %s\n",
			text(n), text(exponent), text(d), text(p), text(q),
			text(new(big.Int).Mod(d, p1)), text(new(big.Int).Mod(d, q1)), text(new(big.Int).ModInverse(q, p)))
		e := exponent.Bytes()
		public := slices.Concat([]byte{byte(len(e))}, e, n.Bytes()) // RFC 3110 section 2
		return &key{&dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: "key.example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
			Flags: flagsKSK, Protocol: 3, Algorithm: dns.RSASHA256, PublicKey: base64.StdEncoding.EncodeToString(public),
		}, private}, nil
	}
}

// sign replaces the zone's records by those that a signer makes of them.
func (z *zone) sign(ctx context.Context, dir string) error {
	if z.unsigned {
		return nil
	}
	dir = filepath.Join(dir, "sign-"+z.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	plain, signed := filepath.Join(dir, "plain"), filepath.Join(dir, "signed")
	keys := make([]string, len(z.keys))
	for i, k := range z.keys {
		var err error
		if keys[i], err = k.write(dir); err != nil {
			return err
		}
		if !z.ldns { // which adds the keys itself
			z.records = append(z.records, k.public)
		}
	}
	if err := os.WriteFile(plain, []byte(z.text()), 0o644); err != nil {
		return err
	}
	program, args := z.bindCommand(signed, plain)
	if z.ldns {
		program, args = z.ldnsCommand(signed, plain)
	}
	if _, err := politely(ctx, dir, program, append(args, keys...)...); err != nil {
		return fmt.Errorf("sign %s: %w", z.name, err)
	}
	return z.read(signed)
}

func (z *zone) ldnsCommand(signed, plain string) (string, []string) {
	args := []string{"-U", "-i", date(z.from), "-e", date(z.until), "-o", z.name, "-f", signed}
	if z.denial != nsec {
		args = append(args, "-n", "-t", fmt.Sprint(z.iterations))
		if z.salt != "-" {
			args = append(args, "-s", z.salt)
		}
	}
	if z.denial == optOut {
		args = append(args, "-p")
	}
	return "ldns-signzone", append(args, plain)
}

func (z *zone) bindCommand(signed, plain string) (string, []string) {
	args := []string{"-P", "-q", "-n", "1", "-O", "full", "-s", date(z.from), "-e", date(z.until), "-o", z.name, "-f", signed}
	if z.denial != nsec {
		args = append(args, "-3", z.salt, "-H", fmt.Sprint(z.iterations))
	}
	if z.denial == optOut {
		args = append(args, "-A")
	}
	return "dnssec-signzone", append(args, plain)
}

func date(at time.Time) string { return at.UTC().Format("20060102150405") }

// read takes the zone's records from a file.
func (z *zone) read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z.records = nil
	parser := dns.NewZoneParser(f, z.name, file)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.records = append(z.records, rr)
	}
	return parser.Err()
}

// politely runs a program beside others' work, and returns what it prints.
func politely(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nice", append([]string{program}, args...)...)
	cmd.Dir = dir
	var faults strings.Builder
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, faults.String())
	}
	return string(out), nil
}
