//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	n := mustAlone(t)
	mustInternet(t, n.Host)
	file := n.mustWrite(t, "proxima.yaml", "node: {id: node1}\nlisten: {port: 53}\ndnssec: {validate: false}\nupstream: {deny: []}\n"+
		"control: {socket: "+n.file("control.sock")+"}\nadmin: {listen: \"\"}\n")
	explain := func(more ...string) string {
		t.Helper()
		out, err := n.Run(t.Context(), programs+"/proxima", append([]string{"explain", "-c", file, "www.any.example", "AAAA"}, more...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	const alone = "explained by this process alone, with an empty cache"
	for _, want := range []string{alone, "zone     example. (referral)", "end      NOERROR", "2001:db8:80::1"} {
		await(t, startLimit, "an explanation without a daemon", func() error {
			if out := explain(); !strings.Contains(out, want) {
				return fmt.Errorf("no %q in\n%s", want, out)
			}
			return nil
		})
	}
	n.mustStart(t, command("proxima", "serve", "-c", file), netip.MustParseAddrPort("127.0.0.1:53"))
	explain()
	for _, want := range []string{"explained by the daemon at " + n.file("control.sock") + " (process ", "\nwww.any.example. AAAA: NOERROR, insecure, after ",
		"\nlimits touched: none\n", "zone     example. (memory)", "end      NOERROR", "2001:db8:80::1"} {
		await(t, startLimit, "an explanation by the daemon, the second time", func() error {
			if out := explain(); !strings.Contains(out, want) || strings.Contains(out, alone) {
				return fmt.Errorf("no %q, or not from its memory:\n%s", want, out)
			}
			return nil
		})
	}
	if out := explain("--alone"); !strings.Contains(out, alone) {
		t.Errorf("asked to be alone:\n%s", out)
	}
	if out := explain("--json"); !strings.HasPrefix(out, `{"by":{"who":"daemon","process":`) {
		t.Errorf("as JSON:\n%s", out)
	}
	n.signal(t, syscall.SIGSTOP)
	out, err := n.Run(t.Context(), programs+"/proxima", "explain", "-c", file, "www.any.example")
	if err == nil || !strings.Contains(out, "the daemon does not answer: process ") {
		t.Errorf("of a daemon that is stopped: %v\n%s", err, out)
	}
	n.signal(t, syscall.SIGCONT)
}
