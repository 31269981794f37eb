//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/sim"
)

// A hostile authority makes one question cost many. Its rows are those of
// which the budgets of resolvers are compared.
type hostile struct {
	name     string
	zone     string                        // of evil.example., besides its SOA and NS
	silent   []netip.Addr                  // addresses that never answer
	lay      func(internet *sim.Internet)  // what else is wrong
	delegate string                        // further records of example.
	ask      string                        // a fresh name
	packets  int                           // at all authorities together, at most
	within   time.Duration                 // until the reply
	each     func(*sim.Internet) []counted // further bounds
}

// A counted is what an address may be asked at most.
type counted struct {
	at   netip.Addr
	most int
}

// Where the zones of the hostile tests are served.
var (
	evilAt   = netip.MustParseAddr("203.0.113.66")
	victimAt = netip.MustParseAddr("203.0.113.67")
)

// afterwards is how long packets are counted after the reply.
const afterwards = 3 * time.Second

func hostiles() []hostile {
	silent := make([]netip.Addr, 20)
	var glue strings.Builder
	for i := range silent {
		silent[i] = netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)})
		for s := range 10 {
			fmt.Fprintf(&glue, "ns%d.sub A %s\n", s, silent[i])
		}
	}
	victim := func(*sim.Internet) []counted { return []counted{{victimAt, 15}} }
	twice := func(*sim.Internet) (list []counted) {
		for _, a := range silent {
			list = append(list, counted{a, 2})
		}
		return list
	}
	return []hostile{
		{name: "10 servers without glue in a victim's zone", zone: lines(10, "sub NS ns#.victim.example."),
			ask: "www.sub.evil.example.", packets: 20, within: time.Second, each: victim},
		{name: "100 of them", zone: lines(100, "sub NS ns#.victim.example."),
			ask: "www.sub.evil.example.", packets: 20, within: time.Second, each: victim},
		{name: "1,500 of them", zone: lines(1500, "sub NS ns#.victim.example."),
			ask: "www.sub.evil.example.", packets: 20, within: time.Second, each: victim},
		{name: "100 of them with nine labels", zone: lines(100, "sub NS a.b.c.d.e.f.ns#.victim.example."),
			ask: "www.sub.evil.example.", packets: 20, within: time.Second, each: victim},
		{name: "200 servers in a silent zone", zone: lines(200, "sub NS ns#.victim.example."), silent: []netip.Addr{victimAt},
			ask: "www.sub.evil.example.", packets: 20, within: 4500 * time.Millisecond},
		{name: "1,500 servers in a silent zone", zone: lines(1500, "sub NS ns#.victim.example."), silent: []netip.Addr{victimAt},
			ask: "www.sub.evil.example.", packets: 20, within: 4500 * time.Millisecond},
		{name: "10 servers on the same 20 silent addresses", zone: lines(10, "sub NS ns#.sub") + glue.String(), silent: silent,
			ask: "www.sub.evil.example.", packets: 20, within: 4500 * time.Millisecond, each: twice},
		{name: "an endless chain of aliases", lay: func(n *sim.Internet) { n.Spoof(evilAt, chain) },
			ask: "c0.evil.example.", packets: 15, within: time.Second},
		{name: "aliases, each into a zone of nine servers of which one exists", lay: func(n *sim.Internet) { n.Spoof(evilAt, camp) },
			ask: "c.z0.evil.example.", packets: 60, within: 4500 * time.Millisecond},
		{name: "two zones whose servers lie in each other", delegate: "cycle1 NS ns.cycle2\ncycle2 NS ns.cycle1\n",
			ask: "www.cycle1.example.", packets: 10, within: time.Second},
		{name: "three zones in a circle", delegate: "cycle1 NS ns.cycle2\ncycle2 NS ns.cycle3\ncycle3 NS ns.cycle1\n",
			ask: "www.cycle1.example.", packets: 10, within: time.Second},
	}
}

// lines repeats a line with # numbered.
func lines(n int, line string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(line, "#", fmt.Sprint(i)) + "\n")
	}
	return b.String()
}

// chain makes each cN an alias of the next.
func chain(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	name := q.Question[0].Name
	if _, err := fmt.Sscanf(name, "c%d.", &n); err == nil {
		honest.Rcode, honest.Ns = dns.RcodeSuccess, nil
		honest.Answer = []dns.RR{&dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: fmt.Sprintf("c%d.evil.example.", n+1)}}
	}
	return honest
}

// camp makes each c.zN an alias of the next, and refers to each zN with nine
// servers, of which only the last exists: CAMP.
func camp(q, honest *dns.Msg, _ bool) *dns.Msg {
	var n int
	name := q.Question[0].Name
	labels := dns.SplitDomainName(name)
	if len(labels) < 3 {
		return honest
	}
	if _, err := fmt.Sscanf(labels[len(labels)-3], "z%d", &n); err != nil {
		return honest
	}
	honest.Rcode, honest.Ns, honest.Answer = dns.RcodeSuccess, nil, nil
	if labels[0] == "c" {
		honest.Answer = []dns.RR{&dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: fmt.Sprintf("c.z%d.evil.example.", n+1)}}
		return honest
	}
	zone := fmt.Sprintf("z%d.evil.example.", n)
	honest.Authoritative = false
	for i := range 8 {
		honest.Ns = append(honest.Ns, &dns.NS{Hdr: header(zone, dns.TypeNS), Ns: fmt.Sprintf("ns%d-%d.victim.example.", n, i)})
	}
	honest.Ns = append(honest.Ns, &dns.NS{Hdr: header(zone, dns.TypeNS), Ns: "ns.evil.example."})
	honest.Extra = append(honest.Extra, &dns.A{Hdr: header("ns.evil.example.", dns.TypeA), A: evilAt.AsSlice()})
	return honest
}

// TestNode_spendsLittleOnHostileAuthorities counts at the authorities what one
// question for a fresh name costs them, from a node that knows nothing yet.
func TestNode_spendsLittleOnHostileAuthorities(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			for try := 1; ; try++ {
				err := h.spend(t, mustAlone(t))
				if err == nil {
					return
				}
				if t.Logf("try %d: %v", try, err); try == tries {
					t.Fatal(err)
				}
			}
		})
	}
}

// spend has a node ask once and says by how much it has spent too much, or nil.
// Where everything stands still a moment, what nobody answered is asked again.
func (h hostile) spend(t *testing.T, n *node) error {
	internet, example := mustInternet(t, n.Host)
	example.Add(fmt.Sprintf("evil NS ns.evil\nns.evil A %s\nvictim NS ns.victim\nns.victim A %s\n%s", evilAt, victimAt, h.delegate))
	internet.Zone("evil.example.", "@ NS ns\nns A "+evilAt.String()+"\n"+h.zone, evilAt)
	internet.Zone("victim.example.", "@ NS ns\nns A "+victimAt.String()+"\n", victimAt)
	serve := map[netip.Addr]bool{evilAt: true, victimAt: true}
	for _, a := range h.silent {
		serve[a] = true
	}
	for a := range serve {
		mustServe(t, n.Host, internet, a)
	}
	internet.Drop(h.silent...)
	if h.lay != nil {
		h.lay(internet)
	}
	file := n.mustWrite(t, "proxima.yaml", "node: {id: node1}\ndnssec: {validate: false}\nadmin: {listen: \"\"}\ncontrol: {socket: \"\"}\n")
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	await(t, startLimit, "priming", n.primed)
	internet.Forget()

	q := new(dns.Msg).SetQuestion(h.ask, dns.TypeA)
	began := time.Now()
	m, err := exchange(n.Host, "udp", loopback[0], q, 8*time.Second)
	took := time.Since(began)
	if err != nil {
		return err
	}
	time.Sleep(afterwards)
	t.Logf("%d packets, %v: %s", internet.Exchanges(), took.Round(time.Millisecond), dns.RcodeToString[m.Rcode])
	if got := internet.Exchanges(); got > h.packets {
		return fmt.Errorf("%d packets, want %d at most", got, h.packets)
	}
	if alone() && took > h.within {
		return fmt.Errorf("the reply took %v, want %v at most", took, h.within)
	}
	if m.Rcode != dns.RcodeServerFailure {
		return fmt.Errorf("rcode %s, want SERVFAIL", dns.RcodeToString[m.Rcode])
	}
	if h.each != nil {
		for _, c := range h.each(internet) {
			if got := len(internet.Asked(c.at)); got > c.most {
				return fmt.Errorf("%s was asked %d times, want %d at most", c.at, got, c.most)
			}
		}
	}
	return nil
}

// primed reports whether the node has asked the root for its servers.
func (n *node) primed() error {
	if !strings.Contains(n.log.String(), "root was primed") {
		return fmt.Errorf("not yet:\n%s", n.log)
	}
	return nil
}
