//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"proxima/resolver/anchor"
)

// awaitFault waits until the node says of itself that it has a fault of a class,
// and wants it to be ready all the same.
func (n *node) awaitFault(t *testing.T, class string) {
	t.Helper()
	await(t, startLimit, "a fault of class "+class, func() error {
		page, err := get(n.Host, "http://127.0.0.1:9153/metrics")
		if err != nil {
			return err
		}
		if !strings.Contains(page, fmt.Sprintf("proxima_bgpctl_fault{class=%q} 1\n", class)) {
			return fmt.Errorf("none\n%s", n.log)
		}
		return nil
	})
	if page, err := get(n.Host, "http://127.0.0.1:9153/readyz"); err != nil || !strings.HasPrefix(page, "ok\n") {
		t.Errorf("with a fault of class %s /readyz says %q, %v", class, page, err)
	}
}

// TestNode_tellsItsFaultsFromThoseUpstream takes servers away: first those of
// the targets alone, then all of them.
func TestNode_tellsItsFaultsFromThoseUpstream(t *testing.T) {
	t.Parallel()
	n := mustAlone(t)
	internet, _ := mustInternet(t, n.Host)
	file := n.mustWrite(t, "proxima.yaml", `node: {id: node1}
dnssec: {validate: false}
health: {every: 100ms, rise: 1, recursion: {targets: [example., www.example.], every: 1s}}
`)
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	await(t, startLimit, "a check of recursion that passed", func() error {
		page, err := get(n.Host, "http://127.0.0.1:9153/metrics")
		if err == nil && !strings.Contains(page, `proxima_bgpctl_check_passing{check="recursion",class="upstream"} 1`) {
			err = fmt.Errorf("none\n%s", n.log)
		}
		return err
	})
	n.awaitFault(t, "sound")
	internet.Drop(exampleAt...)
	n.awaitFault(t, "soft_local")
	var roots []netip.Addr
	for _, r := range anchor.Roots() {
		roots = append(roots, r.Addrs...)
	}
	internet.Drop(roots...)
	n.awaitFault(t, "upstream")
	internet.Heal(append(roots, exampleAt...)...)
	n.awaitFault(t, "sound")
	n.mustStop(t)
}
