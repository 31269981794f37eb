//go:build linux

package peers

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"proxima/test/internet"
	"proxima/test/netns"
	"proxima/test/sim"
)

// A lie is what servers say of one name. It has a zone of its own below
// example., with a zone c. below and one d. below that, all signed and honest
// but for this.
type lie struct {
	name  string
	hash  bool // c. is named after the hash of the zone's apex, as NSEC3 has it
	cold  bool // the zones below are not known when it is told
	child bool // the servers of c. tell it, not those of the zone above
	asked string
	typ   uint16
	from  string // names at and below this one are lied about; default: asked
	tell  func(l *lying, m *dns.Msg)
	// believed is what a peer says who does not see it, by its name, and wrong why
	// it should have seen it. Who is not named says SERVFAIL.
	believed map[string]string
	wrong    string
}

// A lying is the zone of a lie, with those around it.
type lying struct {
	above, zone, child *sim.Zone // example., the zone, and c. below it
	label              string    // of c., if that is not its name
	at                 [3]netip.Addr
}

// in returns a name of the zone in full.
func (l *lying) in(relative string) string {
	if relative == "" {
		return l.zone.Name()
	}
	if labels, below := strings.CutSuffix(relative, "c"); below && (labels == "" || strings.HasSuffix(labels, ".")) {
		relative = labels + l.label
	}
	return relative + "." + l.zone.Name()
}

// rr reads a record with an owner relative to the zone, and "@" in its data for
// the zone.
func (l *lying) rr(owner, data string) dns.RR {
	return internet.MustRR(l.in(owner) + " 300 IN " + strings.ReplaceAll(data, "@", l.zone.Name()))
}

// deny makes m a denial with the SOA of a zone and records that another, or the
// same, has signed one by one.
func (l *lying) deny(m *dns.Msg, rcode int, soa, signer *sim.Zone, proofs ...dns.RR) {
	m.Rcode, m.Authoritative, m.Answer, m.Extra = rcode, true, nil, opt(m)
	m.Ns = soa.Signed(internet.MustRR(soa.Name() + " 300 IN SOA ns." + soa.Name() + " hostmaster." + soa.Name() + " 1 7200 3600 1209600 300"))
	for _, rr := range proofs {
		m.Ns = append(m.Ns, signer.Signed(rr)...)
	}
}

// refer makes m a referral to a zone below, with what is said of its DS.
func (l *lying) refer(m *dns.Msg, to string, at netip.Addr, proof []dns.RR) {
	m.Rcode, m.Authoritative, m.Answer = dns.RcodeSuccess, false, nil
	m.Ns = append([]dns.RR{l.rr(to, "NS ns."+to+".@")}, proof...)
	m.Extra = append(opt(m), l.rr("ns."+to, "A "+at.String()))
}

func opt(m *dns.Msg) []dns.RR {
	if o := m.IsEdns0(); o != nil {
		return []dns.RR{o}
	}
	return nil
}

// lies are what nobody may believe.
var lies = []lie{
	{name: "the NSEC of a delegation denies a name below it", child: true, asked: "x.c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.zone, l.zone, l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
		}},
	{name: "the same, with the SOA of the zone below", child: true, asked: "x.c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.child, l.zone, l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
		}},
	{name: "the same by the servers above the cut", cold: true, asked: "c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeSuccess, l.zone, l.zone, l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
		}},
	{name: "the NSEC of a delegation denies the DS of a zone below it", child: true, asked: "d.c", typ: dns.TypeDS,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.child, l.zone, l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
		}},
	{name: "the same in a referral", child: true, asked: "www.d.c", from: "d.c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			proof := l.zone.Signed(l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
			if m.Question[0].Qtype == dns.TypeDS {
				l.deny(m, dns.RcodeSuccess, l.child, l.zone, l.rr("c", "NSEC d.@ NS DS RRSIG NSEC"))
				return
			}
			l.refer(m, "d.c", l.at[2], proof)
		}},
	{name: "the next name lies outside of the zone", child: true, asked: "zz.c", typ: dns.TypeA,
		believed: map[string]string{"knot": "NXDOMAIN AD"},
		wrong:    "no NSEC of a zone points out of it; Knot Resolver 5.6 looks at the owner only",
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.child, l.child,
				l.rr("www.c", "NSEC zzz.@ A RRSIG NSEC"), l.rr("c", "NSEC d.c.@ NS SOA RRSIG NSEC DNSKEY"))
		}},
	{name: "the zone above proves that a wildcard may answer", asked: "x.w", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			m.Ns = l.above.Signed(l.rr("", "NSEC zzz.example. NS DS RRSIG NSEC"))
		}},
	{name: "the zone below proves that a wildcard may answer", asked: "x.w", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			m.Ns = l.child.Signed(l.rr("w", "NSEC y.w.@ A RRSIG NSEC"))
		}},
	{name: "a signature has fewer labels than its signer", asked: "few", typ: dns.TypeA,
		believed: map[string]string{"knot": "NOERROR AD"},
		wrong:    "a wildcard above the zone is not its own (CVE-2026-44690); Knot Resolver sees that from 6.4.1 on",
		tell: func(l *lying, m *dns.Msg) {
			m.Rcode, m.Answer = dns.RcodeSuccess, l.zone.Signed(internet.MustRR("*.example. 300 IN A 192.0.2.66"))
			for _, rr := range m.Answer {
				rr.Header().Name = l.in("few")
			}
			m.Ns = l.zone.Signed(l.rr("c", "NSEC moved.@ NS DS RRSIG NSEC"))
		}},
	{name: "the zone above signs what is below a known cut", child: true, asked: "www.c", typ: dns.TypeMX,
		believed: map[string]string{"unbound": "NOERROR AD", "knot": "NOERROR AD"},
		wrong:    "the signer has to be the zone that contains the set, RFC 4035 section 5.3.1; the peers let any zone above sign that they have keys of",
		tell: func(l *lying, m *dns.Msg) {
			m.Rcode, m.Ns = dns.RcodeSuccess, nil
			m.Answer = l.zone.Signed(l.rr("www.c", "MX 1 evil.example."))
		}},
	{name: "the zone above denies what is below a known cut", child: true, asked: "no.c", typ: dns.TypeA,
		believed: map[string]string{"unbound": "NXDOMAIN AD", "knot": "NXDOMAIN AD"},
		wrong:    "the same",
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.zone, l.zone, l.rr("c", "NSEC www.c.@ NS SOA RRSIG NSEC DNSKEY"))
		}},
	{name: "the zone above denies a DS below a known cut", child: true, asked: "www.d.c", from: "d.c", typ: dns.TypeA,
		believed: map[string]string{"knot": "NOERROR --"},
		wrong:    "the same; the DS of d. are the business of c.",
		tell: func(l *lying, m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeDS {
				l.deny(m, dns.RcodeSuccess, l.zone, l.zone, l.rr("d.c", "NSEC www.c.@ NS RRSIG NSEC"))
				return
			}
			l.refer(m, "d.c", l.at[2], l.zone.Signed(l.rr("d.c", "NSEC www.c.@ NS RRSIG NSEC")))
		}},
	{name: "the zone below denies its own DS", cold: true, asked: "www.c", from: "c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			apex := l.rr("c", "NSEC www.c.@ NS SOA RRSIG NSEC DNSKEY")
			if m.Question[0].Qtype == dns.TypeDS {
				l.deny(m, dns.RcodeSuccess, l.child, l.child, apex)
				return
			}
			l.refer(m, "c", l.at[1], l.child.Signed(apex))
		}},
	{name: "an alias is denied by its own NSEC", asked: "alias", typ: dns.TypeTXT,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeSuccess, l.zone, l.zone, l.rr("alias", "NSEC c.@ CNAME RRSIG NSEC"))
		}},
	{name: "the NSEC of a DNAME denies a name below it", asked: "x.moved", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.zone, l.zone, l.rr("moved", "NSEC ns.@ DNAME RRSIG NSEC"), l.rr("", "NSEC alias.@ NS SOA RRSIG NSEC DNSKEY"))
		}},
	{name: "the NSEC of a wildcard, expanded, denies the wildcard (CVE-2017-15105)", asked: "y.w", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			l.deny(m, dns.RcodeNameError, l.zone, l.zone)
			expanded := l.zone.Signed(l.rr("*.w", "NSEC z.w.@ A RRSIG NSEC"))
			for _, rr := range expanded {
				rr.Header().Name = l.in("!.w") // which stands before "*"
			}
			m.Ns = append(m.Ns, expanded...)
		}},
	{name: "the NSEC3 of a zone whose name is the hash of the apex above", hash: true, child: true, asked: "x.c", typ: dns.TypeA,
		tell: func(l *lying, m *dns.Msg) {
			apex := l.rr("c", "NSEC3 1 1 0 - "+strings.Repeat("v", 32)+" NS SOA RRSIG DNSKEY NSEC3PARAM")
			l.deny(m, dns.RcodeNameError, l.zone, l.child, apex)
		}},
}

func TestValidators_seeLies(t *testing.T) {
	l := mustLiars(t)
	for i := range lies {
		t.Run(lies[i].name, func(t *testing.T) { l.judge(t, &lies[i], l.zones[i]) })
	}
}

// liars are the zones of all lies, and the resolvers that are told them.
type liars struct {
	*bench
	internet  *sim.Internet
	zones     []*lying
	resolvers map[string]netip.AddrPort
}

// mustLiars serves the zones and starts the resolvers, all with aggressive use
// of denials: a lie may be remembered, too.
func mustLiars(t *testing.T) *liars {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range []string{"unbound", "kresd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, "is not installed")
		}
	}
	l := &liars{bench: &bench{net: netns.New(), dir: t.TempDir()}, internet: sim.New(1), resolvers: map[string]netip.AddrPort{
		"unbound": netip.MustParseAddrPort("127.0.0.2:5301"), "knot": netip.MustParseAddrPort("127.0.0.3:5302"), "proxima": netip.MustParseAddrPort("127.0.0.1:5300"),
	}}
	t.Cleanup(l.net.Close)
	if err := l.lay(); err != nil {
		t.Fatal(err)
	}
	l.mustServe(t)
	hints, err := writeHints(l.dir)
	ds := l.internet.Anchor()
	told := trust{anchor: fmt.Sprintf(". IN DS %d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest), hints: hints, aggressive: true}
	if err = errors.Join(err, l.startValidatingUnbound(l.resolvers["unbound"], told), l.startKnot(l.resolvers["knot"], told),
		l.startValidatingProxima(t.Context(), l.resolvers["proxima"], told)); err != nil {
		t.Fatal(err, internet.Logs(l.dir))
	}
	return l
}

// mustServe makes the zones and serves them.
func (l *liars) mustServe(t *testing.T) {
	t.Helper()
	example := netip.MustParseAddr("203.0.113.20")
	all := append(tierAddrs(0), example)
	root := fmt.Sprintf("@ NS %s\nexample NS ns.example.\nns.example A %s\n", tierServer(0), example)
	for _, a := range tierAddrs(0) {
		root += internet.AddressRR(tierServer(0), a).String() + "\n"
	}
	l.internet.Zone(".", root, tierAddrs(0)...)
	text := fmt.Sprintf("@ NS ns\nns A %s\nwww A 192.0.2.1\n", example)
	for i := range lies {
		text += fmt.Sprintf("l%[1]d NS ns.l%[1]d\nns.l%[1]d A 203.0.113.%[2]d\n", i, 30+3*i)
	}
	above := l.internet.Zone("example.", text, example)
	for i := range lies {
		name := fmt.Sprintf("l%d.example.", i)
		z := &lying{above: above, label: "c"}
		if lies[i].hash {
			z.label = strings.ToLower(dns.HashName(name, dns.SHA1, 0, ""))
		}
		for n := range z.at {
			z.at[n] = netip.AddrFrom4([4]byte{203, 0, 113, byte(30 + 3*i + n)})
		}
		all = append(all, z.at[:]...)
		z.zone = l.internet.Zone(name, fmt.Sprintf("@ NS ns\nns A %[1]s\nwww A 192.0.2.1\nalias CNAME www\nmoved DNAME www\n*.w A 192.0.2.2\n%[2]s NS ns.%[2]s\nns.%[2]s A %[3]s\n", z.at[0], z.label, z.at[1]), z.at[0])
		z.child = l.internet.Zone(z.label+"."+name, fmt.Sprintf("@ NS ns\nns A %s\nwww A 192.0.2.3\nd NS ns.d\nns.d A %s\n", z.at[1], z.at[2]), z.at[1])
		l.internet.Zone("d."+z.label+"."+name, fmt.Sprintf("@ NS ns\nns A %s\nwww A 192.0.2.4\n", z.at[2]), z.at[2])
		l.zones = append(l.zones, z)
	}
	l.internet.SignAll()
	for _, a := range all {
		datagrams, streams, err := l.bench.internet.Listen(netip.AddrPortFrom(a, 53))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.internet.Serve(a, datagrams, streams))
	}
}

// judge has every resolver told a lie, which none may believe, and asks them
// for the truth when it is over.
func (l *liars) judge(t *testing.T, told *lie, z *lying) {
	teller := z.at[0]
	if told.child {
		teller = z.at[1]
	}
	question := dns.Question{Name: z.in(told.asked), Qtype: told.typ, Qclass: dns.ClassINET}
	from := z.in(cmp.Or(told.from, told.asked))
	for name, at := range l.resolvers {
		if !told.cold {
			for _, known := range []string{"www", "www.c"} {
				l.mustProve(t, name, at, z.in(known), dns.TypeA, "NOERROR")
			}
		}
		var heard atomic.Bool
		l.internet.Spoof(teller, func(q, honest *dns.Msg, _ bool) *dns.Msg {
			if asked := q.Question[0]; dns.IsSubDomain(from, asked.Name) && asked.Qtype != dns.TypeDNSKEY {
				told.tell(z, honest)
				heard.Store(true)
			}
			return honest
		})
		complain := complaint(t, name)
		want := cmp.Or(told.believed[name], "SERVFAIL --")
		if v := l.bench.judge(at, question, false); v.short() != want {
			complain("%s says %s, want %s", name, v, want)
		} else if told.believed[name] != "" {
			t.Logf("%s believes it, %s: %s", name, want, told.wrong)
		}
		if l.internet.Heal(teller); !heard.Load() {
			complain("%s has not asked for it", name)
		}
		l.mustProve(t, name, at, "www.example.", dns.TypeA, "NOERROR")
		l.mustProve(t, name, at, z.in("ns"), dns.TypeA, "NOERROR")
		l.mustProve(t, name, at, z.in("nope"), dns.TypeA, "NXDOMAIN")
		if !told.cold {
			l.mustProve(t, name, at, z.in("ns.c"), dns.TypeA, "NOERROR")
			l.mustProve(t, name, at, z.in("nope.c"), dns.TypeA, "NXDOMAIN")
		}
	}
}

// mustProve wants a resolver to say the truth, and that it is secure. Of a peer
// it is told only that it does not.
func (l *liars) mustProve(t *testing.T, name string, at netip.AddrPort, owner string, typ uint16, rcode string) {
	t.Helper()
	fit := func(v verdict) bool { return v.rcode == rcode && v.secure }
	if v := l.insist(at, dns.Question{Name: owner, Qtype: typ, Qclass: dns.ClassINET}, fit); !fit(v) {
		complaint(t, name)("%s says %s of %s, want %s AD", name, v, owner, rcode)
	}
}

// complaint returns what tells of a resolver's fault: a peer's is held against
// nobody.
func complaint(t *testing.T, name string) func(format string, args ...any) {
	if name == "proxima" {
		return t.Errorf
	}
	return t.Logf
}
