package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func signedQuery(name string, typ uint16) *dns.Msg {
	q := query(name, typ)
	q.SetEdns0(1232, true)
	return q
}

// verify checks every signature of a section with the key of its signer.
func verify(t testing.TB, n *Internet, section []dns.RR) (signed int) {
	t.Helper()
	for _, rr := range section {
		s, ok := rr.(*dns.RRSIG)
		if !ok {
			continue
		}
		var set []dns.RR
		for _, rr := range section {
			if h := rr.Header(); h.Name == s.Hdr.Name && h.Rrtype == s.TypeCovered {
				set = append(set, rr)
			}
		}
		if err := s.Verify(newKey(n.seed, s.SignerName).record, set); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if !s.ValidityPeriod(time.Now()) {
			t.Errorf("%v is not valid now", s)
		}
		signed++
	}
	return signed
}

// denials lists the NSEC records of a section as "owner next".
func denials(section []dns.RR) string {
	var all []string
	for _, rr := range section {
		if nsec, ok := rr.(*dns.NSEC); ok {
			all = append(all, nsec.Hdr.Name+" "+nsec.NextDomain)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestInternet_SignAll(t *testing.T) {
	tests := []struct {
		name              string
		at                netip.Addr
		qname             string
		qtype             uint16
		answer, authority int    // signatures
		denials           string // NSEC records: owner and next
	}{
		{"data", parentAddr, "www.example.", dns.TypeA, 1, 0, ""},
		{"an alias and its target", parentAddr, "alias.example.", dns.TypeA, 2, 0, ""},
		{"a DNAME but not the CNAME made of it", parentAddr, "x.old.example.", dns.TypeA, 2, 0, ""},
		{"keys", parentAddr, "example.", dns.TypeDNSKEY, 1, 0, ""},
		{"DS", parentAddr, "child.example.", dns.TypeDS, 1, 0, ""},
		{"the DS set of a referral", rootAddr, "www.example.", dns.TypeA, 0, 1, ""},
		{"the lack of a DS set", rootAddr, "www.unsigned.", dns.TypeA, 0, 1, "unsigned. ."},
		{"the lack of a type", parentAddr, "www.example.", dns.TypeAAAA, 0, 2, "www.example. example."},
		{"the lack of anything at an empty non-terminal", parentAddr, "non.terminal.example.", dns.TypeA, 0, 2,
			"old.example. empty.non.terminal.example."},
		{"the lack of a name and of its wildcard", parentAddr, "no.example.", dns.TypeA, 0, 3,
			"example. alias.example., x.new.example. ns.example."},
		{"a wildcard", parentAddr, "a.wild.example.", dns.TypeTXT, 1, 1, "*.wild.example. www.example."},
		{"the lack of a type at a wildcard", parentAddr, "a.wild.example.", dns.TypeA, 0, 2, "*.wild.example. www.example."},
	}
	n := testInternet()
	n.Zone(".", "", netip.MustParseAddr("192.0.2.5")) // a second version of the root zone
	n.zones[0].Add("unsigned. NS ns.unsigned.")
	n.SignAll()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustExchange(t, n, tt.at, signedQuery(tt.qname, tt.qtype))
			if got := verify(t, n, m.Answer); got != tt.answer {
				t.Errorf("%d signatures in the answer, want %d\n%v", got, tt.answer, m)
			}
			if got := verify(t, n, m.Ns); got != tt.authority {
				t.Errorf("%d signatures in the authority section, want %d\n%v", got, tt.authority, m)
			}
			if got := denials(m.Ns); got != tt.denials {
				t.Errorf("NSEC records %q, want %q", got, tt.denials)
			}
		})
	}
}

func TestInternet_SignAll_onlyWithDO(t *testing.T) {
	n := testInternet()
	n.SignAll()
	for _, name := range []string{"www.example.", "no.example.", "a.wild.example."} {
		m := mustExchange(t, n, parentAddr, query(name, dns.TypeTXT))
		if s := m.String(); strings.Contains(s, "RRSIG") || strings.Contains(s, "NSEC") {
			t.Errorf("without DO: %s", s)
		}
	}
}

func TestInternet_Anchor(t *testing.T) {
	n := testInternet()
	n.SignAll()
	m := mustExchange(t, n, rootAddr, signedQuery(".", dns.TypeDNSKEY))
	ds := m.Answer[0].(*dns.DNSKEY).ToDS(dns.SHA256)
	if got, want := n.Anchor().String(), ds.String(); got != want {
		t.Errorf("Anchor = %s, want %s", got, want)
	}
}

func TestInternet_SignAll_equalSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // one clock for both
		reply := func(seed uint64) string {
			n := New(seed)
			n.Zone("example.", "www A 192.0.2.1", rootAddr)
			n.SignAll()
			return fmt.Sprint(mustExchange(t, n, rootAddr, signedQuery("www.example.", dns.TypeA)).Answer)
		}
		first := reply(1)
		if again := reply(1); again != first {
			t.Error("equal seeds gave different signatures")
		}
		if reply(2) == first {
			t.Error("different seeds gave equal signatures")
		}
	})
}

func TestZone_signatures_stayValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.SignAll()
		for range 5 {
			verify(t, n, mustExchange(t, n, parentAddr, signedQuery("www.example.", dns.TypeA)).Answer)
			time.Sleep(5 * 24 * time.Hour)
		}
	})
}

func TestZone_Vouch(t *testing.T) {
	parent := New(7).Zone("example.", "@ NS ns\nns A 192.0.2.2\na NS ns\n", netip.MustParseAddr("192.0.2.2"))
	child := New(7)
	child.Zone("a.example.", "@ NS ns.example.\n").Sign()
	for _, zone := range []string{"a.example.", "a.example.", "b.example.", "example."} {
		parent.Vouch(zone)
	}
	var got []string
	for _, rr := range parent.records {
		if rr.Header().Rrtype == dns.TypeDS {
			got = append(got, rr.String())
		}
	}
	if want := child.DS("a.example.").String(); len(got) != 1 || got[0] != want {
		t.Errorf("DS %v, want only %s", got, want)
	}
}
