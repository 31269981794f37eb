//go:build linux

package node

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kills is how often a node is killed in each phase of its life.
func kills() int {
	if full() {
		return 200
	}
	return 20
}

// moment returns when to kill in the i-th of n tries: the moments are spread
// over a phase and a little beyond, with chance between them.
func moment(phase time.Duration, i, n int) time.Duration {
	return time.Duration((float64(i) + rand.Float64()) / float64(n) * 1.2 * float64(phase))
}

// mustMortal returns a node whose operator also has a blackhole of his own.
func mustMortal(t *testing.T, more string) (n *node, file string) {
	t.Helper()
	n = mustAlone(t)
	dst, err := netlink.ParseIPNet("203.0.113.0/24")
	if err == nil {
		err = n.Netlink().RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE, Protocol: unix.RTPROT_STATIC})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n, n.mustWrite(t, "proxima.yaml", anycastFile()+more)
}

// mustServeWell starts proxima and wants everything in place.
func (n *node) mustServeWell(t *testing.T, file string) time.Duration {
	t.Helper()
	began := time.Now()
	n.mustStart(t, command("proxima", "serve", "-c", file), at53()...)
	took := time.Since(began)
	if err := n.missing(); err != nil {
		t.Errorf("started, but %v", err)
	}
	if err := n.canaries(n.Host); err != nil {
		t.Errorf("started, but %v", err)
	}
	return took
}

// mustLeaveClean stops proxima in order and wants the host as it was.
func (n *node) mustLeaveClean(t *testing.T, before []string) {
	t.Helper()
	n.mustStop(t)
	if after := n.state(); !slices.Equal(before, after) {
		t.Errorf("something is left behind, or gone:\nbefore %q\nafter  %q", before, after)
	}
}

func TestNode_startsAfterAKillDuringStart(t *testing.T) {
	t.Parallel()
	n, file := mustMortal(t, blackholes())
	before := n.state()
	phase := n.mustServeWell(t, file)
	n.proxima.Kill()
	halves := 0 // starts that were killed with something, but not everything, in place
	for i := range kills() {
		// Released by hand, so that the start has to do everything.
		if err := n.strip(before); err != nil {
			t.Fatal(err)
		}
		n.mustLaunch(t, command("proxima", "serve", "-c", file))
		if i%2 == 0 {
			time.Sleep(moment(phase, i, kills()))
		} else { // in the midst of the addresses, at least where the machine lets us
			for end := time.Now().Add(startLimit); slices.Equal(before, n.state()) && time.Now().Before(end); {
			}
		}
		n.proxima.Kill()
		if n.missing() != nil && !slices.Equal(before, n.state()) {
			halves++
		}
		n.mustServeWell(t, file)
		if t.Failed() {
			t.Fatalf("after kill %d\n%s", i, n.log)
		}
		n.proxima.Kill()
	}
	t.Logf("%d kills within %v of the start, %d of them between the first and the last address", kills(), phase, halves)
	n.mustServeWell(t, file)
	n.mustLeaveClean(t, before)
}

// strip takes away what is not in before.
func (n *node) strip(before []string) error {
	for _, s := range n.state() {
		if slices.Contains(before, s) {
			continue
		}
		kind, prefix, _ := strings.Cut(s, " ")
		p, err := netip.ParsePrefix(prefix)
		if err == nil && kind == "address" {
			err = n.DelAddr("lo", p)
		} else if err == nil {
			err = n.delBlackhole(p)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func TestNode_startsAfterAKillDuringStop(t *testing.T) {
	t.Parallel()
	n, file := mustMortal(t, blackholes())
	before := n.state()
	n.mustServeWell(t, file)
	began := time.Now()
	n.mustLeaveClean(t, before)
	phase := time.Since(began)
	cut := 0 // stops that were killed before their end
	for i := range kills() {
		n.mustServeWell(t, file)
		if t.Failed() {
			t.Fatalf("after kill %d\n%s", i, n.log)
		}
		n.signal(t, syscall.SIGTERM)
		time.Sleep(moment(phase, i, kills()))
		n.proxima.Kill()
		if n.proxima.Err() != nil {
			cut++
		}
	}
	t.Logf("%d kills within %v of SIGTERM, %d of them before the end", kills(), phase, cut)
	n.mustServeWell(t, file)
	n.mustLeaveClean(t, before)
}

// sidecarFile is the configuration of a sidecar that only says what it would
// announce. It is quick, so that many drains fit into a test.
func (n *node) sidecarFile() string {
	return fmt.Sprintf(`socket: %s
speaker: dry-run
groups: [{name: main, prefixes: %s}]
warmup: {min: 0s, rise: 1, jitter: 0s}
damping: {limit: 0}
state_file: ""
control: {socket: ""}
hold_down: {base: 0s, max: 0s}
drain: {wait: 300ms, quiet: 0s}
admin: {listen: 127.0.0.1:9154}
`, n.file("bgp.sock"), list(words(covering)))
}

// announcing are the lines of a node that holds a lease for its prefixes.
func (n *node) announcing() string {
	return fmt.Sprintf(`health: {every: 100ms, rise: 1, fall: 2}
bgp: {prefixes: %s, socket: %s, lease: 1s, drain: 5s}
`, list(words(covering)), n.file("bgp.sock"))
}

// mustAnnounce waits until the sidecar announces.
func (n *node) mustAnnounce(t *testing.T) {
	t.Helper()
	await(t, startLimit, "the announcement", func() error {
		_, err := get(n.Host, "http://127.0.0.1:9153/readyz")
		return err
	})
}

// lanes is how many nodes drain side by side, as they mostly wait.
const lanes = 4

func TestNode_startsAfterAKillDuringDrain(t *testing.T) {
	for lane := range lanes {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			n, _ := mustMortal(t, "")
			n.dieDraining(t, lane)
		})
	}
}

// dieDraining is one lane's share of the kills.
func (n *node) dieDraining(t *testing.T, lane int) {
	file := n.mustWrite(t, "proxima.yaml", anycastFile()+n.announcing())
	sidecar := n.mustWrite(t, "bgp.yaml", n.sidecarFile())
	before := n.state()
	n.mustSidecar(t, sidecar)
	n.mustServeWell(t, file)
	n.mustAnnounce(t)
	began := time.Now()
	n.mustLeaveClean(t, before)
	phase := time.Since(began)
	cut := 0 // drains that were killed before their end
	for i := lane; i < kills(); i += lanes {
		n.mustServeWell(t, file)
		n.mustAnnounce(t)
		if t.Failed() {
			t.Fatalf("after kill %d\n%s", i, n.log)
		}
		n.signal(t, syscall.SIGTERM)
		time.Sleep(moment(phase, i, kills()))
		n.proxima.Kill()
		if n.proxima.Err() != nil {
			cut++
		}
		if i%3 == 0 { // the sidecar dies as well, and leaves its socket
			n.sidecar.Kill()
			if _, err := os.Stat(n.file("bgp.sock")); err != nil {
				t.Errorf("a killed sidecar's socket: %v", err)
			}
			n.mustSidecar(t, sidecar)
		}
	}
	t.Logf("killed within %v of SIGTERM, %d times before the end", phase, cut)
	n.mustServeWell(t, file)
	n.mustAnnounce(t)
	n.mustLeaveClean(t, before)
}

func TestNode_isWithdrawnWhenItHangs(t *testing.T) {
	t.Parallel()
	const lease = time.Second
	n := mustAlone(t)
	file := n.mustWrite(t, "proxima.yaml", anycastFile()+n.announcing())
	n.mustSidecar(t, n.mustWrite(t, "bgp.yaml", n.sidecarFile()))
	n.mustServeWell(t, file)
	n.mustAnnounce(t)
	n.signal(t, syscall.SIGSTOP)
	took := await(t, startLimit, "the withdrawal of a stopped node", func() error { return n.sidecarIn("withdrawn") })
	within(t, "the withdrawal of a stopped node", took, lease+500*time.Millisecond)
	if err := n.missing(); err != nil {
		t.Errorf("withdrawn, but its addresses must stay: %v", err)
	}
	n.signal(t, syscall.SIGCONT)
	await(t, startLimit, "the announcement of a node that goes on", func() error { return n.sidecarIn("announced") })
	n.mustStop(t)
}

// sidecarIn says that the sidecar is in another state, or nil.
func (n *node) sidecarIn(state string) error {
	page, err := get(n.Host, "http://127.0.0.1:9154/metrics")
	if err != nil {
		return err
	}
	if is, err := metric(page, fmt.Sprintf("proxima_sidecar_state{state=%q}", state)); err != nil || is != 1 {
		return fmt.Errorf("the sidecar is not %s: %v", state, err)
	}
	return nil
}
