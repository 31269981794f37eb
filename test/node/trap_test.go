//go:build linux

package node

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A trap is a zone below example. that is made to cost its validator work. Its
// parent vouches for it, and its servers answer by TCP only.
type trap struct {
	zone    string
	at      netip.Addr
	key     *dns.DNSKEY
	private crypto.Signer
	keys    []dns.RR // the DNSKEY set with its signature
	soa     []dns.RR // the same of SOA

	// answer fills in the reply to a question other than for DNSKEY.
	answer func(m *dns.Msg, q dns.Question)
}

// mustTrap makes a zone with a good key, beside which it has others.
func mustTrap(t *testing.T, zone string, at string, others ...dns.RR) *trap {
	t.Helper()
	tr := &trap{zone: zone, at: netip.MustParseAddr(at)}
	tr.key = &dns.DNSKEY{Hdr: header(zone, dns.TypeDNSKEY), Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := tr.key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	tr.private = private.(crypto.Signer)
	tr.keys = tr.signed(t, append([]dns.RR{tr.key}, others...)...)
	tr.soa = tr.signed(t, &dns.SOA{Hdr: header(zone, dns.TypeSOA), Ns: zone, Mbox: zone, Refresh: 60, Retry: 60, Expire: 60, Minttl: 60})
	return tr
}

// signed returns a set with its signature.
func (tr *trap) signed(t *testing.T, set ...dns.RR) []dns.RR {
	t.Helper()
	sig := tr.signature(tr.key)
	if err := sig.Sign(tr.private, set); err != nil {
		t.Fatal(err)
	}
	return append(set, sig)
}

// signature returns what is to be the key's signature of an A set.
func (tr *trap) signature(k *dns.DNSKEY) *dns.RRSIG {
	now := time.Now()
	return &dns.RRSIG{
		Hdr: header(tr.zone, dns.TypeRRSIG), TypeCovered: dns.TypeA, Algorithm: k.Algorithm, OrigTtl: 60,
		Labels: uint8(dns.CountLabel(tr.zone) + 1), KeyTag: k.KeyTag(), SignerName: tr.zone,
		Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(24 * time.Hour).Unix()),
	}
}

// spoof answers as the zone's server.
func (tr *trap) spoof(query, _ *dns.Msg, stream bool) *dns.Msg {
	q := query.Question[0]
	m := new(dns.Msg).SetReply(query)
	m.SetEdns0(payloadSize, true)
	m.Authoritative, m.Compress = true, true
	switch {
	case !stream:
		m.Truncated = true
	case q.Qtype == dns.TypeDNSKEY && strings.EqualFold(q.Name, tr.zone):
		m.Answer = tr.keys
	default:
		tr.answer(m, q)
	}
	return m
}

func header(owner string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: 60}
}

// colliding returns RSA keys of one tag. They have no private half and need
// none: two octets of a modulus that nobody factors set the tag.
func colliding(zone string, count int) []dns.RR {
	const want, at = 4711, 100 // the tag, and where it is set
	var all []dns.RR
	for len(all) < count {
		octets := append([]byte{3, 1, 0, 1, 0xc0}, noise(rsaSize-1)...)
		octets[len(octets)-1] |= 1
		k := &dns.DNSKEY{Hdr: header(zone, dns.TypeDNSKEY), Flags: 256, Protocol: 3, Algorithm: dns.RSASHA256}
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

// rsaSize is the size of a modulus and of a signature, in octets: 2,048 bits.
const rsaSize = 256

func noise(count int) []byte {
	octets := make([]byte, count)
	_, _ = rand.Read(octets) // never fails
	return octets
}

// mustJam makes a zone whose every A set has signatures that are wrong. They
// name so many keys of one tag, or, for 0, the zone's good key.
func mustJam(t *testing.T, zone, at string, keys, signatures int) *trap {
	t.Helper()
	others := colliding(zone, keys)
	tr := mustTrap(t, zone, at, others...)
	named, size := tr.key, 64
	if keys > 0 {
		named, size = others[0].(*dns.DNSKEY), rsaSize
	}
	var sigs []dns.RR
	for range signatures {
		sig := tr.signature(named)
		// As a number it is below any modulus here.
		sig.Signature = base64.StdEncoding.EncodeToString(append([]byte{0}, noise(size-1)...))
		sigs = append(sigs, sig)
	}
	tr.answer = func(m *dns.Msg, q dns.Question) {
		m.Answer = append(m.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA), A: net.IPv4(192, 0, 2, 1)})
		for _, s := range sigs {
			s = dns.Copy(s)
			s.Header().Name = q.Name
			m.Answer = append(m.Answer, s)
		}
	}
	return tr
}

// mustEncloser makes a zone that denies every name by 30 NSEC3 records, none
// of which matches a name, so that each ancestor of a name is worth a hash. It
// says of the shorter names that they exist.
func mustEncloser(t *testing.T, zone, at string, iterations uint16) *trap {
	tr := mustTrap(t, zone, at)
	hash := func(i int) string { return fmt.Sprintf("%032d", i) } // of base32hex
	var denial []dns.RR
	for i := range 30 {
		denial = append(denial, tr.signed(t, &dns.NSEC3{
			Hdr: header(hash(i)+"."+zone, dns.TypeNSEC3), Hash: dns.SHA1, Iterations: iterations,
			HashLength: 20, NextDomain: hash((i + 1) % 30), TypeBitMap: []uint16{dns.TypeA},
		})...)
	}
	tr.answer = func(m *dns.Msg, q dns.Question) {
		if dns.CountLabel(q.Name) > 100 {
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = append(slices.Clone(tr.soa), denial...)
	}
	return tr
}

// mustStuff makes a zone that denies every name by 60 NSEC records, of which
// the last proves it.
func mustStuff(t *testing.T, zone, at string) *trap {
	tr := mustTrap(t, zone, at)
	var denial []dns.RR
	for i := range 60 {
		owner, next := fmt.Sprintf("zz%02d.%s", i, zone), fmt.Sprintf("zz%02d.%s", i+1, zone)
		if i == 59 {
			owner, next = zone, "zz00."+zone
		}
		denial = append(denial, tr.signed(t, &dns.NSEC{Hdr: header(owner, dns.TypeNSEC), NextDomain: next, TypeBitMap: []uint16{dns.TypeA}})...)
	}
	tr.answer = func(m *dns.Msg, q dns.Question) {
		m.Rcode, m.Ns = dns.RcodeNameError, append(slices.Clone(tr.soa), denial...)
	}
	return tr
}
