//go:build linux

package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/limit"
	"proxima/test/sim"
)

// A hostile authority makes one question cost many. Its rows are those of
// which the budgets of resolvers are compared.
type hostile struct {
	name     string
	zone     string                        // of evil.example., besides its SOA and NS
	silent   []netip.Addr                  // addresses that never answer
	cutters  []netip.Addr                  // further addresses of evil.example.
	lay      func(internet *sim.Internet)  // what else is wrong
	delegate string                        // further records of example.
	ask      string                        // a fresh name
	packets  int                           // at all authorities together, at most
	within   time.Duration                 // until the reply
	ede      []uint16                      // what the client may be told, RFC 8914
	cpu      time.Duration                 // of the node, at most; 0: not judged
	lookups  bool                          // whether the victim is asked for the addresses of servers
	breaks   int                           // connections, at most, to a server that closes each at once; 0: none does
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

// What one query may cost the node, judged only where it is alone on the machine:
// whose servers are many in a victim's zone, and in a silent one.
const maxFanCPU, maxSilentCPU = 10 * time.Millisecond, 30 * time.Millisecond

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
	var closers strings.Builder
	for i, a := range silent[:3] {
		fmt.Fprintf(&closers, "ns%d.evil A %s\n", i, a)
	}
	unreachable, spent := []uint16{dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError}, []uint16{dns.ExtendedErrorCodeOther}
	victim := func(*sim.Internet) []counted { return []counted{{victimAt, 15}} }
	twice := func(*sim.Internet) (list []counted) {
		for _, a := range silent {
			list = append(list, counted{a, 2})
		}
		return list
	}
	const sub = "www.sub.evil.example."
	return []hostile{
		{name: "10 servers without glue in a victim's zone", zone: lines(10, "sub NS ns#.victim.example."),
			ask: sub, packets: 20, within: time.Second, each: victim, ede: unreachable, cpu: maxFanCPU, lookups: true},
		{name: "100 of them", zone: lines(100, "sub NS ns#.victim.example."),
			ask: sub, packets: 20, within: time.Second, each: victim, ede: unreachable, cpu: maxFanCPU, lookups: true},
		{name: "1,000 of them, about as many as are read", zone: lines(1000, "sub NS ns#.victim.example."),
			ask: sub, packets: 20, within: time.Second, each: victim, ede: unreachable, cpu: maxFanCPU, lookups: true},
		{name: "1,500 of them, which are not", zone: lines(1500, "sub NS ns#.victim.example."),
			ask: sub, packets: 20, within: time.Second, each: victim, ede: unreachable, cpu: maxFanCPU},
		{name: "100 of them with nine labels", zone: lines(100, "sub NS a.b.c.d.e.f.ns#.victim.example."),
			ask: sub, packets: 20, within: time.Second, each: victim, ede: unreachable, cpu: maxFanCPU, lookups: true},
		{name: "200 servers in a silent zone", zone: lines(200, "sub NS ns#.victim.example."), silent: []netip.Addr{victimAt},
			ask: sub, packets: 20, within: 4500 * time.Millisecond, ede: unreachable, cpu: maxSilentCPU, lookups: true},
		{name: "1,000 servers in a silent zone", zone: lines(1000, "sub NS ns#.victim.example."), silent: []netip.Addr{victimAt},
			ask: sub, packets: 20, within: 4500 * time.Millisecond, ede: unreachable, cpu: maxSilentCPU, lookups: true},
		{name: "1,500 servers in a silent zone", zone: lines(1500, "sub NS ns#.victim.example."), silent: []netip.Addr{victimAt},
			ask: sub, packets: 20, within: 4500 * time.Millisecond, ede: unreachable, cpu: maxSilentCPU},
		{name: "10 servers on the same 20 silent addresses", zone: lines(10, "sub NS ns#.sub") + glue.String(), silent: silent,
			ask: sub, packets: 20, within: 4500 * time.Millisecond, each: twice, ede: unreachable},
		{name: "an endless chain of aliases", lay: func(n *sim.Internet) { n.Spoof(evilAt, chain) },
			ask: "c0.evil.example.", packets: 15, within: time.Second, ede: spent},
		{name: "aliases, each into a zone of nine servers of which one exists", lay: func(n *sim.Internet) { n.Spoof(evilAt, camp) },
			ask: "c.z0.evil.example.", packets: 60, within: 4500 * time.Millisecond, ede: spent},
		{name: "two zones whose servers lie in each other", delegate: "cycle1 NS ns.cycle2\ncycle2 NS ns.cycle1\n",
			ask: "www.cycle1.example.", packets: 10, within: time.Second, ede: unreachable},
		{name: "three zones in a circle", delegate: "cycle1 NS ns.cycle2\ncycle2 NS ns.cycle3\ncycle3 NS ns.cycle1\n",
			ask: "www.cycle1.example.", packets: 10, within: time.Second, ede: unreachable},
		{name: "a server that cuts datagrams and closes streams", lay: func(n *sim.Internet) { n.Truncate(evilAt) }, breaks: 2,
			ask: "www.evil.example.", packets: 20, within: 4500 * time.Millisecond, ede: unreachable},
		{name: "four of them", lay: func(n *sim.Internet) { n.Truncate(append(silent[:3:3], evilAt)...) }, breaks: 4,
			delegate: lines(3, "evil NS ns#.evil") + closers.String(), cutters: silent[:3],
			ask: "www.evil.example.", packets: 30, within: 4500 * time.Millisecond, ede: unreachable},
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
	for _, a := range h.cutters {
		internet.Zone("evil.example.", "", a)
		serve[a] = true
	}
	accepted := new(atomic.Int64)
	for a := range serve {
		datagrams, streams, err := n.Listen(netip.AddrPortFrom(a, 53))
		if err != nil {
			t.Fatal(err)
		}
		if h.breaks > 0 {
			streams = closer{streams, accepted}
		}
		t.Cleanup(internet.Serve(a, datagrams, streams))
	}
	internet.Drop(h.silent...)
	if h.lay != nil {
		h.lay(internet)
	}
	file := n.mustWrite(t, "proxima.yaml", quiet+"node: {id: node1}\ndnssec: {validate: false}\nadmin: {listen: \"\"}\ncontrol: {socket: \"\"}\n")
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	await(t, startLimit, "priming", n.primed)
	idle := time.Duration(0)
	if h.cpu > 0 && alone() {
		idle = n.idle(t)
	}
	internet.Forget()

	q := new(dns.Msg).SetQuestion(h.ask, dns.TypeA)
	q.SetEdns0(payloadSize, false)
	used, began := n.processor(t), time.Now()
	m, err := exchange(n.Host, "udp", loopback[0], q, 8*time.Second)
	took := time.Since(began)
	if err != nil {
		return err
	}
	time.Sleep(afterwards)
	used = n.processor(t) - used - idle*time.Since(began)/time.Second
	said := told(m)
	t.Logf("%d packets, %v, %v of CPU, %d connections: %s", internet.Exchanges(), took.Round(time.Millisecond), used, accepted.Load(), said)
	switch got := internet.Exchanges(); {
	case got > h.packets:
		return fmt.Errorf("%d packets, want %d at most", got, h.packets)
	case alone() && took > h.within:
		return fmt.Errorf("the reply took %v, want %v at most", took, h.within)
	case alone() && h.cpu > 0 && used > h.cpu:
		return fmt.Errorf("%v of CPU, want %v at most", used, h.cpu)
	case m.Rcode != dns.RcodeServerFailure || !slices.ContainsFunc(h.ede, func(code uint16) bool { return strings.Contains(said, fmt.Sprintf(" EDE %d ", code)) }):
		return fmt.Errorf("got %s, want SERVFAIL and one of EDE %v", said, h.ede)
	case accepted.Load() > int64(h.breaks):
		return fmt.Errorf("%d connections, want %d at most", accepted.Load(), h.breaks)
	case h.breaks > 0 && accepted.Load() == 0:
		return errors.New("no connection: nothing was tested")
	}
	return h.judgeEach(internet)
}

// judgeEach judges what single authorities were asked.
func (h hostile) judgeEach(internet *sim.Internet) error {
	if h.each != nil {
		for _, c := range h.each(internet) {
			if got := len(internet.Asked(c.at)); got > c.most {
				return fmt.Errorf("%s was asked %d times, want %d at most", c.at, got, c.most)
			}
		}
	}
	if !h.lookups {
		return nil
	}
	lookups := map[dns.Question]bool{}
	for _, q := range internet.Asked(victimAt) {
		if q.Name = strings.ToLower(q.Name); strings.Contains(q.Name, "ns") {
			lookups[q] = true
		}
	}
	if got := len(lookups); got == 0 || got > limit.MaxLookups {
		return fmt.Errorf("%d lookups of servers, want 1 to %d", got, limit.MaxLookups)
	}
	return nil
}

// told says what a reply tells its client: the code, and the extended error.
func told(m *dns.Msg) string {
	said := dns.RcodeToString[m.Rcode]
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				said += fmt.Sprintf(" EDE %d %q", e.InfoCode, e.ExtraText)
			}
		}
	}
	return said
}

// A closer accepts connections and closes them: what Accept returns is never one.
type closer struct {
	net.Listener
	accepted *atomic.Int64
}

// Accept returns the error that ends the listener.
func (c closer) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c.accepted.Add(1)
		conn.Close()
	}
}

// primed reports whether the node has asked the root for its servers.
func (n *node) primed() error {
	if !strings.Contains(n.log.String(), "root was primed") {
		return fmt.Errorf("not yet:\n%s", n.log)
	}
	return nil
}
