//go:build linux

package kernel

import (
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"proxima/test/netns"
	"proxima/test/router"
)

// snippet returns what the page says for a daemon.
func snippet(t *testing.T, daemon string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/speakers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```"+daemon+"\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("the page says nothing for " + daemon)
	}
	return text
}

// A network is a node with a daemon, and a router with BIRD.
type network struct {
	*world
	router *netns.Host
	dir    string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/lib/frr/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

func newNetwork(t *testing.T, daemon string) *network {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	program(t, "birdc")
	net := netns.New()
	t.Cleanup(net.Close)
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	node, err := net.Host("node")
	must(t, err)
	far, err := net.Host("router")
	must(t, err)
	must(t, net.Link(node, "up", far, "down"))
	must(t, node.Addr("up", netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")))
	must(t, far.Addr("down", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")))
	w := &network{&world{t, node, New(Options{Groups: groups, DropFirst: daemon == "frr"})}, far, dir}
	w.ip("route add blackhole 198.51.100.0/24 proto 201 metric 65536") // as netsetup does
	w.ip("route add blackhole 2001:db8:53::/48 proto 201 metric 65536")
	must(t, router.Start("bird", dir, far, router.Plan{
		Name: "r", ASN: 64500, ID: netip.MustParseAddr("192.0.2.1"), Anycast: []netip.Prefix{prefix4, prefix6},
		Neighbors: []router.Neighbor{{
			Name: "node", Link: "down", ASN: 64511,
			Local:  [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			Remote: [2]netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		}},
	}))
	if daemon == "bird" {
		w.startBIRD(t)
	} else {
		w.startFRR(t)
	}
	return w
}

// write writes a file that FRR's user may read, too.
func (w *network) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func (w *network) startBIRD(t *testing.T) {
	conf := w.write(t, "node.conf", "router id 192.0.2.10;\nlog stderr all;\nprotocol device { }\n"+snippet(t, "bird"))
	_, err := w.host.Start(exec.Command(program(t, "bird"), "-f", "-c", conf, "-s", filepath.Join(w.dir, "node.ctl"), "-P", filepath.Join(w.dir, "node.pid")))
	must(t, err)
}

func (w *network) startFRR(t *testing.T) {
	zebra, bgpd := program(t, "zebra"), program(t, "bgpd")
	run := filepath.Join(w.dir, "frr")
	must(t, os.Mkdir(run, 0o755))
	u, err := user.Lookup("frr")
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	must(t, os.Chown(run, uid, -1))
	for _, d := range []struct{ program, text string }{{zebra, "hostname node\n"}, {bgpd, snippet(t, "frr")}} {
		name := filepath.Base(d.program)
		_, err := w.host.Start(exec.Command(d.program, "-f", w.write(t, name+".conf", d.text), "-i", filepath.Join(run, name+".pid"),
			"-z", filepath.Join(run, "zserv.api"), "--vty_socket", run, "-P", "0", "--log", "stdout"))
		must(t, err)
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(run, "zserv.api")); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("zebra does not start")
			}
		}
	}
}

// await waits until the router says all of want and nothing of not, renewing
// if asked to.
func (w *network) await(what string, renew bool, want, not []string) {
	w.Helper()
	began := time.Now()
	for deadline := began.Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if renew {
			if err := w.renew(); err != nil {
				w.Fatal(err)
			}
		}
		said, err := w.router.Run(w.Context(), "birdc", "-s", filepath.Join(w.dir, "r.ctl"), "show route all")
		missing := ""
		for _, s := range want {
			if strings.Count(said, s) < 2 { // for each family
				missing = "twice " + s
			}
		}
		for _, s := range not {
			if strings.Contains(said, s) {
				missing = "no " + s
			}
		}
		if err == nil && missing == "" {
			w.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("not %s: %v; not %s in\n%s%s", what, err, missing, said, w.tables())
		}
	}
}

// TestSpeaker_throughADaemon is what docs/speakers.md promises.
func TestSpeaker_throughADaemon(t *testing.T) {
	for _, daemon := range []string{"bird", "frr"} {
		t.Run(daemon, func(t *testing.T) {
			const (
				usualPath = "BGP.as_path: 64511\n"
				lowPath   = "BGP.as_path: 64511 64511 64511\n"
				shutdown  = "(65535,0)"
			)
			nothing := []string{"198.51.100.0/24", "2001:db8:53::/48"}
			w := newNetwork(t, daemon)
			w.mustSet(usual)
			w.await("announced", true, []string{usualPath}, []string{shutdown})
			w.mustSet(low)
			w.await("degraded", true, []string{lowPath, shutdown}, []string{usualPath})
			w.mustSet(usual)
			w.await("announced again", true, []string{usualPath}, []string{lowPath, shutdown})
			w.mustSet(nil)
			w.await("withdrawn", true, nil, nothing)
			w.mustSet(low)
			w.await("degraded from nothing", true, []string{lowPath, shutdown}, []string{usualPath})
			w.await("withdrawn without renewal", false, nil, nothing)
		})
	}
}
