//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxHugeCPU is what one question for a huge set may cost the node, judged only
	// where it is alone on the machine.
	maxHugeCPU = 20 * time.Millisecond
	// hugeRounds is how often each is asked for, and maxHugeGrowth, in octets, what
	// the node may have grown by then where it is alone; elsewhere it is moreMemory.
	hugeRounds, maxHugeGrowth = 100, 20 << 20
)

// TestNode_huge asks again and again for sets as large as fit into a message and
// for a name with hundreds of types (CVE-2024-1737).
func TestNode_huge(t *testing.T) {
	at := netip.MustParseAddr("203.0.113.91")
	addresses := func(owner string, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "%s 60 A 198.18.%d.%d\n", owner, i/256, i%256)
		}
		return b.String()
	}
	typesFrom := func(first, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "*.types 60 TYPE%d \\# 1 00\n", first+i)
		}
		return b.String()
	}
	n := mustAlone(t)
	internet, example := mustInternet(t, n.Host)
	example.Add(fmt.Sprintf("huge NS ns.huge\nns.huge A %s\n", at))
	internet.Zone("huge.example.", "@ NS ns\nns A "+at.String()+"\n"+
		addresses("*.a256", 256)+addresses("*.a257", 257)+addresses("*.a1000", 1000)+addresses("*.a4000", 4000)+
		typesFrom(1000, 300), at)
	mustServe(t, n.Host, internet, at)
	file := n.mustWrite(t, "proxima.yaml", quiet+"node: {id: node1}\ncache: {memory: 16MiB}\ndnssec: {validate: false}\n")
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	idle := n.idle(t)
	asked := 0
	types := func(i int) uint16 { return uint16(1000 + i%300) }
	tests := []struct {
		name  string
		below string
		typ   func(i int) uint16
		want  string // the code, and how many records
	}{
		{"256 records, as many as are believed", "a256", nil, "NOERROR 256"},
		{"257 records, which are too many", "a257", nil, "SERVFAIL 0"},
		{"1,000 records", "a1000", nil, "SERVFAIL 0"},
		{"4,000 records", "a4000", nil, "SERVFAIL 0"},
		{"300 types of a name", "types", types, "NOERROR 1"},
		{"all types of a name", "types", func(int) uint16 { return dns.TypeANY }, "NOERROR 1"},
	}
	f := &flood{node: n}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := func() error {
				asked++
				q := new(dns.Msg).SetQuestion(fmt.Sprintf("w%d.%s.huge.example.", asked, tt.below), dns.TypeA)
				if tt.typ != nil {
					q.SetQuestion("w."+tt.below+".huge.example.", tt.typ(asked))
				}
				m, err := exchange(n.Host, "tcp", loopback[0], q, trapPatience)
				if err != nil {
					return err
				}
				if got := fmt.Sprintf("%s %d", dns.RcodeToString[m.Rcode], len(m.Answer)); got != tt.want {
					return fmt.Errorf("%s: got %s, want %s", q.Question[0].String(), got, tt.want)
				}
				return nil
			}
			each, longest := n.price(t, idle, ask)
			before := f.mustWeigh(t)
			for range hugeRounds {
				if err := ask(); err != nil {
					t.Fatal(err)
				}
			}
			after := f.mustWeigh(t)
			t.Logf("%v of CPU for a question, %v at most until the reply; before %v, after %v", each, longest, before, after)
			if alone() && each > maxHugeCPU {
				t.Errorf("%v of CPU for a question, want at most %v", each, maxHugeCPU)
			}
			if growth := after.memory - before.memory; growth > moreMemory || alone() && growth > maxHugeGrowth {
				t.Errorf("memory grew from %d to %d octets", before.memory, after.memory)
			}
		})
	}
}
