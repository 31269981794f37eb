//go:build linux

package node

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
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
// parent vouches for it, and its servers answer by TCP only unless said.
type trap struct {
	zone    string
	at      netip.Addr
	key     *dns.DNSKEY
	private crypto.Signer
	ds      []*dns.DS // what the parent says
	keys    []dns.RR  // the DNSKEY set with its signatures
	soa     []dns.RR  // SOA with its signature

	// answer fills in the reply to a question other than for DNSKEY.
	answer func(m *dns.Msg, q dns.Question)

	// datagrams says that the servers answer by UDP, too.
	datagrams bool

	// below serves what the zone refers to; invalid if it refers to nothing.
	below netip.Addr
}

// mustTrap makes a zone with a good key of an algorithm, beside which it has
// others.
func mustTrap(t *testing.T, zone, at string, algorithm uint8, others ...dns.RR) *trap {
	t.Helper()
	bits := map[uint8]int{dns.ECDSAP256SHA256: 256, dns.ECDSAP384SHA384: 384, dns.RSASHA256: 4096}
	tr := &trap{zone: zone, at: netip.MustParseAddr(at)}
	tr.key = &dns.DNSKEY{Hdr: header(zone, dns.TypeDNSKEY), Flags: 257, Protocol: 3, Algorithm: algorithm}
	private, err := tr.key.Generate(bits[algorithm])
	if err != nil {
		t.Fatal(err)
	}
	tr.private, tr.ds = private.(crypto.Signer), []*dns.DS{tr.key.ToDS(dns.SHA256)}
	tr.keys = tr.signed(t, append([]dns.RR{tr.key}, others...)...)
	tr.soa = tr.signed(t, &dns.SOA{Hdr: header(zone, dns.TypeSOA), Ns: zone, Mbox: zone, Refresh: 60, Retry: 60, Expire: 60, Minttl: 60})
	tr.answer = func(m *dns.Msg, q dns.Question) {
		m.Answer = append(m.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA), A: net.IPv4(192, 0, 2, 1)})
	}
	return tr
}

// signed returns a set with its signature.
func (tr *trap) signed(t *testing.T, set ...dns.RR) []dns.RR {
	t.Helper()
	sig := tr.signature(tr.key, set[0].Header())
	if err := sig.Sign(tr.private, set); err != nil {
		t.Fatal(err)
	}
	return append(set, sig)
}

// signature returns what is to be the key's signature of a set.
func (tr *trap) signature(k *dns.DNSKEY, of *dns.RR_Header) *dns.RRSIG {
	now := time.Now()
	return &dns.RRSIG{
		Hdr: header(of.Name, dns.TypeRRSIG), TypeCovered: of.Rrtype, Algorithm: k.Algorithm, OrigTtl: 60,
		Labels: uint8(dns.CountLabel(of.Name)), KeyTag: k.KeyTag(), SignerName: tr.zone,
		Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(24 * time.Hour).Unix()),
	}
}

// wrong returns signatures of a set that name a key and are noise.
func (tr *trap) wrong(k *dns.DNSKEY, of *dns.RR_Header, count int) []dns.RR {
	size := map[uint8]int{dns.ECDSAP256SHA256: 64, dns.ECDSAP384SHA384: 96}[k.Algorithm]
	if size == 0 { // RSA: as long as the modulus
		size = max(64, base64.StdEncoding.DecodedLen(len(k.PublicKey))/128*128)
	}
	var sigs []dns.RR
	for range count {
		sig := tr.signature(k, of)
		// As a number it is below any modulus here.
		sig.Signature = base64.StdEncoding.EncodeToString(append([]byte{0}, noise(size-1)...))
		sigs = append(sigs, sig)
	}
	return sigs
}

// spoof answers as the zone's server.
func (tr *trap) spoof(query, _ *dns.Msg, stream bool) *dns.Msg {
	q := query.Question[0]
	m := new(dns.Msg).SetReply(query)
	m.SetEdns0(payloadSize, true)
	m.Authoritative, m.Compress = true, true
	switch {
	case !stream && !tr.datagrams:
		m.Truncated = true
	case q.Qtype == dns.TypeDNSKEY && strings.EqualFold(q.Name, tr.zone):
		m.Answer = tr.keys
	default:
		tr.answer(m, q)
	}
	return m
}

// addressOf answers whatever the question is with an address, unsigned.
func addressOf(query, _ *dns.Msg, _ bool) *dns.Msg {
	q := query.Question[0]
	m := new(dns.Msg).SetReply(query)
	m.Authoritative = true
	m.Answer = []dns.RR{&dns.A{Hdr: header(q.Name, dns.TypeA), A: net.IPv4(192, 0, 2, 1)}}
	return m
}

func header(owner string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: 60}
}

func noise(count int) []byte {
	octets := make([]byte, count)
	_, _ = rand.Read(octets) // never fails
	return octets
}

// mustJam makes a zone whose every A set has signatures that are wrong. They
// name the first of keys or, of none, the zone's own, which is of an algorithm.
func mustJam(t *testing.T, zone, at string, algorithm uint8, keys []dns.RR, signatures int) *trap {
	t.Helper()
	tr := mustTrap(t, zone, at, algorithm, keys...)
	named := tr.key
	if len(keys) > 0 {
		named = keys[0].(*dns.DNSKEY)
	}
	h := header("x."+zone, dns.TypeA)
	sigs := tr.wrong(named, &h, signatures)
	honest := tr.answer
	tr.answer = func(m *dns.Msg, q dns.Question) {
		honest(m, q)
		for _, s := range sigs {
			s = dns.Copy(s)
			s.Header().Name = q.Name
			m.Answer = append(m.Answer, s)
		}
	}
	return tr
}

// mustLock makes a zone whose DNSKEY set has signatures by two of its keys that
// are wrong; the parent vouches for both.
func mustLock(t *testing.T, zone, at string, keys []dns.RR, signatures int) *trap {
	t.Helper()
	tr := mustTrap(t, zone, at, dns.ECDSAP256SHA256)
	named := keys[0].(*dns.DNSKEY)
	tr.ds = []*dns.DS{named.ToDS(dns.SHA256), keys[1].(*dns.DNSKEY).ToDS(dns.SHA256)}
	tr.keys = append(slices.Clone(keys), tr.wrong(named, named.Header(), signatures)...)
	return tr
}

// mustDigest makes a zone with DS records that all name its keys, which have one
// tag, and are the digest of none.
func mustDigest(t *testing.T, zone, at string, keys []dns.RR, ds int) *trap {
	t.Helper()
	tr := mustLock(t, zone, at, keys, 1)
	first := tr.ds[0]
	tr.ds = nil
	for range ds {
		d := *first
		d.Digest = hex.EncodeToString(noise(32))
		tr.ds = append(tr.ds, &d)
	}
	return tr
}

// mustSpend makes a zone in which nothing is wrong and all is dear: names are
// aliases of one another, each expanded from a wildcard of its own, and with them
// come as many records that deny as are looked at for each. All of it is signed.
func mustSpend(t *testing.T, zone, at string) *trap {
	t.Helper()
	const aliases, denials = 11, 8
	tr := mustTrap(t, zone, at, dns.ECDSAP384SHA384)
	owner := func(i int) string { return fmt.Sprintf("a%02d.%s", i, zone) }
	var steps, denial []dns.RR
	for i := range aliases {
		alias := &dns.CNAME{Hdr: header("*."+owner(i), dns.TypeCNAME), Target: "x." + owner(i+1)}
		steps = append(steps, tr.signed(t, alias)...)
	}
	for i := range denials {
		nsec := &dns.NSEC{Hdr: header(owner(i), dns.TypeNSEC), NextDomain: owner(i + 1), TypeBitMap: []uint16{dns.TypeA}}
		denial = append(denial, tr.signed(t, nsec)...)
	}
	honest := tr.answer
	tr.answer = func(m *dns.Msg, q dns.Question) {
		if dns.CountLabel(q.Name) <= dns.CountLabel(owner(0)) {
			honest(m, q)
			return
		}
		for i, rr := range steps {
			rr = dns.Copy(rr)
			if rr.Header().Name = "x." + owner(i/2); i < 2 {
				rr.Header().Name = q.Name
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Ns = denial
	}
	return tr
}

// encloser returns so many NSEC3 records, none of which matches a name, so that each
// ancestor of a name is worth a hash.
func (tr *trap) encloser(t *testing.T, count int, iterations uint16, salt int) (denial []dns.RR) {
	t.Helper()
	hash := func(i int) string { return fmt.Sprintf("%032d", i) } // of base32hex
	octets := hex.EncodeToString(noise(salt))
	for i := range count {
		denial = append(denial, tr.signed(t, &dns.NSEC3{
			Hdr: header(hash(i)+"."+tr.zone, dns.TypeNSEC3), Hash: dns.SHA1, Iterations: iterations, SaltLength: uint8(salt), Salt: octets,
			HashLength: 20, NextDomain: hash((i + 1) % count), TypeBitMap: []uint16{dns.TypeA},
		})...)
	}
	return denial
}

// mustEncloser makes a zone that denies every name by such records. It says of
// the shorter names that they exist.
func mustEncloser(t *testing.T, zone, at string, count int, iterations uint16, salt int) *trap {
	t.Helper()
	tr := mustTrap(t, zone, at, dns.ECDSAP256SHA256)
	denial := tr.encloser(t, count, iterations, salt)
	tr.answer = func(m *dns.Msg, q dns.Question) {
		if dns.CountLabel(q.Name) > 100 {
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = append(slices.Clone(tr.soa), denial...)
	}
	return tr
}

// mustRefer makes a zone that refers every name to a zone of its own, and
// denies by such records that there is a DS.
func mustRefer(t *testing.T, zone, at, below string, iterations uint16) *trap {
	t.Helper()
	tr := mustTrap(t, zone, at, dns.ECDSAP256SHA256)
	tr.below = netip.MustParseAddr(below)
	denial := tr.encloser(t, 30, iterations, 0)
	tr.answer = func(m *dns.Msg, q dns.Question) {
		if m.Ns = denial; q.Qtype == dns.TypeDS {
			m.Ns = append(slices.Clone(tr.soa), denial...)
			return
		}
		labels := dns.SplitDomainName(q.Name)
		child := dns.Fqdn(strings.Join(labels[len(labels)-dns.CountLabel(zone)-1:], "."))
		m.Authoritative = false
		m.Ns = append([]dns.RR{&dns.NS{Hdr: header(child, dns.TypeNS), Ns: "ns." + child}}, denial...)
		m.Extra = append(m.Extra, &dns.A{Hdr: header("ns."+child, dns.TypeA), A: tr.below.AsSlice()})
	}
	return tr
}

// mustStuff makes a zone that denies every name by 60 NSEC records, of which
// the last proves it. Each has a good signature, or so many wrong ones.
func mustStuff(t *testing.T, zone, at string, algorithm uint8, wrong int) *trap {
	t.Helper()
	tr := mustTrap(t, zone, at, algorithm)
	var denial []dns.RR
	for i := range 60 {
		owner, next := fmt.Sprintf("zz%02d.%s", i, zone), fmt.Sprintf("zz%02d.%s", i+1, zone)
		if i == 59 {
			owner, next = zone, "zz00."+zone
		}
		rr := &dns.NSEC{Hdr: header(owner, dns.TypeNSEC), NextDomain: next, TypeBitMap: []uint16{dns.TypeA}}
		if wrong > 0 {
			denial = append(append(denial, rr), tr.wrong(tr.key, rr.Header(), wrong)...)
			continue
		}
		denial = append(denial, tr.signed(t, rr)...)
	}
	tr.answer = func(m *dns.Msg, q dns.Question) {
		m.Rcode, m.Ns = dns.RcodeNameError, append(slices.Clone(tr.soa), denial...)
	}
	return tr
}
