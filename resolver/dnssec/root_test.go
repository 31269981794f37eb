package dnssec

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The genuine root zone of 2022-02-15, judged by its anchor as of five days
// later: every signature holds, and what is unsigned is glue or a delegation.
func TestVerifyRRset_theRootZone(t *testing.T) {
	dir := os.Getenv("PROXIMA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(dir, "root.zone.2022021501.gz"))
	if err != nil {
		t.Skip("no genuine root zone here: set PROXIMA_DATA to the folder that holds root.zone.2022021501.gz")
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var rrs []dns.RR
	parser := dns.NewZoneParser(text, ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	sets := Sets(rrs)
	at := time.Date(2022, 2, 20, 0, 0, 0, 0, time.UTC)
	k := trustRoot(t, sets, at)

	verified, unsigned := map[uint16]int{}, 0
	for _, set := range sets {
		if len(set.Sigs) == 0 {
			unsigned++
			if typ := set.Type(); typ != dns.TypeNS && typ != dns.TypeA && typ != dns.TypeAAAA {
				t.Errorf("%s %s is unsigned", set.Name(), dns.Type(typ))
			}
			continue
		}
		signed, err := VerifyRRset(set, k, at, NewWork(Rules{}))
		if err != nil {
			t.Fatal(err)
		}
		if signed.Wildcard != "" || !signed.Until.After(at) {
			t.Errorf("%s: %+v", set.Name(), signed)
		}
		verified[set.Type()]++
	}
	t.Logf("%d sets, of these %d unsigned; verified by type: %v", len(sets), unsigned, verified)
	for _, typ := range []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeDNSKEY} {
		if verified[typ] != 1 {
			t.Errorf("%d sets of %s verified, want 1", verified[typ], dns.Type(typ))
		}
	}
	if verified[dns.TypeDS] < 1000 || verified[dns.TypeNSEC] < 1000 {
		t.Errorf("only %v verified", verified)
	}
}

// trustRoot returns the root's keys by the anchor of 2017.
func trustRoot(t *testing.T, sets []RRset, at time.Time) Keys {
	t.Helper()
	anchor := mustRecords(t, ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D")[0].(*dns.DS)
	for _, set := range sets {
		if set.Type() != dns.TypeDNSKEY {
			continue
		}
		k, err := TrustKeys(".", []*dns.DS{anchor}, set, at, NewWork(Rules{}))
		if err != nil {
			t.Fatal(err)
		}
		late := at.AddDate(0, 3, 0)
		if _, err := TrustKeys(".", []*dns.DS{anchor}, set, late, NewWork(Rules{})); says(err, codeExpired, "expired 2022-03-") != nil {
			t.Errorf("three months later: %v", err)
		}
		return k
	}
	t.Fatal("the root has no keys")
	return Keys{}
}
