//go:build linux

package peers

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
	"proxima/resolver/dnssec"
	"proxima/resolver/localroot"
	"proxima/test/internet"
	"proxima/test/netns"
)

const (
	// domainsAsked is how many top-level domains are asked for.
	domainsAsked = 1000
	// copyPatience bounds the wait for a copy to come or go.
	copyPatience = 60 * time.Second
)

// unzip returns the text of the genuine root zone.
func unzip(t *testing.T) string {
	t.Helper()
	data, err := internet.FindData()
	if err != nil {
		t.Skip(err)
	}
	f, err := os.Open(filepath.Join(data, "root.zone.2022021501.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// mustCopy reads and proves a copy of the root.
func mustCopy(t *testing.T, text string, anchors []*dns.DS, at time.Time) *localroot.Zone {
	t.Helper()
	z, err := localroot.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Verify(anchors, dnssec.Rules{}, at); err != nil {
		t.Fatal(err)
	}
	return z
}

// sections writes what a reply says, as sets: a server may order, repeat and, of
// what is beside the answer to a question about the root itself, leave out.
func sections(m *dns.Msg, apex bool) string {
	parts := []string{dns.RcodeToString[m.Rcode], fmt.Sprint("aa ", m.Authoritative)}
	all := [][]dns.RR{m.Answer, m.Ns, m.Extra}
	if apex && len(m.Answer) > 0 {
		all = all[:1]
	}
	for _, section := range all {
		var list []string
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				rr = dns.Copy(rr)
				rr.Header().Name = dns.CanonicalName(rr.Header().Name)
				list = append(list, rr.String())
			}
		}
		slices.Sort(list)
		parts = append(parts, strings.Join(slices.Compact(list), "\n"))
	}
	return strings.Join(parts, "\n--\n")
}

func TestLocalRoot_saysWhatNSDSays(t *testing.T) {
	b := mustGenuine(t)
	z := mustCopy(t, unzip(t), anchor.Keys(), rootZoneDay)
	var questions []dns.Question
	ask := func(name string, types ...uint16) {
		for _, typ := range types {
			questions = append(questions, dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET})
		}
	}
	ask(".", dns.TypeSOA, dns.TypeNS, dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeDS, dns.TypeA, dns.TypeTXT)
	for tld := range b.model.delegations {
		ask("www."+tld, dns.TypeA)
		ask(tld, dns.TypeDS, dns.TypeNS, dns.TypeSOA)
	}
	ask("a.root-servers.net.", dns.TypeA, dns.TypeDS)
	for _, label := range randomLabels() {
		ask(label+".", dns.TypeA, dns.TypeDS)
		ask("www."+label+".", dns.TypeAAAA)
	}
	server := netip.AddrPortFrom(b.model.tiers[0].Addrs[0], 53)
	conn, err := b.internet.Dial(t.Context(), "tcp", server.String()) // over TCP nothing is left out
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Minute))
	stream, wrong := &dns.Conn{Conn: conn}, 0
	for _, q := range questions {
		m := &dns.Msg{Question: []dns.Question{q}}
		m.SetEdns0(dns.MaxMsgSize-1, true)
		if err := stream.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		theirs, err := stream.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if want, got := sections(theirs, q.Name == "."), sections(z.Answer(q), q.Name == "."); got != want {
			if wrong++; wrong < 5 {
				t.Errorf("%s %s: got\n%s\nNSD says\n%s", q.Name, dns.Type(q.Qtype), got, want)
			}
		}
	}
	t.Logf("%d questions about %d top-level domains, the root and %d names that do not exist: %d replies differ from NSD's",
		len(questions), len(b.model.delegations), 2*labelsAsked, wrong)
}

func TestProxima_walksFromACopyOfTheGenuineRoot(t *testing.T) {
	b := mustGenuine(t)
	file := filepath.Join(b.dir, "root.zone")
	if err := os.WriteFile(file, []byte(unzip(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	toRoot := mustCount(t, b.internet, b.model.tiers[0].Addrs)
	at := netip.MustParseAddrPort("127.0.0.1:5300")
	b.mustServe(t, at, fmt.Sprintf("dnssec: {validation_time: %s, aggressive: false}\nrecursion: {local_root: {file: %q}}\n",
		rootZoneDay.Format(time.RFC3339), file))
	began := time.Now()
	asked := 0
	for _, tld := range b.names { // those without DS, whose servers are there
		fit := func(v verdict) bool { return v.rcode == "NOERROR" && v.records != "" }
		if v := b.insist(at, dns.Question{Name: tld, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}, fit); !fit(v) {
			t.Errorf("%s SOA = %s, want an answer", tld, v)
		}
		asked++
	}
	for tld := range b.model.delegations {
		if asked == domainsAsked {
			break
		}
		v := b.judge(at, dns.Question{Name: tld, Qtype: dns.TypeDS, Qclass: dns.ClassINET}, false)
		if v.rcode != "NOERROR" || !v.secure || (v.records != "") != b.model.secure[tld] {
			t.Errorf("%s DS = %s, want a secure answer or denial", tld, v)
		}
		asked++
	}
	for _, label := range randomLabels() {
		if v := b.judge(at, dns.Question{Name: label + ".", Qtype: dns.TypeA, Qclass: dns.ClassINET}, false); v.rcode != "NXDOMAIN" || !v.secure {
			t.Errorf("%s. = %s, want NXDOMAIN with AD", label, v)
		}
	}
	t.Logf("%d top-level domains and %d names that do not exist in %v: %d packets to the root", asked, labelsAsked, time.Since(began), toRoot.Load())
	if toRoot.Load() > 0 || asked < domainsAsked {
		t.Errorf("%d packets to the root for %d domains, want none for %d", toRoot.Load(), asked, domainsAsked)
	}
}

// mustServe builds and starts Proxima with its metrics on port 9153.
func (b *bench) mustServe(t *testing.T, at netip.AddrPort, more string) {
	t.Helper()
	program := filepath.Join(b.dir, "proxima")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	conf := fmt.Sprintf("listen: {addresses: [%s], port: %d}\ncontrol: {socket: \"\"}\nhealth: {recursion: {targets: []}, validation: {good: [], bogus: []}}\n%s", at.Addr(), at.Port(), more)
	if err := b.startValidator("proxima", at, conf, func(file string) *exec.Cmd { return exec.Command(program, "serve", "-c", file) }); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
}

// metric returns one figure of Proxima's.
func (b *bench) metric(t *testing.T, name string) int {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, at string) (net.Conn, error) {
			return b.resolver.Dial(ctx, network, at)
		},
		DisableKeepAlives: true,
	}}
	page, err := client.Get("http://127.0.0.1:9153/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	lines := bufio.NewScanner(page.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "proxima_"+name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// awaitMetric waits until a figure is what it should be.
func (b *bench) awaitMetric(t *testing.T, name string, fit func(int) bool) {
	t.Helper()
	var n int
	for end := time.Now().Add(copyPatience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if n = b.metric(t, name); fit(n) {
			return
		}
	}
	t.Fatalf("%s is %d after %v\n%s", name, n, copyPatience, internet.Logs(b.dir))
}

// The root of the small Internet: its servers, and the one that lets it be copied.
var (
	smallRoot = netip.MustParseAddr("192.0.2.1")
	smallTLD  = netip.MustParseAddr("192.0.2.2")
	copied    = netip.MustParseAddr("192.0.2.3")
)

// smallText is that root of a serial, which refreshes each second and expires
// after some more.
const smallText = `. 86400 IN SOA a.root-servers.example. hostmaster.example. %d 1 1 %d 60
. 86400 IN NS a.root-servers.example.
. 86400 IN TYPE65280 \# 4 0a000001
a.root-servers.example. 86400 IN A 192.0.2.1
example. 1 IN NS NS.Example.
Ns.examplE. 1 IN A 192.0.2.2
`

// A signedRoot makes versions of the small root.
type signedRoot struct {
	dir string
	key *key
}

// text signs a version. It expires after some seconds, has more records, and is
// signed until a time.
func (r signedRoot) text(t *testing.T, serial, expire int, more string, from, until time.Time) string {
	t.Helper()
	plain, signed := filepath.Join(r.dir, "plain"), filepath.Join(r.dir, "signed")
	if err := os.WriteFile(plain, []byte(fmt.Sprintf(smallText, serial, expire)+more), 0o644); err != nil {
		t.Fatal(err)
	}
	base, err := r.key.write(r.dir)
	if err == nil {
		_, err = politely(t.Context(), r.dir, "ldns-signzone", "-z", "simple:sha384", "-z", "simple:sha512",
			"-i", date(from), "-e", date(until), "-o", ".", "-f", signed, plain, base)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mustSmall lays the small Internet, or skips.
func mustSmall(t *testing.T) (*bench, signedRoot) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range []string{"nsd", "ldns-signzone", "ldns-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, "is not installed")
		}
	}
	dir := t.TempDir()
	k, err := generate(t.Context(), dir, "ECDSAP256SHA256", flagsKSK, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(&model{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.net.Close)
	return b, signedRoot{dir, k.of(".")}
}

func (b *bench) mustTier(t *testing.T, name, zone, text string, at netip.Addr) *internet.Tier {
	t.Helper()
	one := internet.NewTier(name)
	one.Addrs = []netip.Addr{at}
	one.Zones[zone] = &strings.Builder{}
	one.Zones[zone].WriteString(text)
	if err := one.Serve(b.internet, b.dir); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	return one
}

func TestLocalRoot_provesWhatLDNSSigned(t *testing.T) {
	_, root := mustSmall(t)
	now := time.Now()
	text := root.text(t, 1, 60, "", now.Add(-time.Hour), now.Add(time.Hour))
	if !strings.Contains(text, "ZONEMD") {
		t.Skip("this ldns-signzone knows no ZONEMD")
	}
	z := mustCopy(t, text, []*dns.DS{root.key.ds(dns.SHA256)}, now)
	other, err := localroot.Read(strings.NewReader(strings.Replace(text, "192.0.2.2", "192.0.2.4", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify([]*dns.DS{root.key.ds(dns.SHA256)}, dnssec.Rules{}, now); err == nil || !strings.Contains(err.Error(), "another digest") {
		t.Errorf("%d records with another address: error %v, want one of the digest", z.Records(), err)
	}
}

func TestProxima_livesWithACopyThatComesAndGoes(t *testing.T) {
	b, root := mustSmall(t)
	began := time.Now()
	from, until := began.Add(-time.Hour), began.Add(24*time.Hour)
	// expire, in seconds, is more than a server takes that is started anew.
	const expire = 20
	first := root.text(t, 1, expire, "", from, until)
	b.mustTier(t, "root", ".", first, smallRoot)
	b.mustTier(t, "tld", "example.", "example. 1 IN SOA ns.example. h.example. 1 1 1 1 1\nexample. 1 IN NS ns.example.\nns.example. 1 IN A 192.0.2.2\n*.example. 1 IN A 192.0.2.80\n", smallTLD)
	source := b.mustTier(t, "copied", ".", first, copied)
	toRoot := mustCount(t, b.internet, []netip.Addr{smallRoot})
	hints := filepath.Join(b.dir, "hints")
	if err := os.WriteFile(hints, []byte(". NS a.root-servers.example.\na.root-servers.example. A 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("127.0.0.1:5300")
	b.mustServe(t, at, fmt.Sprintf("upstream: {ipv6: false}\ndnssec: {trust_anchors: [%q], aggressive: false}\nrecursion: {root_hints: %q, local_root: {servers: [%s]}}\n",
		strings.ReplaceAll(strings.Replace(root.key.ds(dns.SHA256).String(), "\t3600", "", 1), "\t", " "), hints, copied))
	random := rand.New(rand.NewPCG(1, 1))
	// ask asks for a new name and one that does not exist, and returns the packets
	// to the root's servers.
	ask := func(when string) int64 {
		t.Helper()
		before := toRoot.Load()
		for label, want := range map[string]string{"example.": "NOERROR", "none": "NXDOMAIN"} {
			name := fmt.Sprintf("n%d.%s", random.Uint32(), label)
			if label == "none" {
				name = fmt.Sprintf("n%d.", random.Uint32())
			}
			fit := func(v verdict) bool { return v.rcode == want && v.secure == (want == "NXDOMAIN") }
			if v := b.insist(at, dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}, fit); !fit(v) {
				t.Errorf("%s: %s = %s, want %s", when, name, v, want)
			}
		}
		return toRoot.Load() - before
	}
	is := func(want int) func(int) bool { return func(n int) bool { return n == want } }

	b.awaitMetric(t, "localroot_serial", is(1))
	for range 5 {
		time.Sleep(300 * time.Millisecond) // the delegation lives for a second
		if n := ask("with a copy"); n > 0 {
			t.Errorf("with a copy: %d packets to the root", n)
		}
	}

	restart := func(text string) {
		source.Kill()
		source = b.mustTier(t, "copied", ".", text, copied)
	}
	restart(root.text(t, 2, expire, "own. 60 IN TXT \"of the second\"\n", from, until))
	b.awaitMetric(t, "localroot_serial", is(2))
	if v := b.judge(at, dns.Question{Name: "own.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET}, false); !v.secure || !strings.Contains(v.records, "of the second") {
		t.Errorf("a newer copy: own. TXT = %s", v)
	}

	for name, text := range map[string]string{
		"expired signatures": root.text(t, 3, expire, "", from.Add(-240*time.Hour), from.Add(-48*time.Hour)),
		"another digest":     strings.Replace(root.text(t, 3, expire, "", from, until), "\tA\t192.0.2.2", "\tA\t192.0.2.4", 1),
		"a broken signature": strings.Replace(root.text(t, 3, expire, "", from, until), "0a000001", "0a000002", 1),
	} {
		for try := 1; ; try++ {
			restart(root.text(t, 2, expire, "own. 60 IN TXT \"of the second\"\n", from, until)) // it lives on
			b.awaitMetric(t, "localroot_serial", is(2))
			b.awaitMetric(t, "localroot_age_seconds", is(0))
			restart(text)
			failures := b.metric(t, "localroot_failures_total")
			b.awaitMetric(t, "localroot_failures_total", func(n int) bool { return n > failures+1 })
			n := b.metric(t, "localroot_serial")
			if n == 2 {
				break
			}
			if n != 0 || try == tries { // 0: everything stood still until the good one had expired
				t.Errorf("%s: serial %d is in use, want 2", name, n)
				break
			}
		}
	}

	source.Kill()
	b.awaitMetric(t, "localroot_held", is(0))
	time.Sleep(time.Second)
	if n := ask("without a copy"); n == 0 || b.metric(t, "localroot_expired_total") == 0 {
		t.Errorf("without a copy: %d packets to the root", n)
	}
	log, err := os.ReadFile(filepath.Join(b.dir, "proxima.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"copy of the root was put in use", "copy of the root could not be had", "copy of the root expired"} {
		if !strings.Contains(string(log), line) {
			t.Errorf("the log does not say %q:\n%s", line, log)
		}
	}
}
