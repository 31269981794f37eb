package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"proxima/bgpctl"
	"proxima/test/netns"
)

// birdConfig is a router that would keep our routes for 120 s and for an hour,
// if we offered to come back.
const birdConfig = `log stderr all;
router id 203.0.113.1;
protocol device { scan time 1; }
protocol bgp node {
	local 203.0.113.1 as 64500;
	neighbor 203.0.113.2 as 64511;
	password "s3cret";
	ttl security on;
	graceful restart on; long lived graceful restart on;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	ipv4 { import all; export none; };
	ipv6 { import all; export none; };
}
`

// A birdLab is a node and a router in namespaces, with one link.
type birdLab struct {
	*testing.T
	dir    string
	node   *netns.Host
	router *netns.Host
	birdc  string
}

func newBirdLab(t *testing.T) *birdLab {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	bird, birdc := mustFind(t, "bird"), mustFind(t, "birdc")
	n := netns.New()
	t.Cleanup(n.Close)
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	mustDo(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &birdLab{T: t, dir: dir, birdc: birdc}
	l.node, err = n.Host("node")
	mustDo(t, err)
	l.router, err = n.Host("router")
	mustDo(t, err)
	mustDo(t, n.Link(l.node, "up", l.router, "down"))
	mustDo(t, l.node.Addr("up", netip.MustParsePrefix("203.0.113.2/30"), netip.MustParsePrefix("2001:db8:ffff::2/64")))
	mustDo(t, l.router.Addr("down", netip.MustParsePrefix("203.0.113.1/30"), netip.MustParsePrefix("2001:db8:ffff::1/64")))
	l.write("bird.conf", birdConfig)
	_, err = l.router.Start(exec.Command(bird, "-f", "-c", l.path("bird.conf"), "-s", l.path("bird.ctl"), "-P", l.path("bird.pid")))
	mustDo(t, err)
	return l
}

// mustFind looks beyond PATH, where Debian keeps routing daemons.
func mustFind(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *birdLab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *birdLab) write(name, text string) {
	l.Helper()
	mustDo(l.T, os.WriteFile(l.path(name), []byte(text), 0o600))
}

// show is what BIRD says.
func (l *birdLab) show(what string) string {
	out, err := l.router.Run(l.Context(), l.birdc, "-s", l.path("bird.ctl"), "show "+what)
	if err != nil {
		return err.Error()
	}
	return out
}

// await waits until BIRD says all of want and nothing of not.
func (l *birdLab) await(what string, want, not []string) string {
	l.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		said, missing := l.show(what), ""
		for _, w := range want {
			if !strings.Contains(said, w) {
				missing = "no " + w
			}
		}
		for _, n := range not {
			if strings.Contains(said, n) {
				missing = "still " + n
			}
		}
		if missing == "" {
			return said
		}
		if time.Now().After(deadline) {
			l.Fatalf("show %s: %s in\n%s", what, missing, said)
		}
	}
}

// start runs a sidecar on the node.
func (l *birdLab) start() *netns.Program {
	l.Helper()
	l.write("password", "s3cret\n")
	l.write("proxima-bgp.yaml", fmt.Sprintf(`
socket: %s
gobgp:
  asn: 64511
  router_id: 203.0.113.2
  hold_time: 3s
  peers: [{address: 203.0.113.1, asn: 64500, password_file: %s}]
groups:
  - name: main
    prefixes: [198.51.100.0/24, "2001:db8:53::/48"]
    next_hop: {ipv6: "2001:db8:ffff::2"}
    communities: ["64511:100"]
    large_communities: ["64511:1:2"]
    med: 7
warmup: {min: 0s, rise: 1, jitter: 0s}
damping: {limit: 0}
state_file: ""
control: {socket: ""}
hold_down: {base: 1s, max: 1s}
drain: {wait: 1h}
admin: {listen: ""}
`, l.path("bgp.sock"), l.path("password")))
	cmd := exec.Command("/proc/self/exe", "serve", "-c", l.path("proxima-bgp.yaml"))
	cmd.Env = append(os.Environ(), asSidecar+"=1")
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	p, err := l.node.Start(cmd)
	mustDo(l.T, err)
	return p
}

// hold takes a lease of 10 s as soon as it can.
func (l *birdLab) hold(link *bgpctl.Socket, wish bgpctl.Wish, state bgpctl.State) {
	l.Helper()
	want := bgpctl.Wanted{Wish: wish, Prefixes: []netip.Prefix{prefix, netip.MustParsePrefix("2001:db8:53::/48")}}
	eventually(l.T, state.String(), func() bool {
		r, err := link.Hold(l.Context(), want, bgpctl.MaxLease)
		return err == nil && r.State == state
	})
}

// route4 and route6 are the routes as BIRD shows them.
const (
	route4 = "198.51.100.0/24"
	route6 = "2001:db8:53::/48"
)

func TestServe_with_BIRD(t *testing.T) {
	t.Parallel()
	l := newBirdLab(t)
	p := l.start()
	link := bgpctl.Dial(l.path("bgp.sock"))
	defer link.Close()
	l.hold(link, bgpctl.Up, bgpctl.Announced)
	l.await("route all", []string{
		route4, route6, "BGP.next_hop: 203.0.113.2", "BGP.next_hop: 2001:db8:ffff::2",
		"BGP.as_path: 64511\n", "BGP.med: 7", "BGP.community: (64511,100)\n", "BGP.large_community: (64511, 1, 2)",
	}, nil)

	t.Run("the session is guarded and never restarts gracefully", func(t *testing.T) {
		said := l.await("protocols all node", []string{"Established", "/3"}, nil)
		_, ours, found := strings.Cut(said, "Neighbor capabilities")
		ours, _, _ = strings.Cut(ours, "Session:")
		if !found || !strings.Contains(ours, "AF announced: ipv4 ipv6") || strings.Contains(ours, "raceful restart") {
			t.Errorf("our capabilities are not both families without graceful restart:\n%s", said)
		}
	})
	t.Run("a drain degrades", func(t *testing.T) {
		l.hold(link, bgpctl.Drain, bgpctl.Draining)
		l.await("route all", []string{route4, route6, "BGP.as_path: 64511 64511 64511\n", "(65535,0)"}, []string{"BGP.as_path: 64511\n"})
	})
	t.Run("the end of the lease withdraws", func(t *testing.T) {
		link.Close()
		l.await("route", nil, []string{route4, route6})
	})
	t.Run("a frozen sidecar loses its routes with the hold time", func(t *testing.T) {
		again := bgpctl.Dial(l.path("bgp.sock"))
		defer again.Close()
		l.hold(again, bgpctl.Up, bgpctl.Announced) // after a pause
		l.await("route", []string{route4, route6}, nil)
		mustDo(t, p.Process.Signal(syscall.SIGSTOP))
		l.await("route", nil, []string{route4, route6})
		p.Kill()
	})
	t.Run("a killed one at once", func(t *testing.T) {
		p := l.start()
		again := bgpctl.Dial(l.path("bgp.sock"))
		defer again.Close()
		l.hold(again, bgpctl.Up, bgpctl.Announced)
		l.await("route", []string{route4, route6}, nil)
		p.Kill()
		began := time.Now()
		l.await("route", nil, []string{route4, route6})
		t.Logf("withdrawn after %v", time.Since(began))
	})
}
