//go:build linux

// Package roll lets months pass in the life of a signed Internet, and watches
// Proxima follow it beside Unbound and Knot Resolver.
//
// A small Internet (zone.go) is signed anew for each day that matters, by BIND's
// signer, and served by NSD in a network namespace on the root servers' own
// addresses. The resolvers run there with their clocks moved by one file, and
// keep their trust anchors up to date by themselves, RFC 5011 (resolver.go). A
// test is a list of days: what the zones show on each, and what is then believed.
package roll

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// A key is a pair in the text that the signer reads.
type key struct {
	public  *dns.DNSKEY
	private string
}

// ttl is that of every record, in seconds: a day, which is less than what lies
// between two days of a test.
const ttl = 86400

// newKey makes a key that signs keys, or one that signs the rest.
func newKey(ctx context.Context, dir, zone string, algorithm uint8, signsKeys bool) (*key, error) {
	args := []string{"-q", "-K", dir, "-a", dns.AlgorithmToString[algorithm]}
	if algorithm == dns.RSASHA256 {
		args = append(args, "-b", "2048")
	}
	if signsKeys {
		args = append(args, "-f", "KSK")
	}
	base, err := run(ctx, dir, "dnssec-keygen", append(args, zone)...)
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
	rr.Header().Ttl = ttl
	return &key{rr.(*dns.DNSKEY), string(private)}, nil
}

// revoked returns the key as it says that it must not be trusted any more, RFC
// 5011 section 2.1. Its tag is another.
func (k *key) revoked() *key {
	public := dns.Copy(k.public).(*dns.DNSKEY)
	public.Flags |= dns.REVOKE
	return &key{public, k.private}
}

// ds returns the record by which a parent, or an operator, trusts the key.
func (k *key) ds() *dns.DS {
	ds := k.public.ToDS(dns.SHA256)
	ds.Hdr.Ttl = ttl
	return ds
}

// write puts the key into the files that the signer wants, and returns their
// common name.
func (k *key) write(dir string) (string, error) {
	base := filepath.Join(dir, fmt.Sprintf("K%s+%03d+%05d", k.public.Hdr.Name, k.public.Algorithm, k.public.KeyTag()))
	if err := os.WriteFile(base+".key", []byte(k.public.String()+"\n"), 0o644); err != nil {
		return "", err
	}
	return base, os.WriteFile(base+".private", []byte(k.private), 0o600)
}

// run runs a program to its end and returns what it prints.
func run(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var faults strings.Builder
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, faults.String())
	}
	return string(out), nil
}
