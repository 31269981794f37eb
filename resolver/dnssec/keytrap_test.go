package dnssec

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// The zones of KeyTrap (CVE-2023-50387). What is measured is operations and
// their price, not time.

// colliding returns RSA keys that all have one tag. They have no private half
// and need none: two octets of a modulus that nobody factors set the tag.
func colliding(tb testing.TB, count int) []*dns.DNSKEY {
	tb.Helper()
	const want = 4711
	var all []*dns.DNSKEY
	for len(all) < count {
		octets := append([]byte{3, 1, 0, 1, 0xc0}, make([]byte, 255)...)
		if _, err := rand.Read(octets[5:]); err != nil {
			tb.Fatal(err)
		}
		octets[len(octets)-1] |= 1
		k := &dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: "trap.example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
			Flags: dns.ZONE, Protocol: 3, Algorithm: dns.RSASHA256,
		}
		for near := range uint16(3) { // a carry may add one
			binary.BigEndian.PutUint16(octets[100:], 0)
			k.PublicKey = base64.StdEncoding.EncodeToString(octets)
			binary.BigEndian.PutUint16(octets[100:], want-k.KeyTag()-near+1)
			k.PublicKey = base64.StdEncoding.EncodeToString(octets)
			if k.KeyTag() == want {
				all = append(all, k)
				break
			}
		}
	}
	return all
}

// jammed returns a set with signatures that name the key but are random.
func jammed(tb testing.TB, owner string, k *dns.DNSKEY, count int) RRset {
	tb.Helper()
	set := RRset{RRs: mustRecords(tb, owner+" 60 IN A 192.0.2.1")}
	for range count {
		octets := make([]byte, 256)
		if _, err := rand.Read(octets[1:]); err != nil {
			tb.Fatal(err)
		}
		sig := mustRecords(tb, owner+" 60 IN RRSIG A 8 3 60 20270101000000 20260101000000 1 trap.example. AAAA")[0].(*dns.RRSIG)
		sig.Algorithm, sig.KeyTag = k.Algorithm, k.KeyTag()
		sig.Signature = base64.StdEncoding.EncodeToString(octets)
		set.Sigs = append(set.Sigs, sig)
	}
	return set
}

// trapped returns the keys of a zone whose own key, which is good, has signed
// the others, and a counter of the signatures computed with them.
func trapped(tb testing.TB, keys []*dns.DNSKEY) (Keys, *atomic.Int64) {
	tb.Helper()
	own := mustSigner(tb, "trap.example.", dns.ED25519, 256)
	set := RRset{RRs: []dns.RR{own.DNSKEY}}
	for _, k := range keys {
		set.RRs = append(set.RRs, k)
	}
	set.Sigs = []*dns.RRSIG{own.sign(tb, set.RRs, nil)}
	k, err := TrustKeys("trap.example.", []*dns.DS{own.ds(dns.SHA256)}, set, today, NewWork(Rules{}))
	if err != nil {
		tb.Fatal(err)
	}
	computed := new(atomic.Int64)
	for i, key := range k.keys {
		k.keys[i].verify = func(signed, signature []byte) bool {
			computed.Add(1)
			return key.verify(signed, signature)
		}
	}
	return k, computed
}

func TestKeyTrap_manyKeysOfOneTag(t *testing.T) {
	keys := colliding(t, maxKeys-1)
	k, computed := trapped(t, keys)
	if err := says(verify(jammed(t, "www.trap.example.", keys[0], 50), k, NewWork(Rules{})), codeBogus, "wrong signature"); err != nil {
		t.Error(err)
	}
	if got, most := computed.Load(), int64(maxTries*maxSameTag); got != most {
		t.Errorf("%d signatures computed, want %d", got, most)
	}
}

func TestKeyTrap_manySignaturesByOneKey(t *testing.T) {
	keys := colliding(t, 1)
	k, computed := trapped(t, keys)
	if err := says(verify(jammed(t, "www.trap.example.", keys[0], 300), k, NewWork(Rules{})), codeBogus, "wrong signature"); err != nil {
		t.Error(err)
	}
	if got := computed.Load(); got != maxTries {
		t.Errorf("%d signatures computed, want %d", got, maxTries)
	}
}

func TestKeyTrap_moreKeysThanAreLookedAt(t *testing.T) {
	zone := roll{}
	for _, k := range colliding(t, 50) {
		zone.set.RRs = append(zone.set.RRs, k)
		zone.ds = append(zone.ds, k.ToDS(dns.SHA256))
	}
	w := NewWork(Rules{})
	_, err := TrustKeys("trap.example.", zone.ds, zone.set, today, w)
	if err := says(err, codeBogus, "50 or more keys, at most 32"); err != nil {
		t.Error(err)
	}
	if w.digests.left.Load() != maxDigests || w.units.left.Load() != maxUnits {
		t.Error("it has cost something")
	}
}

func TestKeyTrap_manyDS(t *testing.T) {
	var set RRset
	for _, k := range colliding(t, maxKeys) {
		set.RRs = append(set.RRs, k)
	}
	first := set.RRs[0].(*dns.DNSKEY)
	var ds []*dns.DS
	for i := range 60 {
		d := first.ToDS(dns.SHA256)
		d.Digest = fmt.Sprintf("%064x", i)
		ds = append(ds, d)
	}
	w := NewWork(Rules{})
	_, err := TrustKeys("trap.example.", ds, set, today, w)
	if err := says(err, codeKeyMissing, "has not the digest"); err != nil {
		t.Error(err)
	}
	if got := maxDigests - w.digests.left.Load(); got != maxMismatches {
		t.Errorf("%d digests computed, want %d", got, maxMismatches)
	}
}

func TestKeyTrap_manyDSThatMatch(t *testing.T) {
	var set RRset
	var ds []*dns.DS
	keys := colliding(t, maxKeys)
	for _, k := range keys {
		set.RRs = append(set.RRs, k)
		ds = append(ds, k.ToDS(dns.SHA256))
	}
	for _, sig := range jammed(t, "trap.example.", keys[0], 50).Sigs {
		sig.TypeCovered, sig.Labels = dns.TypeDNSKEY, 2
		set.Sigs = append(set.Sigs, sig)
	}
	w := NewWork(Rules{})
	if _, err := TrustKeys("trap.example.", ds, set, today, w); err == nil {
		t.Error("trusted")
	}
	if got, most := maxDigests-w.digests.left.Load(), int64(maxDS*maxSameTag); got > most {
		t.Errorf("%d digests computed, want %d at most", got, most)
	}
	const each = 10 + 10 // the keys are RSA-2048, and together under 10 KiB
	if got, most := maxUnits-w.units.left.Load(), int64(maxTries*maxSameTag*each); got > most {
		t.Errorf("%d tenths of a unit spent, want %d at most", got, most)
	}
}

// One query may meet many such sets: the purse is what bounds them.
func TestKeyTrap_overAWholeQuery(t *testing.T) {
	keys := colliding(t, maxKeys-1)
	k, computed := trapped(t, keys)
	w := NewWork(Rules{})
	set := jammed(t, "www.trap.example.", keys[0], 50)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				if verify(set, k, w) == nil {
					t.Error("verified")
				}
			}
		})
	}
	all.Wait()
	// Four at once may each overdraw by the one signature that they are at.
	if got, most := computed.Load(), int64(maxFailed/10+4); got > most {
		t.Errorf("%d signatures computed, want %d at most", got, most)
	}
	var e *ProofError
	if err := verify(set, k, w); !errors.As(err, &e) || !e.Spent || e.Status() != Bogus {
		t.Errorf("%v, want the end of the Work", err)
	}
}

func TestWork_isNeverOverspent(t *testing.T) {
	w := NewWork(Rules{})
	var spent atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for w.signature(7) {
				spent.Add(7)
			}
		})
	}
	all.Wait()
	if got := spent.Load(); got > maxUnits || got <= maxUnits-7 {
		t.Errorf("%d spent of %d", got, maxUnits)
	}
}

func TestWork_paysForWhatIsHashed(t *testing.T) {
	s := mustSigner(t, "example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	var long []dns.RR
	for i := range 100 {
		long = append(long, mustRecords(t, fmt.Sprintf(`www.example. 60 IN TXT "%0200d"`, i))...)
	}
	w := NewWork(Rules{})
	if err := verify(s.set(t, long, nil), k, w); err != nil {
		t.Fatal(err)
	}
	if got, want := maxUnits-w.units.left.Load(), int64(priceEd25519+100*(201+23)/signedPerTenth); got != want {
		t.Errorf("%d tenths, want %d", got, want)
	}
}

// A chain of ten P-384 zones below an RSA root, of which the last denies a name
// by NSEC3, is what genuine zones may cost.
func TestWork_isEnoughForTenZonesOfP384(t *testing.T) {
	const zones = 10
	w := NewWork(Rules{})
	parent := mustSigner(t, ".", dns.RSASHA256, 2048)
	ds := []*dns.DS{parent.ds(dns.SHA256)}
	zone := ""
	for depth := range zones + 1 {
		set := RRset{RRs: []dns.RR{parent.DNSKEY}}
		set.Sigs = []*dns.RRSIG{parent.sign(t, set.RRs, nil)}
		k, err := TrustKeys(parent.Hdr.Name, ds, set, today, w)
		if err != nil {
			t.Fatalf("zone %d: %v", depth, err)
		}
		if depth == zones {
			mustDeny(t, parent, k, w)
			break
		}
		zone = fmt.Sprintf("z%d.%s", depth, zone)
		child := mustSigner(t, zone, dns.ECDSAP384SHA384, 384)
		ds = []*dns.DS{child.ds(dns.SHA384)}
		if err := verify(parent.set(t, []dns.RR{ds[0]}, nil), k, w); err != nil {
			t.Fatalf("zone %d: %v", depth, err)
		}
		parent = child
	}
}

// mustDeny proves a name of the signer's zone not to exist, by three NSEC3 and
// with the SOA, and wants enough to be left for what a roll of keys may add.
func mustDeny(t *testing.T, s signer, k Keys, w *Work) {
	t.Helper()
	zone := s.Hdr.Name
	soa := s.set(t, mustRecords(t, zone+" 300 IN SOA ns. host. 1 2 3 4 5"), nil)
	var denial []RRset
	for _, words := range []string{"match " + zone + " NS SOA", "cover no." + zone, "cover *." + zone} {
		denial = append(denial, s.set(t, []dns.RR{mustNSEC3(t, zone, words, parameters{})}, nil))
	}
	if err := verify(soa, k, w); err != nil {
		t.Fatal(err)
	}
	q := dns.Question{Name: "no." + zone, Qtype: dns.TypeA, Qclass: dns.ClassINET}
	if d, err := ProveAbsent(q, dns.RcodeNameError, denial, k, today, w); d.Status != Secure {
		t.Errorf("%v: %v", d.Status, err)
	}
	if left, want := w.units.left.Load(), int64(2*priceP384); left < want {
		t.Errorf("%d tenths of a unit are left, want %d for a roll or a retry", left, want)
	}
}

func TestSets(t *testing.T) {
	rrs := mustRecords(t,
		"www.example. 60 IN RRSIG A 15 2 60 20270101000000 20260101000000 1 example. AAAA",
		"www.example. 60 IN A 192.0.2.1",
		"ftp.example. 60 IN A 192.0.2.2",
		"WWW.example. 60 IN A 192.0.2.3",
		"www.example. 60 IN AAAA 2001:db8::1",
		"www.example. 60 CH A 1.2.3.4",
		"www.example. 60 IN RRSIG MX 15 2 60 20270101000000 20260101000000 1 example. AAAA",
		"Www.example. 60 IN RRSIG A 15 2 60 20270101000000 20260101000000 2 example. AAAA",
	)
	var got [][2]int
	for _, s := range Sets(append(rrs, &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}})) {
		got = append(got, [2]int{len(s.RRs), len(s.Sigs)})
	}
	if want := [][2]int{{2, 2}, {1, 0}, {1, 0}, {1, 0}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records and signatures %v, want %v", got, want)
	}
}

func TestSets_areBounded(t *testing.T) {
	rrs := manyRecords(t, 3*maxRecords)
	for range 100 {
		rrs = append(rrs, mustRecords(t, "many.example. 60 IN RRSIG AAAA 15 2 60 20270101000000 20260101000000 1 example. AAAA")...)
	}
	sets := Sets(rrs)
	if len(sets) != 1 || len(sets[0].RRs) != maxRecords+1 || len(sets[0].Sigs) != maxSignatures {
		t.Errorf("%d records, %d signatures", len(sets[0].RRs), len(sets[0].Sigs))
	}
	if _, err := formOf(sets[0].RRs); !errors.Is(err, errManyRecords) {
		t.Errorf("a set cut short is taken as whole: %v", err)
	}
}
