package dnssec

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzVerifyRRset signs a record for what a signature may say of it, and has it
// judged here and by the reference.
func FuzzVerifyRRset(f *testing.F) {
	zones := []string{".", "example.", "sub.example.", "*.example."}
	owners := []string{".", "example.", "www.example.", "*.example.", "a.b.Sub.example.", "a.*.example.", "badexample.", `a\.example.`, "*.sub.example.", "com."}
	signers := map[string]signer{}
	keys := map[string]Keys{}
	for i, zone := range zones {
		a := []uint8{dns.ED25519, dns.ED25519, dns.ECDSAP256SHA256, dns.ED448}[i]
		signers[zone] = mustSigner(f, zone, a, 256)
		keys[zone] = mustTrust(f, signers[zone])
	}
	now := uint32(today.Unix())
	f.Add(uint8(1), uint8(2), uint8(1), uint8(2), now-3600, now+3600, now, uint8(0))
	f.Add(uint8(1), uint8(4), uint8(1), uint8(1), now-3600, now+3600, now, uint8(0))
	f.Add(uint8(0), uint8(9), uint8(0), uint8(0), now-3600, now+3600, now, uint8(0))
	f.Add(uint8(2), uint8(4), uint8(2), uint8(1), now-3600, now+3600, now, uint8(0))
	f.Add(uint8(1), uint8(1), uint8(1), uint8(1), now-3600, now+3600, now+7100, uint8(1))
	f.Add(uint8(3), uint8(5), uint8(3), uint8(2), now-9, now-11, now, uint8(2))
	f.Add(uint8(3), uint8(3), uint8(3), uint8(1), now-3600, now+3600, now, uint8(0)) // a zone named as a wildcard
	f.Add(uint8(3), uint8(5), uint8(3), uint8(1), now-3600, now+3600, now, uint8(0))
	f.Add(uint8(1), uint8(7), uint8(1), uint8(1), uint32(0xfffffff0), uint32(0x10), uint32(5), uint8(0))
	f.Fuzz(func(t *testing.T, zone, owner, by, labels uint8, inception, expiration, at uint32, spoil uint8) {
		z, s := zones[int(zone)%len(zones)], signers[zones[int(by)%len(zones)]]
		name := owners[int(owner)%len(owners)]
		if int(labels) > dns.CountLabel(name) {
			labels = uint8(dns.CountLabel(name) + 1) // more cannot be signed
		}
		texts := []string{" 60 IN MX 1 Mail.Example.", " 60 IN DS 1 8 2 " + digest32, " 60 IN NSEC Next.example. A"}
		rrs := mustRecords(t, name+texts[int(spoil>>4)%len(texts)])
		set := s.set(t, rrs, func(sig *dns.RRSIG) {
			sig.Labels, sig.Inception, sig.Expiration = labels, inception, expiration
		})
		switch spoil & 15 {
		case 1:
			set.Sigs[0].OrigTtl++
		case 2:
			set.Sigs[0].Signature = base64.StdEncoding.EncodeToString(make([]byte, 64))
		case 3:
			set.RRs[0].Header().Class = dns.ClassCHAOS
		case 4:
			set.RRs = append(set.RRs, dns.Copy(set.RRs[0]))
		case 5:
			set.RRs[0].Header().Ttl = 1 << 31
		}
		when := time.Unix(int64(at), 0)
		signed, err := VerifyRRset(set, keys[z], when, NewWork(Rules{}))
		// The library refuses what it calls no set: duplicates.
		unique := RRset{RRs: set.RRs[:1], Sigs: set.Sigs}
		if want := referenceVerify(t, unique, z, []*dns.DNSKEY{signers[z].DNSKEY}, when); want != (err == nil) {
			t.Errorf("%v, reference %t: %v by %s, at %d", err, want, set, z, at)
		}
		if err == nil && (signed.Until.Before(when) || signed.TTL > set.Sigs[0].OrigTtl) {
			t.Errorf("%+v at %v", signed, when)
		}
	})
}

// FuzzMessage judges whatever a message may hold.
func FuzzMessage(f *testing.F) {
	s := mustSigner(f, "example.", dns.ED25519, 256)
	rsa := mustSigner(f, "example.", dns.RSASHA256, 1024)
	k := mustTrust(f, s, rsa)
	for _, line := range []string{
		"www.example. 60 IN A 192.0.2.1", "example. 60 IN SOA ns.example. h.example. 1 2 3 4 5", `a.example. 60 IN NAPTR 1 2 "S" "x" "" b.example.`,
		"sub.example. 60 IN DS 1 8 2 " + digest32, `x.example. 60 IN TYPE65400 \# 3 010203`, "b.example. 60 IN SVCB 1 c.example. alpn=h2",
	} {
		rrs := mustRecords(f, line)
		m := dns.Msg{Answer: append(rrs, s.sign(f, rrs, nil), rsa.sign(f, rrs, nil))}
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	zone := zoneOf(f, s, rsa)
	wire, err := (&dns.Msg{Answer: append(zone.set.RRs, zone.set.Sigs[0]), Ns: []dns.RR{zone.ds[0]}}).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m dns.Msg
		if m.Unpack(wire) != nil {
			return
		}
		var ds []*dns.DS
		for _, rr := range m.Ns {
			if d, ok := rr.(*dns.DS); ok {
				ds = append(ds, d)
			}
		}
		w := NewWork(Rules{SHA1: true})
		for _, set := range Sets(append(m.Answer, m.Ns...)) {
			signed, err := VerifyRRset(set, k, today, w)
			if want := referenceVerify(t, set, "example.", []*dns.DNSKEY{s.DNSKEY, rsa.DNSKEY}, today); err == nil && !want {
				t.Errorf("%v is genuine, the reference says no: %+v", set, signed)
			}
			if trusted, err := TrustKeys("example.", ds, set, today, w); err == nil && trusted.Empty() {
				t.Error("no keys, and no error")
			}
		}
	})
}
