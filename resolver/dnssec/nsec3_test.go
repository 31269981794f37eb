package dnssec

import (
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// mustNSEC3 makes an NSEC3 record of zone from words: "match NAME TYPES..." is
// the record of a name, "cover NAME" one that covers nothing but the name, and
// "optout NAME" the same with opt-out.
func mustNSEC3(tb testing.TB, zone, words string, p parameters) *dns.NSEC3 {
	tb.Helper()
	verb, rest, _ := cutField(words)
	text, list, _ := cutField(rest)
	h := p.hash(mustName(tb, text))
	from, to := h, beside(h, +1)
	rr := &dns.NSEC3{Hash: dns.SHA1, Iterations: uint16(p.iterations), SaltLength: uint8(len(p.salt)), Salt: hex.EncodeToString([]byte(p.salt)), HashLength: uint8(len(h))}
	switch verb {
	case "optout":
		from, rr.Flags = beside(h, -1), 1
	case "cover":
		from = beside(h, -1)
	case "match":
	default:
		tb.Fatalf("what is %q?", verb)
	}
	owner := base32hex.EncodeToString(from[:]) + "." + strings.TrimPrefix(zone, ".")
	rr.Hdr = dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 300}
	rr.NextDomain = strings.ToUpper(base32hex.EncodeToString(to[:]))
	for _, typ := range strings.Fields(list) {
		rr.TypeBitMap = append(rr.TypeBitMap, dns.StringToType[typ])
	}
	return rr
}

// beside returns the hash so many after h.
func beside(h hash, by int64) hash {
	i := new(big.Int).SetBytes(h[:])
	i.Add(i, big.NewInt(by))
	var b hash
	i.FillBytes(b[:])
	return b
}

// mustChain makes a chain of zone from words as mustNSEC3 reads them.
func mustChain(tb testing.TB, zone string, words ...string) *chain {
	tb.Helper()
	var records []nsec3
	for _, w := range words {
		r, ok := readNSEC3(mustNSEC3(tb, zone, w, parameters{iterations: 1, salt: "\xaa\xbb"}), mustName(tb, zone))
		if !ok {
			tb.Fatalf("%q is refused", w)
		}
		records = append(records, r)
	}
	c := newChain(mustName(tb, zone), records, NewWork(Rules{}))
	return &c
}

// testChain checks rows against a statement.
func testChain(t *testing.T, rows []row, prove func(*testing.T, *chain, row) Status) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.claim, func(t *testing.T) {
			if got := prove(t, mustChain(t, "example.", fields(r.records)...), r); got != r.want {
				t.Errorf("%v, want %v", got, r.want)
			}
		})
	}
}

func TestParameters_hash(t *testing.T) {
	// The names of RFC 5155 appendix A, with 12 iterations and salt aabbccdd.
	tests := []struct{ name, want string }{
		{"example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"},
		{"a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"},
		{"*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"},
		{"XX.example.", "t644ebqk9bibcna874givr6joj62mlhv"},
	}
	p := parameters{iterations: 12, salt: "\xaa\xbb\xcc\xdd"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := p.hash(mustName(t, tt.name))
			if got := base32hex.EncodeToString(h[:]); got != tt.want {
				t.Errorf("hash = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHashName(t *testing.T) {
	like := func(iterations uint16, salt string) *dns.NSEC3 {
		return &dns.NSEC3{Hash: dns.SHA1, Iterations: iterations, Salt: salt}
	}
	empty := NewWork(Rules{})
	empty.hash(maxHashes)
	tests := []struct {
		name string
		like *dns.NSEC3
		w    *Work
		want string // "" for none
		cost int64  // blocks
	}{
		{"is that of RFC 5155 appendix A", like(12, "AABBCCDD"), NewWork(Rules{}), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", 13},
		{"is not computed beyond the limit, nor paid", like(51, ""), NewWork(Rules{}), "", 0},
		{"is not computed with a long salt", like(0, strings.Repeat("aa", 65)), NewWork(Rules{}), "", 0},
		{"is not computed with an unknown algorithm", &dns.NSEC3{Hash: 2}, NewWork(Rules{}), "", 0},
		{"is not computed for nothing", like(12, ""), empty, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.w.hashes.left.Load()
			h, ok := HashName("Example.", tt.like, tt.w)
			if ok != (tt.want != "") || ok && base32hex.EncodeToString(h[:]) != tt.want {
				t.Errorf("%x, %t; want %q", h, ok, tt.want)
			}
			if got := before - tt.w.hashes.left.Load(); got != tt.cost {
				t.Errorf("cost %d, want %d", got, tt.cost)
			}
		})
	}
}

func TestParameters_price(t *testing.T) {
	long := strings.Repeat("abcdefg.", 15) + "example." // 129 octets
	tests := []struct {
		name       string
		iterations int
		salt       int
		of         string
		want       int
	}{
		{"a short name without iterations", 0, 0, "a.example.", 1},
		{"55 octets are one block", 0, 44, "a.example.", 1},
		{"56 octets are two", 0, 45, "a.example.", 2},
		{"a long name", 0, 0, long, 3},
		{"50 iterations", 50, 0, "a.example.", 51},
		{"50 iterations of a salt that just fits", 50, 35, "a.example.", 51},
		{"50 iterations of the longest salt", 50, 64, "a.example.", 102},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := parameters{iterations: tt.iterations, salt: strings.Repeat("s", tt.salt)}
			if got := p.price(mustName(t, tt.of)); got != tt.want {
				t.Errorf("price = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestChain_hash_isPaidForOnce(t *testing.T) {
	c := mustChain(t, "example.", "match example. NS SOA", "cover a.example.", "cover *.example.")
	n := mustName(t, "a.example.")
	c.noName(n)
	once := c.work.hashes.left.Load()
	c.noName(n)
	if again := c.work.hashes.left.Load(); once == maxHashes || again != once {
		t.Errorf("%d blocks left after one proof, %d after the same again", once, again)
	}
}

func TestReadNSEC3(t *testing.T) {
	tests := []struct {
		name   string
		change func(*dns.NSEC3)
		ok     bool
	}{
		{"as it should be", func(*dns.NSEC3) {}, true},
		{"with opt-out", func(rr *dns.NSEC3) { rr.Flags = 1 }, true},
		{"in upper case", func(rr *dns.NSEC3) { rr.Hdr.Name = strings.ToUpper(rr.Hdr.Name) }, true},
		{"next in lower case", func(rr *dns.NSEC3) { rr.NextDomain = strings.ToLower(rr.NextDomain) }, true},
		{"without salt", func(rr *dns.NSEC3) { rr.Salt = "-" }, true},
		{"an unknown algorithm", func(rr *dns.NSEC3) { rr.Hash = 2 }, false},
		{"an unknown flag", func(rr *dns.NSEC3) { rr.Flags = 2 }, false},
		{"opt-out and an unknown flag", func(rr *dns.NSEC3) { rr.Flags = 0x81 }, false},
		{"owner outside the zone", func(rr *dns.NSEC3) { rr.Hdr.Name = strings.Replace(rr.Hdr.Name, "example.", "test.", 1) }, false},
		{"owner at the apex", func(rr *dns.NSEC3) { rr.Hdr.Name = "example." }, false},
		{"owner two labels below, of a child", func(rr *dns.NSEC3) { rr.Hdr.Name = strings.Replace(rr.Hdr.Name, "example.", "child.example.", 1) }, false},
		{"owner is the root", func(rr *dns.NSEC3) { rr.Hdr.Name = "." }, false},
		{"owner is no hash", func(rr *dns.NSEC3) { rr.Hdr.Name = "www.example." }, false},
		{"owner is a hash with wrong letters", func(rr *dns.NSEC3) { rr.Hdr.Name = strings.Repeat("z", 32) + ".example." }, false},
		{"owner is a shorter hash", func(rr *dns.NSEC3) { rr.Hdr.Name = strings.Repeat("a", 24) + ".example." }, false},
		{"next is a longer hash", func(rr *dns.NSEC3) { rr.NextDomain += "00000000" }, false},
		{"next has line breaks in it", func(rr *dns.NSEC3) { rr.NextDomain = rr.NextDomain[:30] + "\r\n" }, false},
		{"next is empty", func(rr *dns.NSEC3) { rr.NextDomain = "" }, false},
		{"salt is no hexadecimal", func(rr *dns.NSEC3) { rr.Salt = "xx" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rr := mustNSEC3(t, "example.", "match a.example. A", parameters{salt: "s"})
			tt.change(rr)
			if _, ok := readNSEC3(rr, mustName(t, "example.")); ok != tt.ok {
				t.Errorf("read = %t, want %t", ok, tt.ok)
			}
		})
	}
}

func TestReadNSEC3_ofAChildNamedAsTheHashOfTheApex(t *testing.T) {
	p := parameters{}
	h := p.hash(mustName(t, "example."))
	child := base32hex.EncodeToString(h[:]) + ".example."
	rr := mustNSEC3(t, child, "match "+child+" NS SOA", p)
	if _, ok := readNSEC3(rr, mustName(t, "example.")); ok {
		t.Error("a record of the child passes for one of the parent")
	}
}

func TestNSEC3_covers(t *testing.T) {
	h := func(first byte) hash { return hash{first} }
	tests := []struct {
		name            string
		owner, next, of hash
		want            bool
	}{
		{"between", h(1), h(3), h(2), true},
		{"the owner", h(1), h(3), h(1), false},
		{"the next", h(1), h(3), h(3), false},
		{"before", h(2), h(3), h(1), false},
		{"after", h(1), h(2), h(3), false},
		{"after the last", h(3), h(1), h(4), true},
		{"before the first", h(3), h(1), h(0), true},
		{"between first and last", h(3), h(1), h(2), false},
		{"all but the only one", h(2), h(2), h(1), true},
		{"the only one", h(2), h(2), h(2), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (nsec3{owner: tt.owner, next: tt.next}).covers(tt.of); got != tt.want {
				t.Errorf("covers = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestChain_noData(t *testing.T) {
	testChain(t, []row{
		{"the name is there and has another type", "match a.example. A", "a.example.", "AAAA", Secure},
		{"letter case does not matter", "match a.example. A", "A.EXAMPLE.", "AAAA", Secure},
		{"the name is an empty non-terminal", "match a.example.", "a.example.", "AAAA", Secure},
		{"the name has the type", "match a.example. A AAAA", "a.example.", "AAAA", Bogus},
		{"the name is an alias", "match a.example. CNAME", "a.example.", "AAAA", Bogus},
		{"the record is another name's", "match b.example. A", "a.example.", "AAAA", Bogus},
		{"the name is only covered", "cover a.example.", "a.example.", "AAAA", Bogus},
		{"there is no record", "", "a.example.", "AAAA", Bogus},
		{"a delegation says nothing of the child's types", "match a.example. NS", "a.example.", "AAAA", Bogus},
		{"a delegation says that there is no DS", "match a.example. NS", "a.example.", "DS", Secure},
		{"a delegation says that there is DS", "match a.example. NS DS", "a.example.", "DS", Bogus},
		{"the child's apex says nothing of its DS", "match example. NS SOA", "example.", "DS", Bogus},
		{"at the apex", "match example. NS SOA", "example.", "AAAA", Secure},
		{"not every type is denied to ANY", "match a.example. A", "a.example.", "ANY", Bogus},
	}, func(t *testing.T, c *chain, r row) Status { return c.noData(mustName(t, r.name), r.typ(t)) })
}

func TestChain_emptyNonTerminal(t *testing.T) {
	testChain(t, []row{
		{"the name is there and has nothing", "match a.example.", "a.example.", "", Secure},
		{"the name has something", "match a.example. A", "a.example.", "", Bogus},
		{"the name is not there", "match example. NS SOA; cover a.example.; cover *.example.", "a.example.", "", Bogus},
	}, func(t *testing.T, c *chain, r row) Status { return c.emptyNonTerminal(mustName(t, r.name)) })
}

func TestChain_noName(t *testing.T) {
	testChain(t, []row{
		{"encloser, next closer name and wildcard", "match example. NS SOA; cover a.example.; cover *.example.", "a.example.", "", Secure},
		{"the same for a name further below", "match example. NS SOA; cover a.example.; cover *.example.", "x.y.a.example.", "", Secure},
		{"an encloser further down", "match a.example. A; cover b.a.example.; cover *.a.example.", "x.b.a.example.", "", Secure},
		{"an empty encloser", "match a.example.; cover b.a.example.; cover *.a.example.", "b.a.example.", "", Secure},
		{"the name is there", "match example. NS SOA; match a.example. A; cover *.example.", "a.example.", "", Bogus},
		{"the name is there, whatever else covers it", "match a.example. A; match example. NS SOA; cover a.example.; cover *.example.", "a.example.", "", Bogus},
		{"the encloser is missing", "cover a.example.; cover *.example.", "a.example.", "", Bogus},
		{"the next closer name is missing", "match example. NS SOA; cover x.a.example.; cover *.example.", "x.a.example.", "", Bogus},
		{"the wildcard is missing", "match example. NS SOA; cover a.example.", "a.example.", "", Bogus},
		{"the wildcard is there", "match example. NS SOA; cover a.example.; match *.example. A", "a.example.", "", Bogus},
		{"the wildcard is another encloser's", "match a.example. A; cover b.a.example.; cover *.example.", "b.a.example.", "", Bogus},
		{"the encloser is a delegation", "match a.example. NS; cover b.a.example.; cover *.a.example.", "b.a.example.", "", Bogus},
		{"the encloser is a signed delegation", "match a.example. NS DS; cover b.a.example.; cover *.a.example.", "b.a.example.", "", Bogus},
		{"the encloser is a DNAME", "match a.example. DNAME; cover b.a.example.; cover *.a.example.", "b.a.example.", "", Bogus},
		{"the apex is the encloser and has DNAME", "match example. NS SOA DNAME; cover a.example.; cover *.example.", "a.example.", "", Bogus},
		{"opt-out leaves room for a delegation", "match example. NS SOA; optout a.example.; cover *.example.", "a.example.", "", Insecure},
		{"opt-out leaves room for a delegation below the wildcard", "match example. NS SOA; cover a.example.; optout *.example.", "a.example.", "", Insecure},
		{"a name of another zone", "match example. NS SOA; cover test.; cover *.example.", "a.test.", "", Bogus},
		{"the apex, by an encloser above it", "match . NS SOA; cover example.; cover *.", "example.", "", Bogus},
	}, func(t *testing.T, c *chain, r row) Status { return c.noName(mustName(t, r.name)) })
}

func TestChain_wildcardNoData(t *testing.T) {
	testChain(t, []row{
		{"the wildcard has another type", "match example. NS SOA; cover a.example.; match *.example. A", "a.example.", "AAAA", Secure},
		{"the wildcard is empty", "match example. NS SOA; cover a.example.; match *.example.", "a.example.", "AAAA", Secure},
		{"the wildcard has the type", "match example. NS SOA; cover a.example.; match *.example. AAAA", "a.example.", "AAAA", Bogus},
		{"the wildcard is an alias", "match example. NS SOA; cover a.example.; match *.example. CNAME", "a.example.", "AAAA", Bogus},
		{"the wildcard is not there", "match example. NS SOA; cover a.example.; cover *.example.", "a.example.", "AAAA", Bogus},
		{"the encloser is missing", "cover a.example.; match *.example. A", "a.example.", "AAAA", Bogus},
		{"the name may be there", "match example. NS SOA; match *.example. A", "a.example.", "AAAA", Bogus},
		{"the name is there", "match example. NS SOA; match a.example. AAAA; match *.example. A", "a.example.", "AAAA", Bogus},
		{"the wildcard is another encloser's", "match a.example. A; cover b.a.example.; match *.example. A", "b.a.example.", "AAAA", Bogus},
		{"opt-out leaves room for a delegation", "match example. NS SOA; optout a.example.; match *.example. A", "a.example.", "AAAA", Insecure},
	}, func(t *testing.T, c *chain, r row) Status { return c.wildcardNoData(mustName(t, r.name), r.typ(t)) })
}

func TestChain_wildcardExpansion(t *testing.T) {
	testChain(t, []row{
		{"nothing is closer", "cover a.example.", "a.example.", "example.", Secure},
		{"nor for a name further below", "cover a.example.", "x.y.a.example.", "example.", Secure},
		{"the next closer name is there", "match a.example. A", "a.example.", "example.", Bogus},
		{"only the name itself is covered", "cover x.a.example.", "x.a.example.", "example.", Bogus},
		{"opt-out leaves room for a delegation", "optout a.example.", "a.example.", "example.", Insecure},
		{"the encloser is the name", "cover a.example.", "a.example.", "a.example.", Bogus},
		{"the encloser is of another zone", "cover a.test.", "a.test.", "test.", Bogus},
	}, func(t *testing.T, c *chain, r row) Status {
		return c.wildcardExpansion(mustName(t, r.name), mustName(t, r.qtype))
	})
}

func TestChain_optOut(t *testing.T) {
	testChain(t, []row{
		{"the name is left out", "match example. NS SOA; optout a.example.", "a.example.", "", Insecure},
		{"the name is below what is left out", "match example. NS SOA; optout a.example.", "x.a.example.", "", Insecure},
		{"without opt-out nothing is left out", "match example. NS SOA; cover a.example.", "a.example.", "", Bogus},
		{"the encloser is missing", "optout a.example.", "a.example.", "", Bogus},
		{"the encloser is a delegation", "match a.example. NS; optout x.a.example.", "x.a.example.", "", Bogus},
		{"the name is there", "match example. NS SOA; match a.example. A; optout a.example.", "a.example.", "", Bogus},
		{"only the name is covered, not the one closer", "match example. NS SOA; optout x.a.example.", "x.a.example.", "", Bogus},
	}, func(t *testing.T, c *chain, r row) Status { return c.optOut(mustName(t, r.name)) })
}

func TestChain_noDS(t *testing.T) {
	testChain(t, []row{
		{"a delegation without DS", "match a.example. NS", "a.example.", "", Secure},
		{"a delegation with DS", "match a.example. NS DS", "a.example.", "", Bogus},
		{"no delegation", "match a.example. A", "a.example.", "", Bogus},
		{"the child's own apex", "match example. NS SOA", "example.", "", Bogus},
		{"an alias that claims to be one", "match a.example. NS CNAME", "a.example.", "", Bogus},
		{"no name", "match example. NS SOA; cover a.example.", "a.example.", "", Bogus},
	}, func(t *testing.T, c *chain, r row) Status { return c.noDS(mustName(t, r.name)) })
}
