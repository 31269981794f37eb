package bird

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proxima/bgpctl/sidecar"
)

var (
	low = []sidecar.Route{
		{
			Prefix: netip.MustParsePrefix("198.51.100.0/24"), Prepend: 2, Communities: []uint32{64511<<16 | 100, 65535 << 16},
			LargeCommunities: []sidecar.LargeCommunity{{ASN: 64511, Data1: 1, Data2: 2}},
		},
		{Prefix: netip.MustParsePrefix("2001:db8:53::/48"), Communities: []uint32{65535 << 16}},
	}
	usual = []sidecar.Route{{Prefix: low[0].Prefix}, {Prefix: low[1].Prefix}}
)

// newDaemon returns a speaker and a function that starts its BIRD, which speaks
// with nobody and touches no table of the kernel's.
func newDaemon(t *testing.T) (*Speaker, func() (stop func())) {
	t.Helper()
	bird := ""
	for _, name := range []string{"bird", "/usr/sbin/bird"} {
		if path, err := exec.LookPath(name); err == nil {
			bird = path
		}
	}
	if bird == "" {
		t.Skip("bird is not installed")
	}
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := New(Options{ASN: 64511, File: filepath.Join(dir, "routes.conf"), Socket: filepath.Join(dir, "bird.ctl")})
	conf := filepath.Join(dir, "bird.conf")
	text := "router id 192.0.2.10;\nprotocol device { }\ninclude \"" + s.o.File + "\";\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, func() func() {
		cmd := exec.Command(bird, "-f", "-c", conf, "-s", s.o.Socket, "-P", filepath.Join(dir, "pid"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := func() { cmd.Process.Kill(); cmd.Wait() }
		t.Cleanup(stop)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, _, err := ask(t.Context(), s.o.Socket, "show status"); err == nil {
				return stop
			}
			if time.Now().After(deadline) {
				t.Fatal("bird does not start")
			}
		}
	}
}

func TestSpeaker_throughBIRD(t *testing.T) {
	s, start := newDaemon(t)
	if err := os.WriteFile(s.o.File, []byte("protocol static left { ipv4; route 203.0.113.0/24 blackhole; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "bird.ctl") {
		t.Errorf("Set without BIRD = %v, want an error that names its socket", err)
	}
	stop := start() // and what was left is not announced
	for _, routes := range [][]sidecar.Route{nil, usual, low, usual, low[:1], nil, low} {
		if err := s.Set(t.Context(), routes); err != nil {
			t.Fatalf("Set(%v) = %v", routes, err)
		}
	}
	stop()
	start()
	have, err := s.readBack(t.Context())
	if _, want := s.text(low); err != nil || strings.Join(have, "|") != strings.Join(want, "|") {
		t.Errorf("after a restart BIRD has %q, %v; want %q", have, err, want)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if have, err := s.readBack(t.Context()); err != nil || len(have) > 0 {
		t.Errorf("closed, and BIRD has %q, %v", have, err)
	}
}

func TestSpeaker_saysWhatBIRDRefuses(t *testing.T) {
	s, start := newDaemon(t)
	_ = s.Set(t.Context(), nil) // BIRD is not there, but its file is
	start()
	bad := []sidecar.Route{{Prefix: netip.PrefixFrom(netip.MustParseAddr("198.51.100.1"), 24)}}
	if err := s.Set(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "8002") {
		t.Errorf("Set = %v, want BIRD's 8002", err)
	}
	if err := s.Set(t.Context(), usual); err != nil {
		t.Errorf("Set after an error = %v", err)
	}
}
