//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

const (
	// crowd is how many questions for traps are under way at a time. One client may
	// have 200; the bench lets 64 proofs of one name wait.
	crowd = 180
	// askedBeside is how many names of a sound zone are asked for meanwhile.
	askedBeside = 30
	// mostBefore is how many questions for traps may be computed while one of those
	// waits, in half of the cases. In its turn it waits for two; in one queue it
	// would for all that wait, 128.
	mostBefore = 32
)

// shed is the counter of proofs that were turned away because their zone had its
// share of those that wait.
const shed = `proxima_iterate_limited_total{limit="proofs_of_one_zone"}`

// TestTraps_leaveOthersTheirTurn asks for names in dear zones as fast as it can,
// so that there are always more proofs of them than may wait, and wants each name
// of another signed zone answered, all of which have to be proven.
func TestTraps_leaveOthersTheirTurn(t *testing.T) {
	soundAt := netip.MustParseAddr("203.0.113.80")
	dear := mustSpend(t, "k1.example.", "203.0.113.101")
	traps := map[string]*trap{
		"a00." + dear.zone: dear,
		"k2.example.":      mustJam(t, "k2.example.", "203.0.113.102", dns.ECDSAP256SHA256, mustCollideP384(t, "k2.example."), 250),
	}
	n, internet := mustTrappedBeside(t, "sound.example.", "@ NS ns\nns A 203.0.113.80\n"+lines(askedBeside, "w# 300 A 192.0.2.201"), soundAt,
		dear, traps["k2.example."])
	quit, asked, computed := make(chan struct{}), new(atomic.Int64), new(atomic.Int64)
	var clients sync.WaitGroup
	defer func() { close(quit); clients.Wait() }()
	for below := range traps {
		for range crowd / len(traps) {
			clients.Go(func() {
				for {
					select {
					case <-quit:
						return
					default:
						_, why, err := n.askWhy(loopback[0], fmt.Sprintf("w%d.%s", asked.Add(1), below))
						if err == nil && !strings.Contains(why, "proofs of one zone") {
							computed.Add(1)
						}
					}
				}
			})
		}
	}
	turned := func() (float64, error) {
		page, err := get(n.Host, "http://127.0.0.1:9153/metrics")
		if err != nil {
			return 0, err
		}
		return metric(page, shed)
	}
	await(t, startLimit, "a proof that is turned away", func() error {
		count, err := turned()
		if err == nil && count == 0 {
			err = fmt.Errorf("none of %d", asked.Load())
		}
		return err
	})
	var before []int64
	for i := range askedBeside {
		began := computed.Load()
		name := fmt.Sprintf("w%d.sound.example.", i)
		said := ""
		for range tries {
			var err error
			if said, err = n.askAt(loopback[1], name); err != nil {
				t.Fatalf("%v\n%s", err, n.log)
			}
			if said == "NOERROR AD" || alone() {
				break
			}
		}
		if said != "NOERROR AD" {
			t.Errorf("%s: %s", name, said)
		}
		before = append(before, computed.Load()-began)
	}
	slices.Sort(before)
	if got := before[len(before)/2]; got > mostBefore {
		t.Errorf("%d questions for traps were computed while a name of the sound zone waited, want at most %d; all: %v", got, mostBefore, before)
	}
	count, err := turned()
	t.Logf("%d questions for traps, of which %d were computed, %v while a name waited; %.0f proofs turned away (%v); %d questions to the sound zone", asked.Load(), computed.Load(), before, count, err, len(internet.Asked(soundAt)))
	if strings.Contains(n.log.String(), "panic") {
		t.Error(n.log)
	}
}
