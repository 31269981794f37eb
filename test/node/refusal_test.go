//go:build linux

package node

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestServe_refusesToStart(t *testing.T) {
	own4, own6 := own[0].Addr().String(), own[1].Addr().String()
	whole := anycastFile() + blackholes() // six lines
	tests := []struct {
		name   string
		file   string // none = one that does not exist
		taken  string // port 53 is taken on this network
		nobody bool
		want   []string // in what it prints
	}{
		{"an anycast address as a source", whole + "upstream: {sources: [198.51.100.2]}\n", "", false,
			[]string{"proxima.yaml:8:", "upstream.sources", "198.51.100.2", "anycast"}},
		{"an anycast address as a source, IPv6", whole + `upstream: {sources: ["2001:db8:53::1"]}`, "", false,
			[]string{"proxima.yaml:8:", "upstream.sources", "2001:db8:53::1", "anycast"}},
		{"a source that this host lacks", whole + fmt.Sprintf("upstream: {sources: [192.0.2.77, %q]}\n", own6), "", false,
			[]string{"upstream.sources", "192.0.2.77", "not on this host"}},
		{"a source that this host lacks, IPv6", whole + fmt.Sprintf("upstream: {sources: [%s, \"2001:db8:99::77\"]}\n", own4), "", false,
			[]string{"upstream.sources", "2001:db8:99::77", "not on this host"}},
		{"a port that is taken over UDP", whole, "udp", false, []string{"198.51.100.1:53", "in use"}},
		{"a port that is taken over TCP", whole, "tcp", false, []string{"198.51.100.1:53", "in use"}},
		{"a file that is not there", "", "", false, []string{"proxima.yaml", "no such file"}},
		{"a file that is no YAML", "listen: {addresses: [", "", false, []string{"proxima.yaml:1:"}},
		{"an unknown key", whole + "cash: {}\n", "", false, []string{"proxima.yaml:8:", "cash"}},
		{"every fault at once", "listen: {port: 0}\ncache: {memory: 1}\n", "", false,
			[]string{"proxima.yaml:1:", "listen.port", "proxima.yaml:2:", "cache.memory"}},
		{"no privilege to hold addresses", whole, "", true, []string{"CAP_NET_ADMIN"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := mustAlone(t)
			if tt.file != "" {
				n.mustWrite(t, "proxima.yaml", tt.file)
			}
			if tt.taken != "" {
				n.mustTake(t, tt.taken)
			}
			before := n.state()
			cmd := command("proxima", "serve", "-c", n.file("proxima.yaml"))
			if tt.nobody {
				asNobody(t, cmd)
			}
			status, out := n.end(t, cmd)
			if status != 1 || crashed(out) {
				t.Errorf("status %d, want 1 and no crash\n%s", status, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not name %q:\n%s", want, out)
				}
			}
			if after := n.state(); !slices.Equal(before, after) {
				t.Errorf("it left something behind:\nbefore %q\nafter  %q", before, after)
			}
		})
	}
}

// mustTake has another program listen on port 53 of every IPv4 address until the
// test ends.
func (n *node) mustTake(t *testing.T, network string) {
	t.Helper()
	const every = "0.0.0.0:53"
	err := n.Do(func() error {
		if network == "tcp" {
			l, err := net.Listen("tcp4", every)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}
		c, err := net.ListenPacket("udp4", every)
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServe_needsNeitherFileNorPrivilege(t *testing.T) {
	t.Parallel()
	n := mustAlone(t)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	n.id = name
	n.mustStart(t, asNobody(t, command("proxima", "serve")), loopback...)
	for _, to := range loopback {
		if err := n.answers(n.Host, "tcp", to); err != nil {
			t.Error(err)
		}
	}
	await(t, startLimit, "readiness", func() error {
		_, err := get(n.Host, "http://127.0.0.1:9153/readyz")
		return err
	})
	n.mustStop(t)
}

func TestServe_isAloneInItsNamespace(t *testing.T) {
	t.Parallel()
	n := mustAlone(t)
	file := n.mustWrite(t, "proxima.yaml", anycastFile()+blackholes())
	n.mustStart(t, command("proxima", "serve", "-c", file), at53()...)
	second := n.mustWrite(t, "second.yaml", anycastFile()+blackholes()+"admin: {listen: \"\"}\n")
	status, out := n.end(t, command("proxima", "serve", "-c", second))
	if status != 1 || !strings.Contains(out, "another proxima") {
		t.Errorf("a second one: status %d, want 1 and why\n%s", status, out)
	}
	if err := n.missing(); err != nil {
		t.Errorf("after the second one had ended: %v", err)
	}
	if err := n.canaries(n.Host); err != nil {
		t.Errorf("after the second one had ended: %v", err)
	}
	n.mustStop(t)
}
