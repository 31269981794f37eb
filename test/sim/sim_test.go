package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

var (
	rootAddr   = netip.MustParseAddr("192.0.2.1")
	parentAddr = netip.MustParseAddr("192.0.2.2")
	childAddr  = netip.MustParseAddr("2001:db8::3")
)

// testInternet has a root, example. and child.example.
func testInternet() *Internet {
	n := New(1)
	n.Zone(".", `
. NS a.root.example.
example. NS ns.example.
ns.example. A 192.0.2.2
`, rootAddr)
	n.Zone("example.", `
@ 600 SOA ns hostmaster 1 7200 3600 1209600 300
@ NS ns
ns A 192.0.2.2
www A 192.0.2.80
www A 192.0.2.81
alias CNAME www
away CNAME www.child
loop1 CNAME loop2
loop2 CNAME loop1
broken CNAME nothing
old DNAME new
long DNAME much.much.longer.than.it.was
x.new A 192.0.2.82
empty.non.terminal A 192.0.2.83
*.wild TXT "any"
mail MX 10 www
child NS ns.child
child NS ns.elsewhere.example.
ns.child AAAA 2001:db8::3
ns.elsewhere A 192.0.2.4
big TXT `+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 6)+`
`, parentAddr)
	n.Zone("child.example.", "@ NS ns\nns AAAA 2001:db8::3\nwww A 192.0.2.90\n", childAddr)
	return n
}

func mustExchange(t testing.TB, n *Internet, to netip.Addr, q *dns.Msg) *dns.Msg {
	t.Helper()
	m, err := n.Exchange(context.Background(), netip.AddrPortFrom(to, 53), q, false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func query(name string, typ uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, typ)
	q.RecursionDesired = false
	return q
}

// brief writes a message in one line: rcode, flags, then the records.
func brief(m *dns.Msg) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	if m.Authoritative {
		b.WriteString(" aa")
	}
	if m.Truncated {
		b.WriteString(" tc")
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			data := strings.TrimPrefix(rr.String(), rr.Header().String())
			fmt.Fprintf(&b, " %d:%s/%s=%s", i, rr.Header().Name, dns.Type(rr.Header().Rrtype), data)
		}
	}
	return b.String()
}

func TestInternet_Exchange_answers(t *testing.T) {
	const soa = " 1:example./SOA=ns.example. hostmaster.example. 1 7200 3600 1209600 300"
	tests := []struct {
		name  string
		at    netip.Addr
		qname string
		qtype uint16
		want  string
	}{
		{"data is authoritative", parentAddr, "www.example.", dns.TypeA,
			"NOERROR aa 0:www.example./A=192.0.2.80 0:www.example./A=192.0.2.81"},
		{"a type that is absent is NODATA with SOA", parentAddr, "www.example.", dns.TypeAAAA, "NOERROR aa" + soa},
		{"a name that is absent is NXDOMAIN with SOA", parentAddr, "no.example.", dns.TypeA, "NXDOMAIN aa" + soa},
		{"an empty non-terminal is NODATA", parentAddr, "non.terminal.example.", dns.TypeA, "NOERROR aa" + soa},
		{"a name above the zone's is refused", parentAddr, "other.", dns.TypeA, "REFUSED"},
		{"a referral has no AA and brings glue", rootAddr, "www.example.", dns.TypeA,
			"NOERROR 1:example./NS=ns.example. 2:ns.example./A=192.0.2.2"},
		{"a referral brings sibling glue and both families", parentAddr, "www.child.example.", dns.TypeA,
			"NOERROR 1:child.example./NS=ns.child.example. 1:child.example./NS=ns.elsewhere.example." +
				" 2:ns.child.example./AAAA=2001:db8::3 2:ns.elsewhere.example./A=192.0.2.4"},
		{"DS is the parent's to deny", parentAddr, "child.example.", dns.TypeDS, "NOERROR aa" + soa},
		{"DS at the child alone is NODATA", childAddr, "child.example.", dns.TypeDS,
			"NOERROR aa 1:child.example./SOA=ns.child.example. hostmaster.child.example. 1 7200 3600 1209600 300"},
		{"a CNAME chain is followed within the zone", parentAddr, "alias.example.", dns.TypeA,
			"NOERROR aa 0:alias.example./CNAME=www.example. 0:www.example./A=192.0.2.80 0:www.example./A=192.0.2.81"},
		{"a CNAME record may be asked for", parentAddr, "alias.example.", dns.TypeCNAME,
			"NOERROR aa 0:alias.example./CNAME=www.example."},
		{"a CNAME chain to nothing is NXDOMAIN", parentAddr, "broken.example.", dns.TypeA,
			"NXDOMAIN aa 0:broken.example./CNAME=nothing.example." + soa},
		{"a CNAME loop ends", parentAddr, "loop1.example.", dns.TypeA,
			"NOERROR aa 0:loop1.example./CNAME=loop2.example. 0:loop2.example./CNAME=loop1.example."},
		{"a CNAME chain into a delegation ends in a referral", parentAddr, "away.example.", dns.TypeA,
			"NOERROR aa 0:away.example./CNAME=www.child.example." +
				" 1:child.example./NS=ns.child.example. 1:child.example./NS=ns.elsewhere.example." +
				" 2:ns.child.example./AAAA=2001:db8::3 2:ns.elsewhere.example./A=192.0.2.4"},
		{"DNAME makes a CNAME", parentAddr, "x.old.example.", dns.TypeA,
			"NOERROR aa 0:old.example./DNAME=new.example. 0:x.old.example./CNAME=x.new.example. 0:x.new.example./A=192.0.2.82"},
		{"DNAME that makes too long a name is YXDOMAIN", parentAddr, strings.Repeat("a23456789.", 23) + "long.example.", dns.TypeA,
			"YXDOMAIN aa 0:long.example./DNAME=much.much.longer.than.it.was.example."},
		{"a wildcard takes the name that was asked", parentAddr, "A.b.wild.example.", dns.TypeTXT,
			`NOERROR aa 0:A.b.wild.example./TXT="any"`},
		{"a wildcard without the type is NODATA", parentAddr, "a.wild.example.", dns.TypeA, "NOERROR aa" + soa},
		{"MX brings addresses", parentAddr, "mail.example.", dns.TypeMX,
			"NOERROR aa 0:mail.example./MX=10 www.example. 2:www.example./A=192.0.2.80 2:www.example./A=192.0.2.81"},
		{"ANY brings everything", parentAddr, "ns.example.", dns.TypeANY, "NOERROR aa 0:ns.example./A=192.0.2.2"},
		{"what does not fit is truncated", parentAddr, "big.example.", dns.TypeTXT, "NOERROR aa tc"},
		{"transfers are refused", parentAddr, "example.", dns.TypeAXFR, "REFUSED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustExchange(t, testInternet(), tt.at, query(tt.qname, tt.qtype))
			if got := brief(m); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestInternet_Exchange_negativeTTL(t *testing.T) {
	m := mustExchange(t, testInternet(), parentAddr, query("no.example.", dns.TypeA))
	if ttl := m.Ns[0].Header().Ttl; ttl != 300 {
		t.Errorf("TTL of the SOA record = %d, want its MINIMUM, 300", ttl)
	}
}

func TestInternet_Exchange_faults(t *testing.T) {
	silence := context.DeadlineExceeded
	tests := []struct {
		name    string
		fail    func(n *Internet)
		stream  bool
		edns    bool
		want    string
		wantErr error
	}{
		{"Drop is silence", func(n *Internet) { n.Drop(parentAddr) }, false, false, "", silence},
		{"Drop is silence on streams", func(n *Internet) { n.Drop(parentAddr) }, true, false, "", silence},
		{"DropDatagrams is silence", func(n *Internet) { n.DropDatagrams(parentAddr) }, false, false, "", silence},
		{"DropDatagrams leaves streams", func(n *Internet) { n.DropDatagrams(parentAddr) }, true, false, "ok", nil},
		{"DropEDNS is silence", func(n *Internet) { n.DropEDNS(parentAddr) }, false, true, "", silence},
		{"DropEDNS leaves plain queries", func(n *Internet) { n.DropEDNS(parentAddr) }, false, false, "ok", nil},
		{"Unreachable fails at once", func(n *Internet) { n.Unreachable(parentAddr) }, false, false, "", ErrUnreachable},
		{"NoStream fails at once", func(n *Internet) { n.NoStream(parentAddr) }, true, false, "", ErrUnreachable},
		{"NoEDNS is FORMERR", func(n *Internet) { n.NoEDNS(parentAddr) }, false, true, "FORMERR", nil},
		{"NoEDNS leaves plain queries", func(n *Internet) { n.NoEDNS(parentAddr) }, false, false, "ok", nil},
		{"Lame refers upward", func(n *Internet) { n.Lame(parentAddr) }, false, false,
			"NOERROR 1:./NS=a.root-servers.example.", nil},
		{"Refuse is REFUSED", func(n *Internet) { n.Refuse(parentAddr) }, false, false, "REFUSED", nil},
		{"ServFail is SERVFAIL", func(n *Internet) { n.ServFail(parentAddr) }, false, false, "SERVFAIL", nil},
		{"Truncate empties datagrams", func(n *Internet) { n.Truncate(parentAddr) }, false, false, "NOERROR aa tc", nil},
		{"Truncate leaves streams", func(n *Internet) { n.Truncate(parentAddr) }, true, false, "ok", nil},
		{"Spoof has the last word", func(n *Internet) {
			n.Spoof(parentAddr, func(_, honest *dns.Msg, _ bool) *dns.Msg {
				honest.Rcode = dns.RcodeNameError
				return honest
			})
		}, false, false, "NXDOMAIN aa 0:ns.example./A=192.0.2.2", nil},
		{"Heal takes all away", func(n *Internet) {
			n.Drop(parentAddr)
			n.Lame(parentAddr)
			n.Heal(parentAddr)
		}, false, false, "ok", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				tt.fail(n)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				q := query("ns.example.", dns.TypeA)
				if tt.edns {
					q.SetEdns0(1232, false)
				}
				m, err := n.Exchange(ctx, netip.AddrPortFrom(parentAddr, 53), q, tt.stream)
				if !errors.Is(err, tt.wantErr) {
					t.Fatalf("error = %v, want %v", err, tt.wantErr)
				}
				if err != nil {
					return
				}
				want := tt.want
				if want == "ok" {
					want = "NOERROR aa 0:ns.example./A=192.0.2.2"
				}
				if got := brief(m); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		})
	}
}

func TestInternet_Exchange_time(t *testing.T) {
	tests := []struct {
		name string
		to   netip.Addr
		set  func(n *Internet)
		want time.Duration
	}{
		{"takes no time at first", parentAddr, func(*Internet) {}, 0},
		{"takes the round trip", parentAddr, func(n *Internet) { n.RoundTrip(time.Second) }, time.Second},
		{"takes the delay of the address", parentAddr, func(n *Internet) { n.Delay(parentAddr, time.Minute) }, time.Minute},
		{"gives up on an address where nothing is", netip.MustParseAddr("192.0.2.99"), func(*Internet) {}, patience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				tt.set(n)
				start := time.Now()
				to := netip.AddrPortFrom(tt.to, 53)
				if _, err := n.Exchange(t.Context(), to, query("example.", dns.TypeA), false); err != nil {
					t.Log(err)
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestInternet_Asked(t *testing.T) {
	n := testInternet()
	n.Unreachable(childAddr)
	for _, to := range []netip.Addr{rootAddr, childAddr, rootAddr} {
		if _, err := n.Exchange(t.Context(), netip.AddrPortFrom(to, 53), query("a.example.", dns.TypeA), false); err != nil {
			t.Log(err)
		}
	}
	got := fmt.Sprint(len(n.Asked(rootAddr)), len(n.Asked(childAddr)), len(n.Asked(parentAddr)), n.Exchanges())
	if got != "2 1 0 3" {
		t.Errorf("asked root, child, parent, all = %s, want 2 1 0 3", got)
	}
}

func TestZone_Remove(t *testing.T) {
	n := New(1)
	z := n.Zone("example.", "www A 192.0.2.1\na.b A 192.0.2.2", rootAddr)
	z.Remove("a.b.example.", dns.TypeANY)
	m := mustExchange(t, n, rootAddr, query("b.example.", dns.TypeA))
	if m.Rcode != dns.RcodeNameError {
		t.Errorf("an empty non-terminal outlived the name below it: %s", brief(m))
	}
	z.Add("b A 192.0.2.3")
	m = mustExchange(t, n, rootAddr, query("b.example.", dns.TypeA))
	if got, want := brief(m), "NOERROR aa 0:b.example./A=192.0.2.3"; got != want {
		t.Errorf("after Add got %s, want %s", got, want)
	}
}

func TestInternet_ReadZone_errors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a bad record names the line", "www A 192.0.2.1\nwww A nonsense\n", "line: 2"},
		{"a record outside the zone is an error", "www.other. A 192.0.2.1\n", "www.other. is not in the zone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(1).ReadZone("example.", strings.NewReader(tt.text), rootAddr)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestCompareNames(t *testing.T) {
	// RFC 4034 section 6.1.
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	if !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}
