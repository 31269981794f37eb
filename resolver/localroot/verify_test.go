package localroot

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mustRR reads a record.
func mustRR(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// drop takes away the records of a type, and what signs them, at a name.
func drop(rrs []dns.RR, name string, typ uint16) []dns.RR {
	return slices.DeleteFunc(rrs, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return rr.Header().Name == name && (rr.Header().Rrtype == typ || ok && sig.TypeCovered == typ)
	})
}

// first returns the first record of a type at a name.
func first[T dns.RR](rrs []dns.RR, name string) (found T) {
	for _, rr := range rrs {
		if rr, ok := rr.(T); ok && rr.Header().Name == name {
			return rr
		}
	}
	return found
}

func TestZone_Verify(t *testing.T) {
	tests := []struct {
		name   string
		digest bool // the zone has ZONEMD
		spoil  func(rrs []dns.RR) []dns.RR
		after  time.Duration
		want   string // in the error; "" = none
	}{
		{"a zone with a digest", true, nil, 0, ""},
		{"a zone without", false, nil, 0, ""},
		{"records in another order, some twice", true, func(rrs []dns.RR) []dns.RR {
			rrs = append(rrs, rrs[3])
			slices.Reverse(rrs)
			return rrs
		}, 0, ""},
		{"names in capitals", true, func(rrs []dns.RR) []dns.RR {
			first[*dns.NS](rrs, "example.").Hdr.Name = "EXAMPLE."
			first[*dns.SOA](rrs, ".").Ns = "A.ROOT-SERVERS.TEST."
			first[*dns.A](rrs, "ns.example.").Hdr.Name = "nS.eXample."
			return rrs
		}, 0, ""},
		{"a signature's end is over", true, nil, 16 * 24 * time.Hour, "expired"},
		{"signatures that are not valid yet", true, nil, -5 * 24 * time.Hour, "begins"},
		{"an address of a server is another one", true, func(rrs []dns.RR) []dns.RR {
			first[*dns.A](rrs, "ns.example.").A[3]++
			return rrs
		}, 0, "ZONEMD: the zone has another digest"},
		{"an address is one more", true, func(rrs []dns.RR) []dns.RR {
			return append(rrs, mustRR(t, "ns.example. 3600 IN A 192.0.2.66"))
		}, 0, "ZONEMD: the zone has another digest"},
		{"a server is missing", true, func(rrs []dns.RR) []dns.RR {
			return slices.DeleteFunc(rrs, func(rr dns.RR) bool { return rr == first[*dns.NS](rrs, "example.") })
		}, 0, "ZONEMD: the zone has another digest"},
		{"a TTL is another one", true, func(rrs []dns.RR) []dns.RR {
			first[*dns.A](rrs, "ns.example.").Hdr.Ttl++
			return rrs
		}, 0, "ZONEMD: the zone has another digest"},
		{"the digest was taken away", true, func(rrs []dns.RR) []dns.RR { return drop(rrs, ".", dns.TypeZONEMD) }, 0,
			".: the NSEC record tells of other sets than there are"},
		{"the digest is another one", true, func(rrs []dns.RR) []dns.RR {
			md := first[*dns.ZONEMD](rrs, ".")
			md.Digest = strings.Repeat("00", 48)
			return rrs
		}, 0, "wrong signature"},
		{"a DS was taken away", false, func(rrs []dns.RR) []dns.RR { return drop(rrs, "test.", dns.TypeDS) }, 0,
			"test.: the NSEC record tells of other sets than there are"},
		{"a DS is another one", false, func(rrs []dns.RR) []dns.RR {
			first[*dns.DS](rrs, "test.").KeyTag++
			return rrs
		}, 0, "wrong signature"},
		{"a delegation was taken away", false, func(rrs []dns.RR) []dns.RR {
			for _, typ := range []uint16{dns.TypeNS, dns.TypeNSEC} {
				rrs = drop(rrs, "deep.down.", typ)
			}
			return rrs
		}, 0, ".: the NSEC records do not lead to each other"},
		{"a delegation was added", false, func(rrs []dns.RR) []dns.RR {
			return append(rrs, mustRR(t, "evil. 3600 IN NS ns.example."))
		}, 0, "deep.down.: the NSEC records do not lead to each other"},
		{"a delegation became the zone's own name", false, func(rrs []dns.RR) []dns.RR {
			return append(drop(rrs, "example.", dns.TypeNS), mustRR(t, "example. 3600 IN A 192.0.2.66"))
		}, 0, "example.: the NSEC records do not lead to each other"},
		{"there are no keys", false, func(rrs []dns.RR) []dns.RR { return drop(rrs, ".", dns.TypeDNSKEY) }, 0, "no DNSKEY"},
		{"there is no NSEC record", false, func(rrs []dns.RR) []dns.RR { return drop(rrs, "own.", dns.TypeNSEC) }, 0,
			"own.: has not one NSEC record"},
		{"a signature of nothing without data", true, func(rrs []dns.RR) []dns.RR {
			hdr := dns.RR_Header{Name: "x.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET}
			return append(rrs, &dns.RRSIG{Hdr: hdr}, &dns.RRSIG{Hdr: hdr, Labels: 255, Signature: "////"})
		}, 0, "ZONEMD: the zone has another digest"},
		{"there are no signatures", true, func(rrs []dns.RR) []dns.RR {
			return slices.DeleteFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
		}, 0, "no signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rrs, anchors := mustSign(t, rootText, tt.digest)
			if tt.spoil != nil {
				rrs = tt.spoil(rrs)
			}
			z, err := New(rrs)
			if err != nil {
				t.Fatal(err)
			}
			at := now().Add(tt.after)
			until, err := z.Verify(anchors, rules, at)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.want == "" && (until.Sub(at) < 13*24*time.Hour || until.Sub(at) > 15*24*time.Hour):
				t.Errorf("valid until %v, want two weeks", until)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestZone_Verify_wantsAnAnchor(t *testing.T) {
	z, _ := mustZone(t, rootText)
	if _, err := z.Verify(nil, rules, now()); err == nil {
		t.Error("verified without an anchor")
	}
	if _, err := z.Verify(genuineAnchor(t), rules, now()); err == nil {
		t.Error("verified with another root's anchor")
	}
}

func TestZone_checkDigest(t *testing.T) {
	other := func(md *dns.ZONEMD, change func(md *dns.ZONEMD)) *dns.ZONEMD {
		md = dns.Copy(md).(*dns.ZONEMD)
		change(md)
		return md
	}
	tests := []struct {
		name  string
		more  func(md *dns.ZONEMD) // changes a copy of the one that there is
		alone bool                 // the copy is the only one
		want  string
	}{
		{"the same twice", func(*dns.ZONEMD) {}, false, ""},
		{"a second of the same kind", func(md *dns.ZONEMD) { md.Digest = strings.Repeat("00", 48) }, false, "two of scheme 1 and hash 1"},
		{"a second of another hash, which is wrong", func(md *dns.ZONEMD) { md.Hash = 2 }, false, ""},
		{"a scheme that nobody knows", func(md *dns.ZONEMD) { md.Scheme = 240 }, true, ""},
		{"a hash that nobody knows", func(md *dns.ZONEMD) { md.Hash = 240 }, true, ""},
		{"of another serial", func(md *dns.ZONEMD) { md.Serial++ }, true, "of serial 101, the zone has 100"},
		{"of a part of the digest", func(md *dns.ZONEMD) { md.Digest = md.Digest[:24] }, true, "another digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z, _ := mustZone(t, rootText)
			set := z.apex.set(dns.TypeZONEMD)
			more := other(set.RRs[0].(*dns.ZONEMD), tt.more)
			if set.RRs = append(set.RRs, more); tt.alone {
				set.RRs = set.RRs[1:]
			}
			if err := z.checkDigest(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// The zone of RFC 8976 appendix A.1.
func TestZone_digest(t *testing.T) {
	const text = `
example. 86400 IN SOA ns1.example. admin.example. 2018031900 1800 900 604800 86400
example. 86400 IN NS ns1.example.
example. 86400 IN NS ns2.example.
example. 86400 IN ZONEMD 2018031900 1 1 00
ns1.example. 3600 IN A 203.0.113.63
ns2.example. 3600 IN AAAA 2001:db8::63
`
	const want = "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c"
	z := &Zone{}
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if rr.Header().Rrtype != dns.TypeZONEMD { // which is excluded only at the root
			z.records = append(z.records, rr)
		}
	}
	if got, err := z.digest(digests[1]()); err != nil || hex.EncodeToString(got) != want {
		t.Errorf("digest %s, %v\nwant   %s", hex.EncodeToString(got), err, want)
	}
}
