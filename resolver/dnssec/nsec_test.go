package dnssec

import (
	"testing"

	"github.com/miekg/dns"
)

// mustNSECs reads NSEC records of zone in the form "owner next types". It leaves
// out what readNSEC refuses.
func mustNSECs(tb testing.TB, zone string, records ...string) nsecs {
	tb.Helper()
	var s nsecs
	for _, text := range records {
		if r, ok := readNSEC(mustNSEC(tb, text), mustName(tb, zone)); ok {
			s = append(s, r)
		}
	}
	return s
}

func mustNSEC(tb testing.TB, text string) *dns.NSEC {
	tb.Helper()
	owner, rest, _ := cutField(text)
	rr, err := dns.NewRR(owner + " 300 IN NSEC " + rest)
	if err != nil {
		tb.Fatal(err)
	}
	return rr.(*dns.NSEC)
}

func mustName(tb testing.TB, s string) name {
	tb.Helper()
	n, err := canonical(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestReadNSEC(t *testing.T) {
	tests := []struct {
		name   string
		record string
		ok     bool
	}{
		{"within the zone", "a.example. b.example. A", true},
		{"at the apex", "example. b.example. NS SOA", true},
		{"the last one leads to the apex", "z.example. example. A", true},
		{"the only one leads to itself", "example. example. NS SOA", true},
		{"letter case does not matter", "A.EXAMPLE. b.Example. A", true},
		{"owner outside the zone", "a.test. b.example. A", false},
		{"owner of the parent", ". example. NS SOA", false},
		{"owner that only ends like the zone", "a.bexample. b.example. A", false},
		{"next outside the zone", "a.example. a.test. A", false},
		{"next above the zone", "a.example. . A", false},
		{"next before the owner", "b.example. a.example. A", false},
		{"next is the owner, but not the apex", "b.example. b.example. A", false},
		{"next below the owner", "b.example. a.b.example. A", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := readNSEC(mustNSEC(t, tt.record), mustName(t, "example.")); ok != tt.ok {
				t.Errorf("read = %t, want %t", ok, tt.ok)
			}
		})
	}
}

// A row is a statement about a name, and what shall be proven of it.
type row struct {
	claim   string
	records string // separated by ";"
	name    string
	qtype   string // or the closest encloser, for wildcardExpansion
	want    Status
}

func (r row) typ(tb testing.TB) uint16 {
	tb.Helper()
	typ, ok := dns.StringToType[r.qtype]
	if !ok {
		tb.Fatalf("%q is no type", r.qtype)
	}
	return typ
}

// testNSECs checks rows against a statement.
func testNSECs(t *testing.T, rows []row, prove func(*testing.T, nsecs, row) Status) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.claim, func(t *testing.T) {
			if got := prove(t, mustNSECs(t, "example.", fields(r.records)...), r); got != r.want {
				t.Errorf("%v, want %v", got, r.want)
			}
		})
	}
}

func TestNSECs_noData(t *testing.T) {
	testNSECs(t, []row{
		{"the name is there and has another type", "a.example. b.example. A", "a.example.", "AAAA", Secure},
		{"letter case does not matter", "a.example. b.example. A", "A.Example.", "AAAA", Secure},
		{"the name has the type", "a.example. b.example. A AAAA", "a.example.", "AAAA", Bogus},
		{"the name is an alias", "a.example. b.example. CNAME", "a.example.", "AAAA", Bogus},
		{"a DNAME renames only what is below", "a.example. b.example. DNAME", "a.example.", "AAAA", Secure},
		{"the record is another name's", "a.example. c.example. A", "b.example.", "AAAA", Bogus},
		{"there is no record", "", "a.example.", "AAAA", Bogus},
		{"at the apex", "example. a.example. NS SOA", "example.", "AAAA", Secure},
		{"a delegation says nothing of the child's types", "a.example. b.example. NS", "a.example.", "AAAA", Bogus},
		{"a delegation says that there is no DS", "a.example. b.example. NS", "a.example.", "DS", Secure},
		{"a delegation says that there is DS", "a.example. b.example. NS DS", "a.example.", "DS", Bogus},
		{"a name that is no delegation has no DS", "a.example. b.example. A", "a.example.", "DS", Secure},
		{"the child's apex says nothing of its DS", "example. a.example. NS SOA", "example.", "DS", Bogus},
		{"not every type is denied to ANY", "a.example. b.example. A", "a.example.", "ANY", Bogus},
		{"at the wildcard itself", "*.example. b.example. A", "*.example.", "AAAA", Secure},
	}, func(t *testing.T, s nsecs, r row) Status { return s.noData(mustName(t, r.name), r.typ(t)) })
}

func TestNSECs_noData_atTheRoot(t *testing.T) {
	s := mustNSECs(t, ".", ". aaa. NS SOA")
	if got := s.noData(mustName(t, "."), dns.TypeDS); got != Secure {
		t.Errorf("the root has no parent that could have its DS: %v, want secure", got)
	}
}

func TestNSECs_emptyNonTerminal(t *testing.T) {
	testNSECs(t, []row{
		{"the next name is below", "a.example. x.b.example. A", "b.example.", "", Secure},
		{"the next name is two below", "a.example. x.y.b.example. A", "b.example.", "", Secure},
		{"the one between is empty too", "a.example. x.y.b.example. A", "y.b.example.", "", Secure},
		{"the next name is beside", "a.example. c.example. A", "b.example.", "", Bogus},
		{"the next name only begins like it", "a.example. x.bb.example. A", "b.example.", "", Bogus},
		{"the name has a record of its own", "b.example. x.b.example. A", "b.example.", "", Bogus},
		{"the next name is itself", "a.example. b.example. A", "b.example.", "", Bogus},
		{"below a delegation it is the child's to say", "b.example. x.y.b.example. NS", "y.b.example.", "", Bogus},
		{"below a DNAME all is renamed", "b.example. x.y.b.example. DNAME", "y.b.example.", "", Bogus},
		{"the apex is above, which is no delegation", "example. x.b.example. NS SOA", "b.example.", "", Secure},
	}, func(t *testing.T, s nsecs, r row) Status { return s.emptyNonTerminal(mustName(t, r.name)) })
}

func TestNSECs_noName(t *testing.T) {
	testNSECs(t, []row{
		{"one record covers the name, one the wildcard", "example. a.example. NS SOA; m.example. p.example. A", "n.example.", "", Secure},
		{"one record covers both", "example. p.example. NS SOA", "n.example.", "", Secure},
		{"the last record leads to the apex", "example. a.example. NS SOA; m.example. example. A", "n.example.", "", Secure},
		{"the only record covers everything", "example. example. NS SOA", "n.example.", "", Secure},
		{"the wildcard is not covered", "m.example. p.example. A", "n.example.", "", Bogus},
		{"the wildcard is there", "*.example. p.example. A", "n.example.", "", Bogus},
		{"the wildcard is an empty non-terminal", "example. x.*.example. NS SOA; m.example. p.example. A", "n.example.", "", Bogus},
		{"the wildcard covered is not the closest", "example. a.example. NS SOA; m.a.example. p.a.example. A", "n.a.example.", "", Bogus},
		{"the wildcard of the closest encloser", "a.example. b.a.example. A; m.a.example. p.a.example. A", "n.a.example.", "", Secure},
		{"the name is the owner", "example. a.example. NS SOA; n.example. p.example. A", "n.example.", "", Bogus},
		{"the name is the next", "example. a.example. NS SOA; m.example. n.example. A", "n.example.", "", Bogus},
		{"the name is an empty non-terminal", "example. a.example. NS SOA; m.example. x.n.example. A", "n.example.", "", Bogus},
		{"a delegation above the name", "n.example. p.example. NS; example. a.example. NS SOA", "x.n.example.", "", Bogus},
		{"a signed delegation above the name", "n.example. p.example. NS DS; example. a.example. NS SOA", "x.n.example.", "", Bogus},
		{"a delegation beside the name", "m.example. p.example. NS; example. a.example. NS SOA", "n.example.", "", Secure},
		{"a DNAME above the name", "n.example. p.example. DNAME; example. a.example. NS SOA", "x.n.example.", "", Bogus},
		{"a name of another zone", "m.example. example. A; example. a.example. NS SOA", "n.test.", "", Bogus},
		{"the apex", "m.example. example. A; example. a.example. NS SOA", "example.", "", Bogus},
		{"a next outside the zone", "example. a.example. NS SOA; m.example. a.test. A", "n.example.", "", Bogus},
		{"escaped octets count as octets", `example. a.example. NS SOA; \000.example. \255.example. A`, `\200.example.`, "", Secure},
	}, func(t *testing.T, s nsecs, r row) Status { return s.noName(mustName(t, r.name)) })
}

func TestNSECs_wildcardNoData(t *testing.T) {
	testNSECs(t, []row{
		{"the wildcard has another type", "*.example. a.example. A; m.example. p.example. A", "n.example.", "AAAA", Secure},
		{"one record says both", "*.example. p.example. A", "n.example.", "AAAA", Secure},
		{"the wildcard has the type", "*.example. p.example. A AAAA", "n.example.", "AAAA", Bogus},
		{"the wildcard is an alias", "*.example. p.example. CNAME", "n.example.", "AAAA", Bogus},
		{"the wildcard is an empty non-terminal", "example. x.*.example. NS SOA; m.example. p.example. A", "n.example.", "AAAA", Secure},
		{"the name may be there", "*.example. a.example. A", "n.example.", "AAAA", Bogus},
		{"the name is there", "*.example. n.example. A; n.example. p.example. AAAA", "n.example.", "AAAA", Bogus},
		{"the wildcard is not the closest encloser's", "*.example. a.example. A; m.a.example. p.a.example. A", "n.a.example.", "AAAA", Bogus},
		{"there is no wildcard", "example. p.example. NS SOA", "n.example.", "AAAA", Bogus},
	}, func(t *testing.T, s nsecs, r row) Status { return s.wildcardNoData(mustName(t, r.name), r.typ(t)) })
}

func TestNSECs_wildcardExpansion(t *testing.T) {
	testNSECs(t, []row{
		{"nothing is closer", "m.example. p.example. A", "n.example.", "example.", Secure},
		{"nor for a name further below", "m.example. p.example. A", "x.y.n.example.", "example.", Secure},
		{"the name is there", "n.example. p.example. A", "n.example.", "example.", Bogus},
		{"something is there between", "m.example. x.n.example. A", "y.n.example.", "example.", Bogus},
		{"the encloser is further down", "m.a.example. p.a.example. A", "n.a.example.", "example.", Bogus},
		{"the encloser is further up", "m.example. p.example. A", "x.n.example.", "n.example.", Bogus},
		{"below a delegation", "n.example. p.example. NS", "x.n.example.", "n.example.", Bogus},
		{"a record that covers something else", "a.example. b.example. A", "n.example.", "example.", Bogus},
		{"the encloser is of another zone", "m.example. p.example. A", "n.example.", "test.", Bogus},
	}, func(t *testing.T, s nsecs, r row) Status {
		return s.wildcardExpansion(mustName(t, r.name), mustName(t, r.qtype))
	})
}

func TestNSECs_noDS(t *testing.T) {
	testNSECs(t, []row{
		{"a delegation without DS", "a.example. b.example. NS", "a.example.", "", Secure},
		{"a delegation with DS", "a.example. b.example. NS DS", "a.example.", "", Bogus},
		{"no delegation", "a.example. b.example. A", "a.example.", "", Bogus},
		{"the child's own apex", "example. b.example. NS SOA", "example.", "", Bogus},
		{"an alias that claims to be one", "a.example. b.example. NS CNAME", "a.example.", "", Bogus},
		{"somebody else's delegation", "a.example. b.example. NS", "aa.example.", "", Bogus},
		{"no name, so no delegation", "a.example. c.example. NS", "b.example.", "", Bogus},
	}, func(t *testing.T, s nsecs, r row) Status { return s.noDS(mustName(t, r.name)) })
}
