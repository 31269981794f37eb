//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/sim"
)

const (
	// The most that one query may cost the node, judged at full measure only: a
	// trap of keys and signatures, one of hashes, one of denials.
	maxKeyCPU, maxHashCPU, maxDenialCPU = 25 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond
	// maxLost is one in how many answers from the cache may be lost where other
	// work is done besides; else none: on a busy machine node or client may sleep
	// while more come than the socket holds.
	maxLost = 20
	// maxCached bounds the time that 99 of 100 answers from the cache take,
	// judged at full measure only.
	maxCached = 20 * time.Millisecond
	// trapPatience bounds the wait for a reply about a trap.
	trapPatience = 20 * time.Second
	// trapLabels is how many labels the names have that are hashed.
	trapLabels = 120
)

// A trapRow is what a query for a name in a trap has to come to.
type trapRow struct {
	name  string
	trap  *trap
	below string // what names end in
	want  string
	cpu   time.Duration
	most  int // questions to the trap for one query, when its keys are known
}

// mustTrapped starts a node that validates below a signed root, in a world with
// the traps.
func mustTrapped(t *testing.T, traps ...*trap) (*node, *sim.Internet) {
	t.Helper()
	return mustTrappedBeside(t, "", "", netip.Addr{}, traps...)
}

// mustTrappedBeside is mustTrapped in a world with a sound zone besides.
func mustTrappedBeside(t *testing.T, sound, text string, at netip.Addr, traps ...*trap) (*node, *sim.Internet) {
	t.Helper()
	n := mustAlone(t)
	internet, example := mustInternet(t, n.Host)
	if sound != "" {
		example.Add(fmt.Sprintf("%[1]s NS ns.%[1]s\nns.%[1]s A %[2]s\n", sound, at))
		internet.Zone(sound, text, at)
		mustServe(t, n.Host, internet, at)
	}
	for _, tr := range traps {
		example.Add(fmt.Sprintf("%[1]s NS ns.%[1]s\nns.%[1]s A %[2]s\n", tr.zone, tr.at))
		for _, ds := range tr.ds {
			example.Add(ds.String() + "\n")
		}
		mustServe(t, n.Host, internet, tr.at)
		internet.Spoof(tr.at, tr.spoof)
		if tr.below.IsValid() {
			mustServe(t, n.Host, internet, tr.below)
			internet.Spoof(tr.below, addressOf)
		}
	}
	internet.SignAll()
	anchor := strings.Fields(internet.Anchor().String())
	file := n.mustWrite(t, "proxima.yaml", quiet+fmt.Sprintf("node: {id: node1}\ncache: {memory: 16MiB}\ndnssec: {trust_anchors: [\". IN %s\"]}\n",
		strings.Join(anchor[3:], " ")))
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	return n, internet
}

// askTrap asks for an address and says in words what came: the code, AD, and
// the code of the extended error, RFC 8914.
func (n *node) askTrap(name string) (string, error) { return n.askAt(loopback[0], name) }

// askAt is askTrap at one of the node's addresses.
func (n *node) askAt(at netip.AddrPort, name string) (said string, err error) {
	said, _, err = n.askWhy(at, name)
	return said, err
}

// askWhy is askAt, with the text of the extended error.
func (n *node) askWhy(at netip.AddrPort, name string) (said, why string, err error) {
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.SetEdns0(payloadSize, true)
	m, err := exchange(n.Host, "udp", at, q, trapPatience)
	if err != nil {
		return "", "", err
	}
	said = dns.RcodeToString[m.Rcode]
	if m.AuthenticatedData {
		said += " AD"
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				said, why = said+fmt.Sprintf(" EDE %d", e.InfoCode), e.ExtraText
			}
		}
	}
	return said, why, nil
}

// keyRows are traps of keys and signatures: KeyTrap, CVE-2023-50387.
func keyRows(t *testing.T) []trapRow {
	p384 := mustCollideP384(t, "k4.example.")
	rows := []trapRow{
		{name: "31 keys of one tag, 50 signatures", want: "SERVFAIL EDE 6", most: 2,
			trap: mustJam(t, "k1.example.", "203.0.113.101", dns.ECDSAP256SHA256, collidingRSA("k1.example.", 31, 2048), 50)},
		{name: "31 keys of RSA-4096 and one tag, 50 signatures", want: "SERVFAIL EDE 0", most: 2,
			trap: mustJam(t, "k2.example.", "203.0.113.102", dns.ECDSAP256SHA256, collidingRSA("k2.example.", 31, 4096), 50)},
		{name: "one key of P-384, 250 signatures", want: "SERVFAIL EDE 6", most: 2,
			trap: mustJam(t, "k3.example.", "203.0.113.103", dns.ECDSAP384SHA384, nil, 250)},
		{name: "two keys of P-384 and one tag, 250 signatures", want: "SERVFAIL EDE 0", most: 2,
			trap: mustJam(t, "k4.example.", "203.0.113.104", dns.ECDSAP256SHA256, p384, 250)},
		{name: "one key of RSA-4096, 100 signatures", want: "SERVFAIL EDE 6", most: 2,
			trap: mustJam(t, "k5.example.", "203.0.113.105", dns.ECDSAP256SHA256, collidingRSA("k5.example.", 1, 4096), 100)},
		{name: "one key, 300 signatures", want: "SERVFAIL EDE 6", most: 2,
			trap: mustJam(t, "k6.example.", "203.0.113.106", dns.ECDSAP256SHA256, nil, 300)},
		{name: "31 keys of RSA-4096 and one tag, 50 signatures of the set of keys", want: "SERVFAIL EDE 0", most: 4,
			trap: mustLock(t, "k7.example.", "203.0.113.107", collidingRSA("k7.example.", 31, 4096), 50)},
		{name: "two keys of P-384 and one tag, 250 signatures of the set of keys", want: "SERVFAIL EDE 0", most: 4,
			trap: mustLock(t, "k8.example.", "203.0.113.108", mustCollideP384(t, "k8.example."), 250)},
		{name: "60 DS, 60 keys of one tag", want: "SERVFAIL EDE 6", most: 4,
			trap: mustDigest(t, "k9.example.", "203.0.113.109", collidingRSA("k9.example.", 60, 2048), 60)},
		{name: "60 DS, 32 keys of one tag", want: "SERVFAIL EDE 9", most: 4,
			trap: mustDigest(t, "k10.example.", "203.0.113.110", collidingRSA("k10.example.", 32, 2048), 60)},
	}
	for i := range rows {
		rows[i].below, rows[i].cpu = rows[i].trap.zone, maxKeyCPU
	}
	// Nothing is wrong with this one, so that it spends all that a query may.
	return append(rows, trapRow{"good signatures with P-384, nine for each of eleven aliases", mustSpend(t, "k11.example.", "203.0.113.79"),
		"a00.k11.example.", "SERVFAIL EDE 0", maxKeyCPU, 4})
}

// hashRows are traps of hashes: CVE-2023-50868, and of the DS of a referral
// CVE-2026-1519.
func hashRows(t *testing.T) (rows []trapRow) {
	deep := func(zone string) string {
		return strings.Repeat("a.", trapLabels-1-dns.CountLabel(zone)) + zone
	}
	last := 120
	for _, iterations := range []uint16{0, 50, 51, 150, 2500, 65535} {
		for _, salt := range []int{0, 64, 255} {
			want := "NXDOMAIN EDE 27"
			switch {
			case salt == 0 && iterations <= 50 || salt == 64 && iterations == 0:
				want = "SERVFAIL EDE 12"
			case iterations <= 50 && salt <= 64:
				want = "SERVFAIL EDE 0"
			}
			last++
			zone := fmt.Sprintf("n%d.example.", last)
			rows = append(rows, trapRow{
				name: fmt.Sprintf("30 NSEC3 of %d iterations and a salt of %d octets, %d labels", iterations, salt, trapLabels),
				trap: mustEncloser(t, zone, fmt.Sprintf("203.0.113.%d", last), 30, iterations, salt), below: deep(zone),
				want: want, cpu: maxHashCPU, most: 4,
			})
		}
	}
	few := mustEncloser(t, "n3.example.", "203.0.113.119", 3, 50, 64)
	few.datagrams = true
	return append(rows,
		trapRow{"3 NSEC3 of 50 iterations, by UDP: the proof of the ninth shortened name is not paid for", few, deep("n3.example."), "SERVFAIL EDE 0", maxHashCPU, 9},
		trapRow{"30 NSEC3 of 50 iterations in a referral", mustRefer(t, "n1.example.", "203.0.113.111", "203.0.113.112", 50),
			"n1.example.", "SERVFAIL EDE 12", maxHashCPU, 4},
		trapRow{"30 NSEC3 of 65,535 iterations in a referral", mustRefer(t, "n2.example.", "203.0.113.113", "203.0.113.114", 65535),
			"n2.example.", "NOERROR EDE 27", maxHashCPU, 4})
}

// denialRows are traps of signed denials: CVE-2026-11605.
func denialRows(t *testing.T) []trapRow {
	return []trapRow{
		{"60 NSEC in one NXDOMAIN", mustStuff(t, "d1.example.", "203.0.113.115", dns.ECDSAP256SHA256, 0), "d1.example.", "SERVFAIL EDE 12", maxDenialCPU, 2},
		{"60 NSEC signed with P-384", mustStuff(t, "d2.example.", "203.0.113.116", dns.ECDSAP384SHA384, 0), "d2.example.", "SERVFAIL EDE 12", maxDenialCPU, 2},
		{"60 NSEC signed with RSA-4096", mustStuff(t, "d3.example.", "203.0.113.117", dns.RSASHA256, 0), "d3.example.", "SERVFAIL EDE 12", maxDenialCPU, 2},
		{"60 NSEC, four wrong signatures with P-384 of each", mustStuff(t, "d4.example.", "203.0.113.118", dns.ECDSAP384SHA384, 4), "d4.example.", "SERVFAIL EDE 6", maxDenialCPU, 2},
	}
}

// shapeRows are zones whose only key is odd.
func shapeRows(t *testing.T) (rows []trapRow) {
	for i, s := range shapes() {
		zone := fmt.Sprintf("s%d.example.", i)
		tr := mustShape(t, zone, fmt.Sprintf("203.0.113.%d", 150+i), s)
		rows = append(rows, trapRow{s.name, tr, zone, s.want, maxKeyCPU, 4})
	}
	return rows
}

// asker returns what asks for another name of the row's each time, and counts. A
// walk that ran out of time because nothing ran says so: then it asks once more.
func (n *node) asker(r trapRow, asked *atomic.Int64) func() error {
	return func() (err error) {
		for range tries {
			var said string
			said, err = n.askTrap(fmt.Sprintf("w%d.%s", asked.Add(1), r.below))
			if err == nil && said == r.want {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("%s: %q, want %q", r.name, said, r.want)
			}
		}
		return err
	}
}

func TestTraps_costLittle(t *testing.T) {
	groups := [][]trapRow{keyRows(t), hashRows(t), denialRows(t), shapeRows(t)}
	var traps []*trap
	for _, rows := range groups {
		for _, r := range rows {
			traps = append(traps, r.trap)
		}
	}
	n, internet := mustTrapped(t, traps...)
	if said, err := n.askTrap(cachedName); err != nil || said != "NOERROR AD" {
		t.Fatalf("the world is not secure: %q, %v\n%s", said, err, n.log)
	}
	idle := n.idle(t)
	asked := new(atomic.Int64)
	for _, rows := range groups {
		var all []func() error
		for _, r := range rows {
			ask := n.asker(r, asked)
			all = append(all, ask)
			t.Run(r.name, func(t *testing.T) {
				if err := ask(); err != nil { // the keys are known from now on
					t.Fatalf("%v\n%s", err, n.log)
				}
				for try := 1; ; try++ {
					internet.Forget()
					each, longest := n.price(t, idle, ask)
					questions := len(internet.Asked(r.trap.at))
					t.Logf("%s: %v of CPU for a query, %v at most until the reply, %d questions to the zone for %d", r.want, each, longest, questions, priced)
					dear, many := alone() && each > r.cpu, questions > r.most*priced+again()
					if !dear && !many {
						return
					}
					if try == tries {
						t.Fatalf("%v of CPU and %d questions to the zone for %d queries, want %v and %d for each at most", each, questions, priced, r.cpu, r.most)
					}
				}
			})
		}
		t.Run("cached names beside "+rows[0].name+" and its like", func(t *testing.T) {
			turn := new(atomic.Int64)
			n.judgeCached(t, func() error { return all[int(turn.Add(1))%len(all)]() })
		})
	}
}

// again is how many questions of a priced measure may be put again, as their
// answers came too late: none where nothing else runs.
func again() int {
	if alone() {
		return 0
	}
	return priced / 4
}

// judgeCached asks for cached names while traps are asked for.
func (n *node) judgeCached(t *testing.T, trap func() error) {
	t.Helper()
	for try := 1; ; try++ {
		stop := every(t, trapEvery, trap)
		took, lost, err := n.askCached(canaryTime())
		if stop(); err != nil || len(took) == 0 {
			t.Fatalf("%d cached answers, %d lost: %v", len(took), lost, err)
		}
		p99 := took[len(took)*99/100]
		t.Logf("%d cached answers, %d lost, p50 %v, p99 %v", len(took), lost, took[len(took)/2], p99)
		if lost == 0 && p99 <= maxCached || !alone() && lost <= (lost+len(took))/maxLost {
			return
		}
		if try == tries {
			t.Fatalf("%d cached answers lost, and 99 of 100 others took up to %v: want none, and at most %v", lost, p99, maxCached)
		}
	}
}
