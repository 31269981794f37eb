//go:build linux

package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/sim"
)

const (
	// maxCPU bounds what one query for a trap may cost the node. It is judged at
	// full measure only.
	maxCPU = 25 * time.Millisecond
	// maxLost is one in how many answers from the cache may be lost: on a busy
	// machine the client itself may sleep through some.
	maxLost = 1000
	// priced is how many queries the price is taken from. At the bound they
	// take 1 s, a hundred of the kernel's ticks.
	priced = 40
	// tick is the unit of times in /proc, which is the same on every Linux.
	tick = 10 * time.Millisecond
	// trapEvery lies between two queries for a trap while cached names are asked
	// for, one each canaryEvery.
	trapEvery, canaryEvery = 50 * time.Millisecond, time.Millisecond
	// trapPatience bounds the wait for a reply about a trap, canaryPatience that
	// for the last answers from the cache.
	trapPatience, canaryPatience = 10 * time.Second, 2 * time.Second
	// cachedName has an address, below the same signed root as the traps.
	cachedName = "www.any.example."
)

// canaryTime is how long cached names are asked for.
func canaryTime() time.Duration {
	if full() {
		return 20 * time.Second
	}
	return time.Second
}

// mustTrapped starts a node that validates below a signed root, in a world with
// the traps.
func mustTrapped(t *testing.T, traps ...*trap) (*node, *sim.Internet) {
	t.Helper()
	n := mustAlone(t)
	internet, example := mustInternet(t, n.Host)
	for _, tr := range traps {
		example.Add(fmt.Sprintf("%[1]s NS ns.%[1]s\nns.%[1]s A %[2]s\n%[3]s\n", tr.zone, tr.at, tr.key.ToDS(dns.SHA256)))
		mustServe(t, n.Host, internet, tr.at)
		internet.Spoof(tr.at, tr.spoof)
	}
	internet.SignAll()
	anchor := strings.Fields(internet.Anchor().String())
	file := n.mustWrite(t, "proxima.yaml", fmt.Sprintf("node: {id: node1}\ncache: {memory: 16MiB}\ndnssec: {trust_anchors: [\". IN %s\"]}\n",
		strings.Join(anchor[3:], " ")))
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	return n, internet
}

// processor returns the time that proxima has used of the processors.
func (n *node) processor(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.proxima.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11]) // fields 14 and 15, see proc(5)
	system, err2 := strconv.Atoi(fields[12])
	if err := cmp.Or(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * tick
}

// askTrap asks for an address and says in words what came: the code, AD, and
// the code of the extended error, RFC 8914.
func (n *node) askTrap(name string) (string, error) {
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.SetEdns0(payloadSize, true)
	m, err := exchange(n.Host, "udp", loopback[0], q, trapPatience)
	if err != nil {
		return "", err
	}
	said := dns.RcodeToString[m.Rcode]
	if m.AuthenticatedData {
		said += " AD"
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				said += fmt.Sprintf(" EDE %d", e.InfoCode)
			}
		}
	}
	return said, nil
}

// askCached asks for a cached name at a steady pace, and returns how long the
// answers took, shortest first, and how many did not come.
func (n *node) askCached(lasting time.Duration) (took []time.Duration, lost int, err error) {
	packet, err := new(dns.Msg).SetQuestion(cachedName, dns.TypeA).Pack()
	if err != nil {
		return nil, 0, err
	}
	conn, err := n.Dial(context.Background(), "udp", loopback[0].String())
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(lasting + canaryPatience)); err != nil {
		return nil, 0, err
	}
	sent := make([]atomic.Int64, lasting/canaryEvery) // by ID, since began
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, payloadSize)
		for len(took) < len(sent) {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			if id := int(binary.BigEndian.Uint16(buf)); size > len(packet) && id < len(sent) { // longer: it has an answer
				took = append(took, time.Since(began)-time.Duration(sent[id].Load()))
			}
		}
	})
	for id := range sent {
		time.Sleep(time.Until(began.Add(time.Duration(id) * canaryEvery)))
		binary.BigEndian.PutUint16(packet, uint16(id))
		sent[id].Store(int64(time.Since(began)))
		if _, err = conn.Write(packet); err != nil {
			break
		}
	}
	reader.Wait()
	slices.Sort(took)
	return took, len(sent) - len(took), err
}

func TestTraps_costLittle(t *testing.T) {
	const labels = 120
	deep := func(zone string) string { return strings.Repeat("a.", labels-1-dns.CountLabel(zone)) + zone }
	tests := []struct {
		name  string
		trap  *trap
		below string // what names end in
		want  string
	}{
		{"31 keys of one tag, 50 signatures", mustJam(t, "t1.example.", "203.0.113.101", 31, 50), "t1.example.", "SERVFAIL EDE 6"},
		{"one key, 250 signatures", mustJam(t, "t2.example.", "203.0.113.102", 0, 250), "t2.example.", "SERVFAIL EDE 6"},
		{"one key, 300 signatures: no reply is good", mustJam(t, "t3.example.", "203.0.113.103", 0, 300), "t3.example.", "SERVFAIL EDE 22"},
		{"30 NSEC3 of 50 iterations, 120 labels", mustEncloser(t, "t4.example.", "203.0.113.104", 50), deep("t4.example."), "SERVFAIL EDE 0"},
		{"30 NSEC3 of 2,500 iterations, 120 labels", mustEncloser(t, "t5.example.", "203.0.113.105", 2500), deep("t5.example."), "NXDOMAIN EDE 27"},
		{"60 NSEC in one NXDOMAIN", mustStuff(t, "t6.example.", "203.0.113.106"), "t6.example.", "SERVFAIL EDE 12"},
	}
	var traps []*trap
	for _, tt := range tests {
		traps = append(traps, tt.trap)
	}
	n, internet := mustTrapped(t, traps...)
	if said, err := n.askTrap(cachedName); err != nil || said != "NOERROR AD" {
		t.Fatalf("the world is not secure: %q, %v\n%s", said, err, n.log)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			ask := func() error {
				said, err := n.askTrap(fmt.Sprintf("w%d.%s", asked.Add(1), tt.below))
				if err == nil && said != tt.want {
					err = fmt.Errorf("%q, want %q", said, tt.want)
				}
				return err
			}
			internet.Forget()
			each, longest := n.price(t, ask)
			t.Logf("%s: %v of CPU for a query, %v at most until the reply, %d questions to the zone for %d",
				tt.want, each, longest, len(internet.Asked(tt.trap.at)), asked.Load())
			if full() && each > maxCPU {
				t.Errorf("%v of CPU for a query, want at most %v", each, maxCPU)
			}
			stop := every(t, trapEvery, ask)
			took, lost, err := n.askCached(canaryTime())
			stop()
			if err != nil || lost > (lost+len(took))/maxLost {
				t.Fatalf("%d of %d cached answers lost: %v", lost, lost+len(took), err)
			}
			t.Logf("%d cached answers, %d lost, p50 %v, p99 %v, during %d such queries",
				len(took), lost, took[len(took)/2], took[len(took)*99/100], asked.Load()-priced)
		})
	}
}

// price returns what a query costs the node, less what idling does, and the
// longest time that a client waited.
func (n *node) price(t *testing.T, ask func() error) (each, longest time.Duration) {
	t.Helper()
	const idle = time.Second
	before := n.processor(t)
	time.Sleep(idle)
	usual := n.processor(t) - before
	before, began := n.processor(t), time.Now()
	for range priced {
		sent := time.Now()
		if err := ask(); err != nil {
			t.Fatalf("%v\n%s", err, n.log)
		}
		longest = max(longest, time.Since(sent))
	}
	return (n.processor(t) - before - usual*time.Since(began)/idle) / priced, longest
}

// every asks again and again, whether or not the last reply has come, until
// the returned function is called, which waits for the last one.
func every(t *testing.T, pause time.Duration, ask func() error) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for ticker := time.NewTicker(pause); ; {
			select {
			case <-quit:
				ticker.Stop()
				return
			case <-ticker.C:
				running.Go(func() {
					if err := ask(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
	return func() { close(quit); running.Wait() }
}
