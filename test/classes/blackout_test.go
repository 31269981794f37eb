package classes

import (
	"fmt"
	"testing"
	"time"

	"proxima/resolver/iterate"

	"github.com/miekg/dns"
)

// TestBlackout_isOverWhenItIsOver has nobody answer for a while. Afterwards all
// is fresh within 5 s: what was stale, what failed, and what nobody asked for.
func TestBlackout_isOverWhenItIsOver(t *testing.T) {
	for _, dark := range []time.Duration{8 * time.Second, 30 * time.Second, 5 * time.Minute} {
		t.Run(fmt.Sprint(dark), func(t *testing.T) {
			stale := func(o *iterate.Options) { o.Stale = time.Hour }
			inWorld(t, "short 5 A 192.0.2.67\n", "", nil, stale, func(t *testing.T, w *world) {
				w.ask(t, "short.evil.example. A")
				time.Sleep(6 * time.Second)
				all := []string{"short.evil.example. A", "www.evil.example. A"}
				w.Drop(rootAt, testAt, evilAt, victimAt)
				for began := time.Now(); time.Since(began) < dark; time.Sleep(500 * time.Millisecond) {
					for _, q := range all {
						w.ask(t, q)
					}
				}
				w.Heal(rootAt, testAt, evilAt, victimAt)
				healed := time.Now()
				for _, q := range append(all, "www.victim.example. A") {
					for fresh := false; !fresh; time.Sleep(100 * time.Millisecond) {
						m, _ := w.ask(t, q)
						opt := m.IsEdns0()
						fresh = m.Rcode == dns.RcodeSuccess && (opt == nil || len(opt.Option) == 0)
						if took := time.Since(healed); took > 5*time.Second {
							t.Fatalf("%s: %s, %v after the end", q, text(m), took)
						}
					}
				}
			})
		})
	}
}
