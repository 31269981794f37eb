package dnssec

import (
	"math/big"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A roll is a zone as it shows itself to TrustKeys.
type roll struct {
	ds  []*dns.DS
	set RRset
}

// trust returns what TrustKeys says by default rules.
func (r roll) trust(rules Rules) (Keys, error) {
	return TrustKeys("example.", r.ds, r.set, today, NewWork(rules))
}

// zoneOf returns the zone of these keys; the first one signs, and has the DS.
func zoneOf(tb testing.TB, signers ...signer) roll {
	tb.Helper()
	r := roll{ds: []*dns.DS{signers[0].ds(dns.SHA256)}}
	for _, s := range signers {
		r.set.RRs = append(r.set.RRs, s.DNSKEY)
	}
	r.set.Sigs = []*dns.RRSIG{signers[0].sign(tb, r.set.RRs, nil)}
	return r
}

// flagged returns a key of the zone with other flags and protocol.
func flagged(tb testing.TB, flags uint16, protocol uint8) signer {
	tb.Helper()
	s := mustSigner(tb, "example.", dns.ED25519, 256)
	s.Flags, s.Protocol = flags, protocol
	return s
}

func TestTrustKeys(t *testing.T) {
	ksk := mustSigner(t, "example.", dns.ED25519, 256)
	zsk := mustSigner(t, "example.", dns.ECDSAP256SHA256, 256)
	stranger := mustSigner(t, "example.", dns.ED25519, 256)
	sha1 := mustSigner(t, "example.", dns.RSASHA1, 1024)
	with := func(r roll, change func(*roll)) roll {
		change(&r)
		return r
	}
	tests := []struct {
		name   string
		zone   roll
		keys   int // how many are trusted
		code   uint16
		reason string
	}{
		{"a key that is vouched for signs another", zoneOf(t, ksk, zsk), 2, 0, ""},
		{"one DS of two matches", with(zoneOf(t, ksk, zsk), func(r *roll) {
			r.ds = []*dns.DS{stranger.ds(dns.SHA256), ksk.ds(dns.SHA384)}
		}), 2, 0, ""},
		{"keys of unknown algorithms are left out", zoneOf(t, ksk, sha1), 1, 0, ""},
		{"no DNSKEY", with(zoneOf(t, ksk), func(r *roll) { r.set.RRs = nil }), 0, codeKeyMissing, "no DNSKEY"},
		{"no key for the DS", with(zoneOf(t, ksk), func(r *roll) { r.ds = []*dns.DS{stranger.ds(dns.SHA256)} }), 0,
			codeKeyMissing, "for its DS"},
		{"another digest", with(zoneOf(t, ksk), func(r *roll) { r.ds[0].Digest = digest32 }), 0, codeKeyMissing, "has not the digest"},
		{"a digest cut short", with(zoneOf(t, ksk), func(r *roll) { r.ds[0].Digest = r.ds[0].Digest[:40] }), 0, codeBogus, "malformed digest"},
		{"a DS of another zone", with(zoneOf(t, ksk), func(r *roll) { r.ds[0].Hdr.Name = "other." }), 0, codeBogus, "no DS"},
		{"no DS", with(zoneOf(t, ksk), func(r *roll) { r.ds = nil }), 0, codeBogus, "no DS"},
		{"the set has no signature", with(zoneOf(t, ksk), func(r *roll) { r.set.Sigs = nil }), 0, codeSignatures, "no signature of DNSKEY"},
		{"only a key that nobody vouches for has signed", with(zoneOf(t, ksk, zsk), func(r *roll) {
			r.set.Sigs[0] = zsk.sign(t, r.set.RRs, nil)
		}), 0, codeKeyMissing, "no trusted key"},
		{"a key was put in afterwards", with(zoneOf(t, ksk), func(r *roll) {
			r.set.RRs = append(r.set.RRs, stranger.DNSKEY)
		}), 0, codeBogus, "wrong signature"},
		{"expired", with(zoneOf(t, ksk), func(r *roll) {
			r.set.Sigs[0] = ksk.sign(t, r.set.RRs, func(s *dns.RRSIG) { s.Inception, s.Expiration = 1, 2 })
		}), 0, codeExpired, "expired"},
		{"no zone key", zoneOf(t, flagged(t, dns.SEP, 3)), 0, codeNoZoneKey, "no zone key"},
		{"a revoked key", zoneOf(t, flagged(t, dns.ZONE|dns.SEP|dns.REVOKE, 3)), 0, codeBogus, "revoked"},
		{"another protocol", zoneOf(t, flagged(t, dns.ZONE, 2)), 0, codeBogus, "protocol 2"},
		{"unfit keys are left out", zoneOf(t, ksk, flagged(t, dns.SEP, 3), flagged(t, dns.ZONE|dns.REVOKE, 3), flagged(t, dns.ZONE, 1)), 1, 0, ""},
		{"an unsupported algorithm", zoneOf(t, sha1), 0, codeAlgorithm, "unsupported algorithm 5"},
		{"an unsupported digest", with(zoneOf(t, ksk), func(r *roll) { r.ds[0].DigestType = 3 }), 0, codeDigest, "unsupported digest type 3"},
		{"a SHA-1 digest", with(zoneOf(t, ksk), func(r *roll) { r.ds[0] = ksk.ds(dns.SHA1) }), 0, codeDigest, "unsupported digest type 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := tt.zone.trust(Rules{})
			if err := says(err, tt.code, tt.reason); err != nil {
				t.Error(err)
			}
			if len(k.keys) != tt.keys || k.Empty() != (tt.keys == 0) {
				t.Errorf("%d keys, want %d", len(k.keys), tt.keys)
			}
			for _, d := range tt.zone.ds {
				if err := (Rules{}).Unsupported(d); (err != nil) != (tt.code == codeAlgorithm || tt.code == codeDigest) {
					t.Errorf("Unsupported = %v", err)
				}
			}
		})
	}
}

func TestTrustKeys_withSHA1(t *testing.T) {
	weak := mustSigner(t, "example.", dns.RSASHA1NSEC3SHA1, 1024)
	strong := mustSigner(t, "example.", dns.RSASHA256, 1024)
	only := zoneOf(t, weak, strong)
	only.ds = []*dns.DS{weak.ds(dns.SHA1)}
	both := zoneOf(t, weak, strong)
	both.ds = []*dns.DS{weak.ds(dns.SHA1), strong.ds(dns.SHA256)}
	tests := []struct {
		name   string
		zone   roll
		rules  Rules
		status Status
	}{
		{"is insecure by default", only, Rules{}, Insecure},
		{"is validated where the operator wants it", only, Rules{SHA1: true}, Secure},
		{"is ignored beside SHA-256, RFC 4509 section 3", both, Rules{SHA1: true}, Bogus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.zone.trust(tt.rules)
			if got := statusOf(err); got != tt.status {
				t.Errorf("%v (%v), want %v", got, err, tt.status)
			}
		})
	}
}

// statusOf is what a verdict makes of a zone.
func statusOf(err error) Status {
	if err == nil {
		return Secure
	}
	return err.(*ProofError).Status()
}

func TestTrustKeys_unsupportedShapesMakeInsecureOnlyIfAllAre(t *testing.T) {
	odd := mustRSA(t, "example.", big.NewInt(65537), 512)
	good := mustSigner(t, "example.", dns.ED25519, 256)
	all := []*dns.DS{odd.ds(dns.SHA256), good.ds(dns.SHA256)}
	tests := []struct {
		name   string
		zone   roll
		ds     []*dns.DS
		status Status
	}{
		{"the only key", zoneOf(t, odd), all[:1], Insecure},
		{"beside one that has signed", zoneOf(t, good, odd), all, Secure},
		{"beside one that was left out of the reply", zoneOf(t, odd), all, Bogus},
		{"beside one that has not signed", zoneOf(t, odd, good), all, Bogus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.zone.ds = tt.ds
			_, err := tt.zone.trust(Rules{})
			if got := statusOf(err); got != tt.status {
				t.Errorf("%v (%v), want %v", got, err, tt.status)
			}
		})
	}
}

func TestKeys_expireWithTheirSet(t *testing.T) {
	s := mustSigner(t, "Example.", dns.ED25519, 256)
	k := mustTrust(t, s)
	if want := today.Add(time.Hour); !k.Expires().Equal(want) || k.zone.String() != "example." {
		t.Errorf("%s expires %v, want %v", k.zone, k.Expires(), want)
	}
}

func TestTag_isTheLibrarys(t *testing.T) {
	for _, a := range algorithmsOf {
		s := mustSigner(t, "example.", a.number, a.bits)
		p, err := publish(s.DNSKEY)
		if err != nil || p.tag != s.KeyTag() {
			t.Errorf("%s: tag %d, %v; want %d", dns.AlgorithmToString[a.number], p.tag, err, s.KeyTag())
		}
	}
}

func TestSignedBy(t *testing.T) {
	revoked := func(s signer) signer {
		s.DNSKEY.Flags |= dns.REVOKE
		return s
	}
	own := revoked(mustSigner(t, "example.", dns.ECDSAP256SHA256, 256))
	other := mustSigner(t, "example.", dns.ECDSAP256SHA256, 256)
	tests := []struct {
		name   string
		key    signer
		signer signer
		want   bool
	}{
		{"a revoked key", own, own, true},
		{"one that is not revoked", other, other, true},
		{"of Ed448", revoked(mustSigner(t, "example.", dns.ED448, 0)), signer{}, true},
		{"of RSA with a big exponent", revoked(mustRSA(t, "example.", new(big.Int).SetUint64(1<<32+15), 2048)), signer{}, true},
		{"another has signed", own, other, false},
		{"an algorithm that is not supported", revoked(mustSigner(t, "example.", dns.RSASHA1, 1024)), signer{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.signer.DNSKEY == nil {
				tt.signer = tt.key
			}
			set := RRset{RRs: []dns.RR{tt.key.DNSKEY}}
			set.Sigs = []*dns.RRSIG{tt.signer.sign(t, set.RRs, nil)}
			if got := SignedBy(tt.key.DNSKEY, set, today, NewWork(Rules{})); got != tt.want {
				t.Errorf("SignedBy = %t", got)
			}
		})
	}
}
