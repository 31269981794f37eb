package denial

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"proxima/resolver/dnssec"

	"github.com/miekg/dns"
)

const soaText = "example. 300 SOA ns.example. host.example. 1 2 3 4 300"

// ask reads a question, "NAME TYPE".
func ask(text string) dns.Question {
	name, typ, _ := strings.Cut(text, " ")
	return dns.Question{Name: name, Qtype: dns.StringToType[typ], Qclass: dns.ClassINET}
}

// look asks for what is known at a time.
func (c *Cache) look(q string, at time.Time) (Answer, bool) {
	return c.Lookup(ask(q), apex, at, dnssec.NewWork(dnssec.Rules{}))
}

// put puts records of example., signed by a, with the SOA.
func (c *Cache) put(tb testing.TB, a authority, at time.Time, records ...string) {
	tb.Helper()
	var sets []dnssec.RRset
	for _, text := range records {
		sets = append(sets, a.set(tb, text))
	}
	c.Put(apex, a.set(tb, soaText), dnssec.Signed{Until: week}, denied(sets...), at)
}

func TestCache_Lookup(t *testing.T) {
	a := mustAuthority(t, apex)
	c := mustCache(t, Options{})
	c.put(t, a, today,
		"example. 300 NSEC cut.example. NS SOA RRSIG NSEC",
		"cut.example. 300 NSEC dname.example. NS RRSIG NSEC",
		"dname.example. 300 NSEC f.ent.example. DNAME RRSIG NSEC",
		"f.ent.example. 300 NSEC *.w.example. A RRSIG NSEC",
		"*.w.example. 300 NSEC www.example. A RRSIG NSEC",
		"www.example. 300 NSEC example. A RRSIG NSEC")
	c.PutWildcard(apex, expand(a.set(t, "*.w.example. 600 A 192.0.2.1"), "x.w.example."), dnssec.Signed{Wildcard: "*.w.example.", Until: week},
		denied(a.set(t, "*.w.example. 300 NSEC www.example. A RRSIG NSEC")), today)
	tests := []struct {
		name string
		q    string
		want string
	}{
		{"a name between two others", "a.example. A", "NXDOMAIN"},
		{"a name after the last", "zzz.example. A", "NXDOMAIN"},
		{"names below a name that is not, RFC 8020", "x.y.z.a.example. A", "NXDOMAIN"},
		{"letter case does not matter", "A.Example. A", "NXDOMAIN"},
		{"an escaped letter is the letter", "\\097.example. A", "NXDOMAIN"},
		{"an unknown type", "www.example. AAAA", "NODATA"},
		{"the apex", "example. MX", "NODATA"},
		{"an empty non-terminal", "ent.example. A", "NODATA"},
		{"the DS of an unsigned delegation", "cut.example. DS", "NODATA"},
		{"a wildcard has the type", "y.w.example. A", "wildcard"},
		{"a wildcard has it for names below, too", "z.y.w.example. A", "wildcard"},
		{"a wildcard has not the type", "y.w.example. AAAA", "NODATA"},
		{"a name that is there", "www.example. A", "nothing"},
		{"a delegation", "cut.example. A", "nothing"},
		{"below a delegation", "a.cut.example. A", "nothing"},
		{"the DS of a name below a delegation", "a.cut.example. DS", "nothing"},
		{"below a DNAME", "a.dname.example. A", "nothing"},
		{"the DNAME's own name", "dname.example. A", "NODATA"},
		{"the DS of the zone itself is its parent's", "example. DS", "nothing"},
		{"any type", "a.example. ANY", "nothing"},
		{"another zone's name", "a.test. A", "nothing"},
		{"a name that ends alike", "a.notexample. A", "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := c.look(tt.q, today)
			if told := tells(got, ok); told != tt.want {
				t.Fatalf("told %s, want %s: %+v", told, tt.want, got)
			}
			if ok {
				mustProve(t, a, ask(tt.q), got)
			}
		})
	}
}

func TestCache_Lookup_ofAnotherClass(t *testing.T) {
	c := mustCache(t, Options{})
	c.put(t, mustAuthority(t, apex), today, "example. 300 NSEC example. NS SOA")
	q := ask("a.example. A")
	q.Qclass = dns.ClassCHAOS
	if got, ok := c.Lookup(q, apex, today, dnssec.NewWork(dnssec.Rules{})); ok {
		t.Errorf("told %+v", got)
	}
}

func TestCache_Lookup_givesCopies(t *testing.T) {
	c := mustCache(t, Options{})
	c.put(t, mustAuthority(t, apex), today, "example. 300 NSEC example. NS SOA")
	first, _ := c.look("a.example. A", today)
	for _, rr := range first.Authority {
		rr.Header().Name = "spoilt."
	}
	second, _ := c.look("a.example. A", today)
	for _, rr := range second.Authority {
		if rr.Header().Name != apex {
			t.Errorf("a caller's change reached the next: %v", rr)
		}
	}
}

// TestCache_Put_poison: each zone denies, with good signatures, what it must
// not. The victim is asked afterwards.
func TestCache_Put_poison(t *testing.T) {
	a := mustAuthority(t, apex)
	child, parent := mustAuthority(t, "b.example."), mustAuthority(t, ".")
	h := func(name string) string { return strings.ToLower(dns.HashName(name, dns.SHA1, 0, "")) }
	hashOf := func(n string) string { return h(n) + "." + apex }
	const zeros, ones = "00000000000000000000000000000000", "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	all := " 300 NSEC3 1 0 0 - " // from any owner to the next
	tests := []struct {
		name   string
		sets   []dnssec.RRset
		victim string
	}{
		{"a next outside the zone", []dnssec.RRset{a.set(t, "example. 300 NSEC test. NS SOA")}, "a.example. A"},
		{"an owner outside the zone", []dnssec.RRset{a.set(t, "a. 300 NSEC example. NS SOA")}, "a.example. A"},
		{"a next that leads back inside the zone", []dnssec.RRset{a.set(t, "m.example. 300 NSEC b.example. A"), a.set(t, "example. 300 NSEC a.example. NS SOA")}, "z.example. A"},
		{"the child's records", []dnssec.RRset{child.set(t, "b.example. 300 NSEC b.example. NS SOA")}, "a.b.example. A"},
		{"the child's chain under the parent's key", []dnssec.RRset{a.set(t, "b.example. 300 NSEC c.example. NS")}, "a.b.example. A"},
		{"the grandparent's records", []dnssec.RRset{parent.set(t, "example. 300 NSEC test. NS")}, "a.example. A"},
		{"a delegation denies its own data", []dnssec.RRset{a.set(t, "b.example. 300 NSEC c.example. NS RRSIG NSEC")}, "b.example. A"},
		{"no signature", []dnssec.RRset{{RRs: a.set(t, "example. 300 NSEC example. NS SOA").RRs}}, "a.example. A"},
		{"an NSEC expanded from a wildcard", []dnssec.RRset{expand(a.set(t, "*.example. 300 NSEC example. TXT"), "b.example.")}, "b.example. A"},
		{"two records in a set", []dnssec.RRset{a.sign(t, a.set(t, "b.example. 300 NSEC c.example. TXT").RRs[0], a.set(t, "b.example. 300 NSEC example. TXT").RRs[0])}, "b.example. A"},
		{"another class", []dnssec.RRset{a.set(t, "example. 300 CH NSEC example. NS SOA")}, "a.example. A"},
		{"an opt-out span for a name that is not there", []dnssec.RRset{
			a.set(t, hashOf(apex)+" 300 NSEC3 1 1 0 - "+h(apex)+" NS SOA"),
		}, "a.example. A"},
		{"an opt-out span for the DS", []dnssec.RRset{
			a.set(t, hashOf(apex)+" 300 NSEC3 1 1 0 - "+h(apex)+" NS SOA"),
		}, "a.example. DS"},
		{"NSEC3 of a child that is named like a hash", []dnssec.RRset{a.set(t, h(apex)+".x.example."+all+ones+" NS SOA")}, "a.example. A"},
		{"an unknown hash algorithm", []dnssec.RRset{a.set(t, hashOf(apex)+" 300 NSEC3 2 0 0 - "+h(apex)+" NS SOA")}, "a.example. A"},
		{"unknown flags", []dnssec.RRset{a.set(t, hashOf(apex)+" 300 NSEC3 1 2 0 - "+h(apex)+" NS SOA")}, "a.example. A"},
		{"no hash for an owner", []dnssec.RRset{a.set(t, "example."+all+zeros+" NS SOA")}, "a.example. A"},
		{"a span without the encloser", []dnssec.RRset{a.set(t, zeros+".example."+all+ones+" A")}, "a.example. A"},
		{"NSEC and NSEC3 at once", []dnssec.RRset{a.set(t, "example. 300 NSEC example. NS SOA"), a.set(t, hashOf(apex)+all+h(apex)+" NS SOA")}, "a.example. A"},
		{"iterations beyond what is computed", []dnssec.RRset{
			a.set(t, strings.ToLower(dns.HashName(apex, dns.SHA1, 51, ""))+".example. 300 NSEC3 1 0 51 - "+dns.HashName(apex, dns.SHA1, 51, "")+" NS SOA"),
		}, "a.example. A"},
		{"something else", []dnssec.RRset{a.set(t, "example. 300 TXT hello")}, "a.example. A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, Options{})
			c.Put(apex, a.set(t, soaText), dnssec.Signed{Until: week}, denied(tt.sets...), today)
			if got, ok := c.look(tt.victim, today); ok {
				t.Errorf("told %+v", got)
			}
		})
	}
}

func TestCache_PutWildcard_refuses(t *testing.T) {
	a, child := mustAuthority(t, apex), mustAuthority(t, "b.example.")
	proof := a.set(t, "*.w.example. 300 NSEC example. A TXT")
	good := func(record string) dnssec.RRset { return expand(a.set(t, record), "x.w.example.") }
	tests := []struct {
		name     string
		set      dnssec.RRset
		wildcard string
	}{
		{"another wildcard than was signed", good("*.w.example. 600 A 192.0.2.1"), "*.example."},
		{"no wildcard", good("*.w.example. 600 A 192.0.2.1"), ""},
		{"a name that is none", good("*.w.example. 600 A 192.0.2.1"), "w.example."},
		{"a wildcard outside the zone", good("*.w.example. 600 A 192.0.2.1"), "*."},
		{"a delegation", good("*.w.example. 600 NS ns.example."), "*.w.example."},
		{"another zone's signature", expand(child.set(t, "*.w.example. 600 A 192.0.2.1"), "x.w.example."), "*.w.example."},
		{"another class", good("*.w.example. 600 CH A 192.0.2.1"), "*.w.example."},
		{"more than is worth keeping", good("*.w.example. 600 TXT " + strings.Repeat(strings.Repeat("a", 255)+" ", 20)), "*.w.example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, Options{})
			c.PutWildcard(apex, tt.set, dnssec.Signed{Wildcard: tt.wildcard, Until: week}, denied(proof), today)
			for _, q := range []string{"y.w.example. A", "y.w.example. TXT", "y.w.example. NS"} {
				if got, ok := c.look(q, today); ok {
					t.Errorf("told %+v", got)
				}
			}
		})
	}
}

func TestCache_Lookup_endsInTime(t *testing.T) {
	a := mustAuthority(t, apex)
	const nsec, soa = "example. 86400 NSEC example. NS SOA", "example. 86400 SOA ns.example. host.example. 1 2 3 4 86400"
	tests := []struct {
		name  string
		soa   string
		nsec  string
		until time.Time
		want  time.Duration
	}{
		{"with the TTL of the NSEC", soa, "example. 60 NSEC example. NS SOA", week, time.Minute},
		{"with the TTL of the SOA", "example. 70 SOA ns.example. host.example. 1 2 3 4 86400", nsec, week, 70 * time.Second},
		{"with the MINIMUM of the SOA", "example. 86400 SOA ns.example. host.example. 1 2 3 4 80", nsec, week, 80 * time.Second},
		{"with the first signature", soa, nsec, today.Add(90 * time.Second), 90 * time.Second},
		{"after three hours", soa, nsec, week, 3 * time.Hour},
		{"at once if a TTL is negative", soa, "example. 2147483648 NSEC example. NS SOA", week, 0},
		{"at once if a TTL is 0", "example. 0 SOA ns.example. host.example. 1 2 3 4 86400", nsec, week, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, Options{})
			d := denied(a.set(t, tt.nsec))
			d.Until = tt.until
			c.Put(apex, a.set(t, tt.soa), dnssec.Signed{Until: tt.until}, d, today)
			got, ok := c.look("a.example. A", today)
			if ok != (tt.want > 0) || ok && !got.Until.Equal(today.Add(tt.want)) {
				t.Errorf("until %v, want %v", got.Until, today.Add(tt.want))
			}
			for _, rr := range got.Authority {
				if rr.Header().Ttl != uint32(tt.want/time.Second) {
					t.Errorf("TTL %d of %v", rr.Header().Ttl, rr)
				}
			}
			later := today.Add(tt.want - 10*time.Second)
			if got, ok := c.look("a.example. A", later); ok && got.Authority[0].Header().Ttl != 10 {
				t.Errorf("TTL %d ten seconds before the end", got.Authority[0].Header().Ttl)
			}
			if _, ok := c.look("a.example. A", today.Add(tt.want)); ok {
				t.Error("still told at the end")
			}
		})
	}
}

func TestCache_Lookup_needsAnSOAToDeny(t *testing.T) {
	a := mustAuthority(t, apex)
	c := mustCache(t, Options{})
	c.Put(apex, dnssec.RRset{}, dnssec.Signed{}, denied(a.set(t, "example. 300 NSEC example. NS SOA")), today)
	if got, ok := c.look("a.example. A", today); ok {
		t.Errorf("told %+v", got)
	}
	other := "other.example. 300 SOA ns.example. host.example. 1 2 3 4 300"
	c.Put(apex, a.set(t, other), dnssec.Signed{Until: week}, denied(a.set(t, "example. 300 NSEC example. NS SOA")), today)
	if got, ok := c.look("a.example. A", today); ok {
		t.Errorf("told with another zone's SOA %+v", got)
	}
}

func TestCache_Put_believesTheNewer(t *testing.T) {
	a := mustAuthority(t, apex)
	h := func(iterations uint16) string {
		hash := dns.HashName(apex, dns.SHA1, iterations, "")
		return fmt.Sprintf("%s.example. 300 NSEC3 1 0 %d - %s NS SOA", strings.ToLower(hash), iterations, hash)
	}
	const whole = "example. 300 NSEC example. NS SOA"
	tests := []struct {
		name         string
		first, later string
		q, want      string
	}{
		{"a name has come into being", whole, "m.example. 300 NSEC example. A", "b.example. A", "nothing"},
		{"a name has gone", "m.example. 300 NSEC example. A", whole, "m.example. AAAA", "NXDOMAIN"},
		{"a name has got a type", whole, "example. 300 NSEC example. NS SOA TXT", "example. TXT", "nothing"},
		{"the zone has gone over to NSEC3", whole, h(0), "b.example. A", "NXDOMAIN"},
		{"the zone has gone over to NSEC3 that is not computed", whole, h(51), "b.example. A", "nothing"},
		{"the zone has gone back to NSEC", h(0), whole, "b.example. A", "NXDOMAIN"},
		{"the zone has other parameters", h(1), h(2), "b.example. A", "NXDOMAIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, Options{})
			c.put(t, a, today, tt.first)
			c.put(t, a, today, tt.later)
			got, ok := c.look(tt.q, today)
			if told := tells(got, ok); told != tt.want {
				t.Errorf("told %s, want %s", told, tt.want)
			}
			if n := len(c.find(apex).links); n != 1 {
				t.Errorf("%d links, want the newer alone", n)
			}
			mustBeWhole(t, c.find(apex))
		})
	}
}

func TestCache_Lookup_paysForHashes(t *testing.T) {
	a := mustAuthority(t, apex)
	c := mustCache(t, Options{})
	hash := dns.HashName(apex, dns.SHA1, 50, "")
	c.put(t, a, today, fmt.Sprintf("%s.example. 300 NSEC3 1 0 50 - %s NS SOA", strings.ToLower(hash), hash))
	w := dnssec.NewWork(dnssec.Rules{})
	told := 0
	for range 100 { // 128 hashes, of which each question needs 3, however long
		if _, ok := c.Lookup(ask(strings.Repeat("a.", 100)+"example. A"), apex, today, w); ok {
			told++
		}
	}
	if told != 42 {
		t.Errorf("told %d times from one purse, want 42", told)
	}
	if _, ok := c.Lookup(ask("a.example. A"), apex, today, dnssec.NewWork(dnssec.Rules{Iterations: 10})); ok {
		t.Error("told beyond the operator's limit of iterations")
	}
}

func TestCache_Lookup_hashesFewNames(t *testing.T) {
	a := mustAuthority(t, apex)
	c := mustCache(t, Options{})
	zeros := strings.Repeat("0", 32)
	c.put(t, a, today, fmt.Sprintf("%s.example. 300 NSEC3 1 0 0 - %s1 A", zeros, zeros[1:])) // covers nothing
	w := dnssec.NewWork(dnssec.Rules{})
	before := 128 * 51
	for range 10 {
		if _, ok := c.Lookup(ask(strings.Repeat("a.", 100)+"example. A"), apex, today, w); ok {
			t.Fatal("told something")
		}
	}
	left := 0
	for _, ok := dnssec.HashName(".", &dns.NSEC3{Hash: dns.SHA1}, w); ok; _, ok = dnssec.HashName(".", &dns.NSEC3{Hash: dns.SHA1}, w) {
		left++
	}
	if spent := before - left; spent != 10*maxHashes {
		t.Errorf("10 questions took %d hashes, want %d", spent, 10*maxHashes)
	}
}

func TestCache_off(t *testing.T) {
	a := mustAuthority(t, apex)
	tests := []struct {
		name string
		off  []string
		want bool
	}{
		{"nothing is off", nil, true},
		{"another zone is off", []string{"other.example.", "notexample."}, true},
		{"the zone is off", []string{"Example"}, false},
		{"all zones are off", []string{"."}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, Options{Off: tt.off})
			c.put(t, a, today, "example. 300 NSEC example. NS SOA")
			c.PutWildcard(apex, expand(a.set(t, "*.example. 600 A 192.0.2.1"), "x.example."), dnssec.Signed{Wildcard: "*.example.", Until: week},
				denied(a.set(t, "example. 300 NSEC example. NS SOA")), today)
			if _, ok := c.look("a.example. AAAA", today); ok != tt.want {
				t.Errorf("told = %t, want %t", ok, tt.want)
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	for field, o := range map[string]Options{
		"Memory": {Memory: 1},
		"Off":    {Off: []string{strings.Repeat("a", 64) + "."}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v, want one of %s", err, field)
		}
	}
}

func TestCache_Drop(t *testing.T) {
	c := mustCache(t, Options{})
	c.put(t, mustAuthority(t, apex), today, "example. 300 NSEC example. NS SOA")
	c.Drop(apex)
	if _, ok := c.look("a.example. A", today); ok {
		t.Error("told of a zone that was dropped")
	}
	if zones, octets := c.Size(); zones != 0 || octets != 0 {
		t.Errorf("%d zones with %d octets are left", zones, octets)
	}
}

func mustPath(tb testing.TB, s string) path {
	tb.Helper()
	p, ok := pathOf(s)
	if !ok {
		tb.Fatalf("%q is no name", s)
	}
	return p
}

func TestPath_sortsAsNamesDo(t *testing.T) {
	// RFC 4034 section 6.1, and what could be confused with an end of label.
	names := []string{".", "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		"\\000.z.example.", "\\000\\000.z.example.", "\\000a.z.example.", "\\001.z.example.", "x.\\001.z.example.", "\\001\\000.z.example.", "\\002.z.example.",
		"*.z.example.", "\\200.z.example.", "z0.example.", "fexample."}
	for i, n := range names {
		for j, m := range names {
			if p, q := mustPath(t, n), mustPath(t, m); (p < q) != (i < j) || (p == q) != (i == j) {
				t.Errorf("%s and %s: %q, %q", n, m, p, q)
			}
			if p, q := mustPath(t, n), mustPath(t, m); p.within(q) != dns.IsSubDomain(m, n) {
				t.Errorf("%s within %s: %t", n, m, p.within(q))
			}
		}
	}
}
