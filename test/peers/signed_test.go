//go:build linux

package peers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"

	"proxima/test/internet"
	"proxima/test/netns"
)

const (
	// minZones and minQuestions are what the comparison has to have at least.
	minZones, minQuestions = 200, 5000
	// maxUnexplained is how many questions Unbound and Knot Resolver may judge
	// differently for no reason given in disputes: of more the test tells, as the
	// model may be broken, or a peer was out of time. Neither is Proxima's fault.
	maxUnexplained = 10
)

// A dispute is a kind of zone that Unbound and Knot Resolver judge differently.
type dispute struct {
	kind  string // its beginning
	name  string // the beginning of what is asked
	right string // who is: "unbound", "knot", "" for both, or "knot denies": Unbound where there are records
	why   string
}

var disputes = []dispute{
	{"revoked", "", "knot", "a revoked key proves its own revocation and nothing else, RFC 5011 section 2.1; Unbound heeds that in trust anchors only"},
	{"iterations-", "*.w", "unbound", "the wildcard itself was asked for: its answer needs no denial, RFC 4035 section 5.3.4"},
	{"iterations-", "", "knot denies", "Debian's Knot Resolver draws the line at 50 iterations, Unbound 1.17 at 150; RFC 9276 section 3.2 lets both. It has Knot Resolver take the whole zone for insecure, also what needs no denial"},
	{"unknown-flags", "", "unbound", "an NSEC3 record with unknown flags is to be ignored, RFC 5155 section 8.2"},
	{"next-outside", "", "unbound", "no NSEC record of a zone points out of it; Knot Resolver looks at the owner only"},
	{"labels-of-grandparent", "", "knot", "fewer labels than the signer has; Unbound 1.17 takes a hash range of the zone for the proof of a name outside (CVE-2026-44690)"},
	{"no-a-signatures", "", "", "the name may be in an unsigned zone that opt-out hides: Unbound asks whether, Knot Resolver does not, RFC 5155 section 8.9"},
	{"signer-", "", "", "the same: no usable signature below an opt-out span"},
	{"wildcard-without-proof", "x1.w", "", "Knot Resolver makes the answer itself once it knows the wildcard and a denial, RFC 8198 section 5.3"},
	{"no-keys", "", "unbound", "nothing of a zone without keys is secure; Knot Resolver, asked again, sets AD on the empty answer of a zone with NSEC3"},
	{"unsigned", "nope.in-", "unbound", "the chain belongs into the answer, RFC 6672 section 3.1; Knot Resolver leaves it out now and then"},
	{"roll-both-broken", "", "", "the keys verify; after many bogus answers of the zone Unbound now and then fails them too"},
	{"roll-to-unknown-broken", "", "", "the same"},
	{"flipped-bit", "", "", "the same"},
}

// ours are kinds that Proxima judges by a rule of its own.
var ours = map[string]string{
	"rsa-1000": "RSA keys under 1024 bits are not supported: they can be factored",
}

// An asked is one question of the comparison.
type asked struct {
	dns.Question
	zone      *zone
	name      string // relative to the zone
	unchecked bool   // with CD
}

func TestProxima_judgesAsUnboundAndKnotResolverDo(t *testing.T) {
	full := os.Getenv("PROXIMA_FULL") != ""
	h, b := mustHierarchy(t, full)
	hints, err := writeHints(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	told := trust{anchor: h.anchor(), hints: hints}
	unbound, knot, proxima := netip.MustParseAddrPort("127.0.0.2:5301"), netip.MustParseAddrPort("127.0.0.3:5302"), netip.MustParseAddrPort("127.0.0.1:5300")
	if err := errors.Join(b.startValidatingUnbound(unbound, told), b.startKnot(knot, told)); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	c := &comparison{questions: h.questions(), disputes: disputes}
	t.Logf("asking %d questions", len(c.questions))
	c.unbound, c.knot = b.judgeAll(t, unbound, c.questions), b.judgeAll(t, knot, c.questions)
	b.settle(t, c, unbound, knot)
	t.Run("the peers agree but where explained", func(t *testing.T) { c.comparePeers(t, minQuestions) })
	if err := b.startValidatingProxima(t.Context(), proxima, told); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	t.Run("Proxima agrees with them", func(t *testing.T) {
		c.proxima = b.judgeAll(t, proxima, c.questions)
		b.reconsider(t, c, unbound, knot, proxima)
		c.compareProxima(t)
	})
	t.Log(c.table())
	t.Run("with CD", func(t *testing.T) { b.compareUnchecked(t, c, unbound, knot, proxima) })
	mustHaveLoaded(t, b.dir)
}

// mustHierarchy makes the signed Internet and serves it, or skips.
func mustHierarchy(t *testing.T, full bool) (*hierarchy, *bench) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range []string{"nsd", "unbound", "kresd", "ldns-keygen", "ldns-signzone", "dnssec-signzone", "nice"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, "is not installed")
		}
	}
	dir := t.TempDir()
	began := time.Now()
	h, err := newHierarchy(t.Context(), dir, full)
	if err != nil {
		t.Fatal(err)
	}
	all, signed := h.zones()
	t.Logf("made %d zones, %d of them signed, in %.1f s", all, signed, time.Since(began).Seconds())
	if signed < minZones {
		t.Fatalf("%d signed zones, at least %d wanted", signed, minZones)
	}
	b, err := newBench(h.model(), dir)
	if err != nil {
		t.Fatal(err, internet.Logs(dir))
	}
	t.Cleanup(b.net.Close)
	return h, b
}

// mustHaveLoaded fails the test if a zone was too broken to be served.
func mustHaveLoaded(t *testing.T, dir string) {
	t.Helper()
	for _, tier := range tiers {
		text, err := os.ReadFile(dir + "/nsd-" + tier + ".log")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "error:") {
			t.Errorf("NSD of the %s tier: %s", tier, text[max(0, len(text)-2000):])
		}
	}
}

// questions are all questions, mixed, in the same order each time.
func (h *hierarchy) questions() []asked {
	var all []asked
	for _, level := range h.levels {
		for _, z := range level {
			if z.level == len(tiers)-1 { // their parents' asks reach them
				continue
			}
			for _, a := range slices.Concat(asks, z.kind.asks) {
				name := z.name
				if a.name != "" {
					name = a.name + "." + strings.TrimPrefix(z.name, ".")
				}
				all = append(all, asked{Question: dns.Question{Name: name, Qtype: a.typ, Qclass: dns.ClassINET}, zone: z, name: a.name})
			}
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// judgeAll asks one validator everything.
func (b *bench) judgeAll(t *testing.T, server netip.AddrPort, questions []asked) []verdict {
	t.Helper()
	began := time.Now()
	verdicts := make([]verdict, len(questions))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range askers {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(questions); i = int(next.Add(1)) - 1 {
				verdicts[i] = b.judge(server, questions[i].Question, questions[i].unchecked)
			}
		})
	}
	wait.Wait()
	t.Logf("%s judged %d questions in %.1f s", server, len(questions), time.Since(began).Seconds())
	return verdicts
}

// A comparison is all questions with what each validator says.
type comparison struct {
	questions              []asked
	disputes               []dispute
	unbound, knot, proxima []verdict
}

func (c *comparison) dispute(a asked) (dispute, bool) {
	i := slices.IndexFunc(c.disputes, func(d dispute) bool {
		return strings.HasPrefix(a.zone.kind.name, d.kind) && strings.HasPrefix(a.name, d.name)
	})
	if i < 0 {
		return dispute{}, false
	}
	return c.disputes[i], true
}

// settle asks again where the peers differ: now and then Knot Resolver fails a
// denial while another question for the zone is under way.
func (b *bench) settle(t *testing.T, c *comparison, unbound, knot netip.AddrPort) {
	t.Helper()
	unsteady := 0
	for i, q := range c.questions {
		for try := 0; try < 3 && c.unbound[i] != c.knot[i]; try++ {
			u, k := b.judge(unbound, q.Question, q.unchecked), b.judge(knot, q.Question, q.unchecked)
			if u != c.unbound[i] || k != c.knot[i] {
				unsteady++
			}
			c.unbound[i], c.knot[i] = u, k
		}
	}
	t.Logf("%d verdicts of the peers changed when asked for again", unsteady)
}

// reconsider asks everybody again where Proxima says what neither peer says, or
// not the one who is right: any of the three may have run out of time, and what a
// peer says later is as good. AD beside CD is judged elsewhere.
func (b *bench) reconsider(t *testing.T, c *comparison, unbound, knot, proxima netip.AddrPort) {
	t.Helper()
	for range tries {
		var odd []int
		for i := range c.questions {
			if !c.agrees(i) {
				odd = append(odd, i)
			}
		}
		if len(odd) == 0 {
			return
		}
		t.Logf("%d questions are put again", len(odd))
		time.Sleep(pause)
		for _, i := range odd {
			q := c.questions[i]
			ask := func(server netip.AddrPort) verdict {
				v := b.judge(server, q.Question, q.unchecked)
				v.secure = v.secure && !q.unchecked
				return v
			}
			c.proxima[i] = ask(proxima)
			for _, peer := range []struct {
				at   netip.AddrPort
				said *verdict
			}{{unbound, &c.unbound[i]}, {knot, &c.knot[i]}} {
				if *peer.said != c.proxima[i] {
					*peer.said = ask(peer.at)
				}
			}
		}
	}
}

func (c *comparison) comparePeers(t *testing.T, questions int) {
	if len(c.questions) < questions {
		t.Errorf("%d questions, at least %d wanted", len(c.questions), questions)
	}
	known, unexplained := map[string]int{}, 0
	for i, q := range c.questions {
		if c.unbound[i] == c.knot[i] {
			continue
		}
		if d, ok := c.dispute(q); ok {
			known[fmt.Sprintf("%s* %s*: %s", d.kind, d.name, d.why)]++
			continue
		}
		unexplained++
		t.Logf("unexplained: %s %s:\nunbound %s\nknot    %s", q.Name, dns.TypeToString[q.Qtype], c.unbound[i], c.knot[i])
	}
	for why, n := range known {
		t.Logf("%4d %s", n, why)
	}
	if unexplained > maxUnexplained {
		t.Logf("%d unexplained differences between Unbound and Knot Resolver, more than %d: is the model broken?", unexplained, maxUnexplained)
	}
}

// compareProxima wants the verdict of both peers, or where they differ that of
// the one who is right.
func (c *comparison) compareProxima(t *testing.T) {
	differ := 0
	for i := range c.questions {
		if !c.agrees(i) {
			q := c.questions[i]
			if differ++; differ <= 40 {
				t.Errorf("%s %s:\nproxima %s\nunbound %s\nknot    %s", q.Name, dns.TypeToString[q.Qtype], c.proxima[i], c.unbound[i], c.knot[i])
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d of %d verdicts differ", differ, len(c.questions))
	}
}

// agrees reports whether Proxima's verdict is as it should be.
func (c *comparison) agrees(i int) bool {
	u, k, p := c.unbound[i], c.knot[i], c.proxima[i]
	if ours[c.questions[i].zone.kind.name] != "" {
		return p.status() != "secure" || c.questions[i].Qtype == dns.TypeDS && p == u
	}
	if d, ok := c.dispute(c.questions[i]); ok && u != k {
		switch d.right {
		case "unbound":
			return p == u
		case "knot":
			return p == k
		case "knot denies":
			wildcard := strings.Contains(c.questions[i].name, ".w")
			return p == k || p == u && u.rcode == "NOERROR" && u.records != "" && !wildcard
		}
	}
	return p == u || p == k
}

// table tells how many questions there are of each kind and what came of them.
func (c *comparison) table() string {
	type row struct {
		zones                                     map[string]bool
		asked, secure, insecure, bogus, peers, we int
	}
	rows := map[string]*row{}
	count := func(kind string, i int) {
		r := rows[kind]
		if r == nil {
			r = &row{zones: map[string]bool{}}
			rows[kind] = r
		}
		r.zones[c.questions[i].zone.name] = true
		r.asked++
		switch c.unbound[i].status() {
		case "secure":
			r.secure++
		case "insecure":
			r.insecure++
		case "bogus":
			r.bogus++
		}
		if c.unbound[i] != c.knot[i] {
			r.peers++
		}
		if c.proxima != nil && !c.agrees(i) {
			r.we++
		}
	}
	names := []string{"", "total"}
	for i, q := range c.questions {
		if !slices.Contains(names, q.zone.kind.name) {
			names = append(names, q.zone.kind.name)
		}
		count(q.zone.kind.name, i)
		count("total", i)
	}
	slices.Sort(names[2:])
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\tzones\tquestions\tsecure\tinsecure\tbogus\tpeers differ\tProxima differs\t")
	for _, name := range append(names[2:], names[0], names[1]) {
		title, r := name, rows[name]
		if title == "" {
			title = "parents"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", title, len(r.zones), r.asked, r.secure, r.insecure, r.bogus, r.peers, r.we)
	}
	_ = w.Flush()
	return "\n" + b.String()
}
