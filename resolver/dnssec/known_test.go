package dnssec

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The examples of the RFCs. Those of RFC 8080 section 6 have three labels in
// print and do not verify; these are the corrected ones of errata 4935.
func TestVerifyRRset_knownAnswers(t *testing.T) {
	tests := []struct {
		name             string
		key, record, sig string
		at               string
		ds               string
	}{
		{
			name:   "RFC 5702 section 6.2, RSA/SHA-512",
			key:    "example.net. 3600 IN DNSKEY 256 3 10 AwEAAdHoNTOW+et86KuJOWRDp1pndvwb6Y83nSVXXyLA3DLroROUkN6X0O6pnWnjJQujX/AyhqFDxj13tOnD9u/1kTg7cV6rklMrZDtJCQ5PCl/D7QNPsgVsMu1J2Q8gpMpztNFLpPBz1bWXjDtaR7ZQBlZ3PFY12ZTSncorffcGmhOL",
			record: "www.example.net. 3600 IN A 192.0.2.91",
			sig:    "www.example.net. 3600 IN RRSIG A 10 3 3600 20300101000000 20000101000000 3740 example.net. tsb4wnjRUDnB1BUi+t6TMTXThjVnG+eCkWqjvvjhzQL1d0YRoOe0CbxrVDYd0xDtsuJRaeUw1ep94PzEWzr0iGYgZBWm/zpq+9fOuagYJRfDqfReKBzMweOLDiNa8iP5g9vMhpuv6OPlvpXwm9Sa9ZXIbNl1MBGk0fthPgxdDLw=",
			at:     "20100101000000",
		},
		{
			name:   "RFC 6605 section 6.1, P-256",
			key:    "example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
			record: "www.example.net. 3600 IN A 192.0.2.1",
			sig:    "www.example.net. 3600 IN RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
			at:     "20100820000000",
			ds:     "example.net. 3600 IN DS 55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
		},
		{
			name:   "RFC 6605 section 6.2, P-384",
			key:    "example.net. 3600 IN DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
			record: "www.example.net. 3600 IN A 192.0.2.1",
			sig:    "www.example.net. 3600 IN RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
			at:     "20100820000000",
			ds:     "example.net. 3600 IN DS 10771 14 4 72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6",
		},
		{
			name:   "RFC 8080 section 6.1, Ed25519",
			key:    "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
			record: "example.com. 3600 IN MX 10 mail.example.com.",
			sig:    "example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
			at:     "20150810000000",
			ds:     "example.com. 3600 IN DS 3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
		},
		{
			name:   "RFC 8080 section 6.2, Ed448",
			key:    "example.com. 3600 IN DNSKEY 257 3 16 3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA",
			record: "example.com. 3600 IN MX 10 mail.example.com.",
			sig:    "example.com. 3600 IN RRSIG MX 16 2 3600 1440021600 1438207200 9713 example.com. 3cPAHkmlnxcDHMyg7vFC34l0blBhuG1qpwLmjInI8w1CMB29FkEAIJUA0amxWndkmnBZ6SKiwZSAxGILn/NBtOXft0+Gj7FSvOKxE/07+4RQvE581N3Aj/JtIyaiYVdnYtyMWbSNyGEY2213WKsJlwEA",
			at:     "20150810000000",
			ds:     "example.com. 3600 IN DS 9713 16 2 6ccf18d5bc5d7fc2fceb1d59d17321402f2aa8d368048db93dd811f5cb2b19c7",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, err := time.Parse("20060102150405", tt.at)
			if err != nil {
				t.Fatal(err)
			}
			rrs := mustRecords(t, tt.key, tt.record, tt.sig)
			p, err := publish(rrs[0].(*dns.DNSKEY))
			if err != nil {
				t.Fatal(err)
			}
			zone, err := canonical(rrs[0].Header().Name)
			if err != nil {
				t.Fatal(err)
			}
			if tt.ds != "" {
				ds := mustRecords(t, tt.ds)[0].(*dns.DS)
				n := 0
				if _, bad := behind(zone, ds, []published{p}, &n, NewWork(Rules{})); bad != nil {
					t.Errorf("the DS: %v", bad)
				}
			}
			k, bad := p.parse(zone.String(), Rules{})
			if bad != nil {
				t.Fatal(bad)
			}
			set := RRset{RRs: rrs[1:2], Sigs: []*dns.RRSIG{rrs[2].(*dns.RRSIG)}}
			if _, err := VerifyRRset(set, Keys{zone: zone, keys: []key{k}}, at, NewWork(Rules{})); err != nil {
				t.Error(err)
			}
		})
	}
}
