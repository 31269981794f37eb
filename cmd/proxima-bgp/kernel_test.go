package main

import (
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

// TestServe_kernelRoutesEndWithTheSidecar kills and stops whole processes: what
// their last lease asked for must not stay.
func TestServe_kernelRoutesEndWithTheSidecar(t *testing.T) {
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			n := netns.New()
			t.Cleanup(n.Close)
			host, err := n.Host("node")
			mustDo(t, err)
			dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
			mustDo(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			l := &birdLab{T: t, dir: dir, node: host}
			l.write("sidecar.yaml", `
socket: `+l.path("bgp.sock")+`
speaker: kernel
kernel: {daemon: bird}
groups: [{name: main, prefixes: [198.51.100.0/24, "2001:db8:53::/48"]}]
warmup: {min: 0s, rise: 1, jitter: 0s}
state_file: ""
control: {socket: ""}
admin: {listen: ""}
`)
			cmd := exec.Command("/proc/self/exe", "serve", "-c", filepath.Join(dir, "sidecar.yaml"))
			cmd.Env = append(os.Environ(), asSidecar+"=1")
			p, err := host.Start(cmd)
			mustDo(t, err)
			link := bgpctl.Dial(l.path("bgp.sock"))
			defer link.Close()
			l.hold(link, bgpctl.Up, bgpctl.Announced)
			tables := func() string {
				routes, err := host.Run(t.Context(), "ip", "route", "show", "proto", "200")
				mustDo(t, err)
				addresses, err := host.Run(t.Context(), "ip", "addr", "show", "dev", "lo", "scope", "global")
				mustDo(t, err)
				return routes + addresses
			}
			if said := tables(); !strings.Contains(said, "198.51.100.0/24") || !strings.Contains(said, "2001:db8:53:") {
				t.Fatalf("announced, and the tables have\n%s", said)
			}
			began := time.Now()
			mustDo(t, p.Process.Signal(signal))
			eventually(t, "withdrawn", func() bool {
				said := tables()
				return !strings.Contains(said, "198.51.100.0/24") && !strings.Contains(said, "2001:db8:53:")
			})
			t.Logf("withdrawn after %v", time.Since(began).Round(time.Millisecond))
		})
	}
}
