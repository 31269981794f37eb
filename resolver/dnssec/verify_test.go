package dnssec

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// algorithmsOf are all algorithms, with the bits of the keys that tests make.
var algorithmsOf = []struct {
	number uint8
	bits   int
}{
	{dns.RSASHA1, 1024}, {dns.RSASHA1NSEC3SHA1, 1024}, {dns.RSASHA256, 1024}, {dns.RSASHA512, 1024},
	{dns.ECDSAP256SHA256, 256}, {dns.ECDSAP384SHA384, 384}, {dns.ED25519, 256}, {dns.ED448, 0},
}

func TestVerifyRRset_everyAlgorithm(t *testing.T) {
	for _, a := range algorithmsOf {
		t.Run(dns.AlgorithmToString[a.number], func(t *testing.T) {
			s := mustSigner(t, "example.", a.number, a.bits)
			k := mustTrust(t, s)
			good := s.set(t, mustRecords(t, "www.example. 300 IN A 192.0.2.1", "www.example. 300 IN A 192.0.2.2"), nil)
			w := NewWork(Rules{SHA1: true})
			if _, err := VerifyRRset(good, k, today, w); err != nil {
				t.Error(err)
			}
			changed := RRset{RRs: mustRecords(t, "www.example. 300 IN A 192.0.2.1", "www.example. 300 IN A 192.0.2.3"), Sigs: good.Sigs}
			if err := verify(changed, k, w); says(err, codeBogus, "wrong signature by example./") != nil {
				t.Errorf("a changed record: %v", err)
			}
			octets, err := base64.StdEncoding.DecodeString(good.Sigs[0].Signature)
			if err != nil {
				t.Fatal(err)
			}
			for _, length := range []int{0, 1, len(octets) / 2, len(octets) - 1} {
				sig := *good.Sigs[0]
				sig.Signature = base64.StdEncoding.EncodeToString(octets[:length])
				if verify(RRset{RRs: good.RRs, Sigs: []*dns.RRSIG{&sig}}, k, NewWork(Rules{SHA1: true})) == nil {
					t.Errorf("%d octets of a signature verified", length)
				}
			}
		})
	}
}

// verify returns the error alone.
func verify(set RRset, k Keys, w *Work) error {
	_, err := VerifyRRset(set, k, today, w)
	return err
}

func TestVerifyRRset(t *testing.T) {
	const hour = 3600
	s := mustSigner(t, "example.", dns.ED25519, 256)
	other := mustSigner(t, "example.", dns.ED25519, 256)
	parent := mustSigner(t, "example.", dns.ED25519, 256)
	parent.Hdr.Name = "."
	now := uint32(today.Unix())
	k := mustTrust(t, s)
	tests := []struct {
		name    string
		records []string
		signer  signer
		edit    func(*dns.RRSIG) // before it is signed
		code    uint16
		reason  string // "" if it verifies
	}{
		{"a set of the zone", []string{"www.example. 300 IN A 192.0.2.1"}, s, nil, 0, ""},
		{"the zone's apex", []string{"example. 300 IN NS ns.example."}, s, nil, 0, ""},
		{"letter case does not matter", []string{"WWW.Example. 300 IN MX 1 MAIL.example."}, s, nil, 0, ""},
		{"a signer in capitals is the same", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.SignerName = "EXAMPLE." }, 0, ""},
		{"a name outside the zone", []string{"www.elsewhere. 300 IN A 192.0.2.1"}, s, nil, codeBogus, "not in the zone example."},
		{"a name that only ends alike", []string{"badexample. 300 IN A 192.0.2.1"}, s, nil, codeBogus, "not in the zone example."},
		{"the parent is not the signer", []string{"www.example. 300 IN A 192.0.2.1"}, parent, nil, codeBogus, "signed by ., not by its zone example."},
		{"a child is not the signer", []string{"www.sub.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.SignerName = "sub.example." }, codeBogus, "signed by sub.example."},
		{"DS of the zone itself", []string{"example. 300 IN DS 1 15 2 " + digest32}, s, nil, codeBogus, "child's side"},
		{"DS of a child", []string{"sub.example. 300 IN DS 1 15 2 " + digest32}, s, nil, 0, ""},

		{"more labels than the owner", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Labels = 3 }, codeBogus, "has 3 labels"},
		{"fewer labels than the signer", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Labels = 0 }, codeBogus, "has 0 labels"},
		{"a signature of another type", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.TypeCovered = dns.TypeAAAA }, codeBogus, "other records"},
		{"a signature of another name", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Hdr.Name = "ftp.example." }, codeBogus, "other records"},
		{"a signature of another class", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Hdr.Class = dns.ClassCHAOS }, codeBogus, "other records"},

		{"expired", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now-20*hour, now-3*hour }, codeExpired, "expired 2026-03-01T09:00:00Z"},
		{"expired, but only just", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now-20*hour, now-hour }, 0, ""},
		{"expired within a tenth of its validity", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now-110*hour, now-10*hour }, 0, ""},
		{"expired for more than a day, however long valid", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now-9000*hour, now-25*hour }, codeExpired, "expired"},
		{"not yet valid", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now+3*hour, now+10*hour }, codeNotYetValid, "begins 2026-03-01T15:00:00Z"},
		{"valid soon", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now+hour/2, now+10*hour }, 0, ""},
		{"ends before it begins", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Inception, r.Expiration = now+hour, now-hour }, codeNeverValid, "ends before it begins"},

		{"a key that the zone has not", []string{"www.example. 300 IN A 192.0.2.1"}, other, nil, codeKeyMissing, "no trusted key example./15/"},
		{"another algorithm than the key's", []string{"www.example. 300 IN A 192.0.2.1"}, s,
			func(r *dns.RRSIG) { r.Algorithm = dns.ECDSAP256SHA256 }, codeKeyMissing, "no trusted key example./13/"},
		{"records of different types", []string{"www.example. 300 IN A 192.0.2.1", "www.example. 300 IN AAAA 2001:db8::1"}, s, nil, codeBogus, "no set"},
		{"records of different owners", []string{"www.example. 300 IN A 192.0.2.1", "ftp.example. 300 IN A 192.0.2.1"}, s, nil, codeBogus, "no set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := tt.signer.set(t, mustRecords(t, tt.records...), tt.edit)
			if err := says(verify(set, k, NewWork(Rules{})), tt.code, tt.reason); err != nil {
				t.Error(err)
			}
		})
	}
}

// digest32 is a SHA-256 digest of nothing in particular.
const digest32 = "0102030405060708091011121314151617181920212223242526272829303132"

func TestVerifyRRset_ofNothing(t *testing.T) {
	s := mustSigner(t, "example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	rrs := mustRecords(t, "www.example. 300 IN A 192.0.2.1")
	tests := []struct {
		name   string
		set    RRset
		keys   Keys
		code   uint16
		reason string
	}{
		{"no records", RRset{Sigs: []*dns.RRSIG{s.sign(t, rrs, nil)}}, k, codeBogus, "no records"},
		{"no signature", RRset{RRs: rrs}, k, codeSignatures, "no signature of A"},
		{"no keys", s.set(t, rrs, nil), Keys{}, codeKeyMissing, "no keys"},
		{"too many records", s.set(t, manyRecords(t, maxRecords+1), nil), k, codeBogus, "too many"},
		{"as many as a set may have", s.set(t, manyRecords(t, maxRecords), nil), k, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := says(verify(tt.set, tt.keys, NewWork(Rules{})), tt.code, tt.reason); err != nil {
				t.Error(err)
			}
		})
	}
}

func manyRecords(tb testing.TB, n int) []dns.RR {
	tb.Helper()
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("many.example. 300 IN AAAA 2001:db8::%x", i+1))
	}
	return mustRecords(tb, lines...)
}

func TestVerifyRRset_wildcards(t *testing.T) {
	tests := []struct {
		name, zone, owner string
		labels            uint8
		wildcard          string
	}{
		{"not expanded", "example.", "a.b.example.", 3, ""},
		{"expanded by one label", "example.", "a.b.example.", 2, "*.b.example."},
		{"expanded from the apex", "example.", "a.b.example.", 1, "*.example."},
		{"expanded from the root", ".", "a.b.", 0, "*."},
		{"the wildcard itself was asked for", "example.", "*.example.", 1, ""},
		{"a wildcard's name expanded", "example.", "*.b.example.", 1, "*.example."},
		{"an asterisk inside", "example.", "a.*.example.", 1, "*.example."},
		{"an asterisk that is the closest encloser", "example.", "a.*.example.", 2, "*.*.example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustSigner(t, tt.zone, dns.ED25519, 256)
			set := s.set(t, mustRecords(t, tt.owner+" 300 IN A 192.0.2.1"), func(r *dns.RRSIG) { r.Labels = tt.labels })
			got, err := VerifyRRset(set, mustTrust(t, s), today, NewWork(Rules{}))
			if err != nil || got.Wildcard != tt.wildcard {
				t.Errorf("expanded from %q, %v; want %q", got.Wildcard, err, tt.wildcard)
			}
		})
	}
}

func TestVerifyRRset_capsTheTTL(t *testing.T) {
	now := uint32(today.Unix())
	s := mustSigner(t, "example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	tests := []struct {
		name     string
		received uint32
		edit     func(*dns.RRSIG)
		ttl      uint32
		until    time.Duration // from today
	}{
		{"by the TTL received", 60, func(r *dns.RRSIG) { r.OrigTtl = 300 }, 60, 10 * 24 * time.Hour},
		{"by the original TTL", 600, func(r *dns.RRSIG) { r.OrigTtl = 300 }, 300, 10 * 24 * time.Hour},
		{"by the signature's TTL", 600, func(r *dns.RRSIG) { r.OrigTtl, r.Hdr.Ttl = 600, 30 }, 30, 10 * 24 * time.Hour},
		{"by the signature's end", 600, func(r *dns.RRSIG) { r.Expiration = now + 90 }, 90, 90 * time.Second},
		{"by the skew's end after it", 6000, func(r *dns.RRSIG) { r.Inception, r.Expiration = now-7200, now-3000 }, 600, 600 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rrs := mustRecords(t, fmt.Sprintf("www.example. %d IN A 192.0.2.1", tt.received))
			got, err := VerifyRRset(s.set(t, rrs, tt.edit), k, today, NewWork(Rules{}))
			if want := (Signed{Until: today.Add(tt.until), TTL: tt.ttl}); err != nil || got != want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestVerifyRRset_oneGoodSignatureIsEnough(t *testing.T) {
	good := mustSigner(t, "example.", dns.ED25519, 256)
	second := mustSigner(t, "example.", dns.ECDSAP256SHA256, 256)
	k := mustTrust(t, good, second)
	rrs := mustRecords(t, "www.example. 300 IN A 192.0.2.1")
	fine := good.sign(t, rrs, nil)
	wrong := *second.sign(t, rrs, nil)
	wrong.OrigTtl++
	expired := second.sign(t, rrs, func(r *dns.RRSIG) { r.Inception, r.Expiration = 1, 2 })
	foreign := second.sign(t, rrs, func(r *dns.RRSIG) { r.Algorithm = 200 })
	set := RRset{RRs: rrs, Sigs: []*dns.RRSIG{foreign, expired, &wrong, fine}}
	if err := verify(set, k, NewWork(Rules{})); err != nil {
		t.Error(err)
	}
}

func TestVerifyRRset_tellsOfTheSignatureThatCameNearest(t *testing.T) {
	s := mustSigner(t, "example.", dns.ED25519, 256)
	stranger := mustSigner(t, "example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	rrs := mustRecords(t, "www.example. 300 IN A 192.0.2.1")
	misfit := s.sign(t, rrs, func(r *dns.RRSIG) { r.Labels = 9 })
	expired := s.sign(t, rrs, func(r *dns.RRSIG) { r.Inception, r.Expiration = 1, 2 })
	unknown := stranger.sign(t, rrs, nil)
	wrong := *s.sign(t, rrs, nil)
	wrong.OrigTtl++
	tests := []struct {
		name string
		sigs []*dns.RRSIG
		code uint16
	}{
		{"expired before one that does not fit", []*dns.RRSIG{expired, misfit}, codeExpired},
		{"unknown before expired", []*dns.RRSIG{unknown, expired, misfit}, codeKeyMissing},
		{"wrong before all", []*dns.RRSIG{&wrong, unknown, expired, misfit}, codeBogus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := verify(RRset{RRs: rrs, Sigs: tt.sigs}, k, NewWork(Rules{}))
			if err := says(err, tt.code, " "); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyRRset_byManyAtOnce(t *testing.T) {
	s := mustSigner(t, "example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	set := s.set(t, mustRecords(t, "WWW.example. 300 IN MX 1 Mail.example.", "www.EXAMPLE. 300 IN MX 2 mail.example."), nil)
	w := NewWork(Rules{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				if err := verify(set, k, w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, want := w.units.left.Load(), int64(maxUnits-32*priceEd25519); got != want {
		t.Errorf("%d tenths left, want %d", got, want)
	}
}
