package script

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proxima/bgpctl/sidecar"
)

var (
	prefix4 = netip.MustParsePrefix("198.51.100.0/24")
	prefix6 = netip.MustParsePrefix("2001:db8:53::/48")
	groups  = []sidecar.Group{{
		Name: "main", Prefixes: []netip.Prefix{prefix4, prefix6},
		NextHop: sidecar.NextHop{IPv6: netip.MustParseAddr("2001:db8::10")},
	}}
	usual = []sidecar.Route{
		{
			Prefix: prefix4, Communities: []uint32{64511<<16 | 100}, MED: 7,
			LargeCommunities: []sidecar.LargeCommunity{{ASN: 64511, Data1: 1, Data2: 2}},
		},
		{Prefix: prefix6, NextHop: netip.MustParseAddr("2001:db8::10")},
	}
	degraded = []sidecar.Route{
		{
			Prefix: prefix4, Communities: []uint32{64511<<16 | 100, 65535 << 16}, MED: 7, Prepend: 2,
			LargeCommunities: []sidecar.LargeCommunity{{ASN: 64511, Data1: 1, Data2: 2}},
		},
		usual[1],
	}
)

// A recording is a program whose lines end up in a file.
type recording struct {
	t    *testing.T
	file string
	said string // what of the file has been looked at
}

// newRecording writes a program; $SAID in its text is the file.
func newRecording(t *testing.T, text string) (*recording, string) {
	t.Helper()
	dir := t.TempDir()
	s := &recording{t: t, file: filepath.Join(dir, "said")}
	program := filepath.Join(dir, "announce")
	text = "#!/bin/sh\nSAID=" + s.file + "\n" + text + "\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return s, program
}

// next returns what was written since it was last asked.
func (s *recording) next() string {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	now := strings.TrimPrefix(string(text), s.said)
	s.said = string(text)
	return now
}

func mustNew(t *testing.T, command, show []string) *Speaker {
	t.Helper()
	s, err := New(Options{Command: command, Show: show, ASN: 64511, Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpeaker_saysWhatChanges(t *testing.T) {
	const (
		withdraw4  = "withdraw route 198.51.100.0/24 next-hop self\n"
		withdraw6  = "withdraw route 2001:db8:53::/48 next-hop 2001:db8::10\n"
		announce4  = "announce route 198.51.100.0/24 next-hop self med 7 community [64511:100] large-community [64511:1:2]\n"
		degraded4  = "announce route 198.51.100.0/24 next-hop self med 7 community [64511:100 65535:0] large-community [64511:1:2] as-path [64511 64511 64511]\n"
		announce6  = "announce route 2001:db8:53::/48 next-hop 2001:db8::10\n"
		everything = withdraw4 + withdraw6
	)
	said, program := newRecording(t, `cat >>"$SAID"`)
	s := mustNew(t, []string{program}, nil)
	for _, step := range []struct {
		name   string
		routes []sidecar.Route
		want   string
	}{
		{"the first withdraws what a dead one may have left", nil, everything},
		{"nothing more to withdraw", nil, ""},
		{"both are announced", usual, announce4 + announce6},
		{"the same again", usual, ""},
		{"one is degraded", degraded, degraded4},
		{"one is withdrawn", usual[1:], withdraw4},
		{"the other, too", nil, withdraw6},
	} {
		if err := s.Set(t.Context(), step.routes); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := said.next(); got != step.want {
			t.Errorf("%s: said\n%swant\n%s", step.name, got, step.want)
		}
	}
	if err := s.Set(t.Context(), usual); err != nil {
		t.Fatal(err)
	}
	said.next()
	if err := s.Close(t.Context()); err != nil || said.next() != everything {
		t.Errorf("Close did not withdraw: %v", err)
	}
}

func TestSpeaker_saysAllAgainAfterAFailure(t *testing.T) {
	said, program := newRecording(t, `cat >>"$SAID"; [ ! -e "$SAID.broken" ] || { echo no such neighbour; exit 3; }`)
	s := mustNew(t, []string{program}, nil)
	if err := s.Set(t.Context(), usual); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(said.file+".broken", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Set(t.Context(), usual[:1])
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no such neighbour") {
		t.Errorf("error = %v, want status 3 and what the program said", err)
	}
	said.next()
	if err := os.Remove(said.file + ".broken"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), usual[:1]); err != nil {
		t.Fatal(err)
	}
	if got := said.next(); strings.Count(got, "\n") != 2 {
		t.Errorf("said after a failure %q, want both routes", got)
	}
}

func TestSpeaker_readsBack(t *testing.T) {
	said, program := newRecording(t, `cat >"$SAID"`) // what is shown is what was last said
	s := mustNew(t, []string{program}, []string{"/usr/bin/env", "cat", said.file})
	if err := s.Set(t.Context(), usual); err != nil {
		t.Fatalf("both announced: %v", err)
	}
	err := s.Set(t.Context(), nil) // the lines still name both
	if err == nil || !strings.Contains(err.Error(), "is announced") {
		t.Errorf("error = %v, want that a prefix is still announced", err)
	}
	if err := s.Set(t.Context(), usual); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(said.file, []byte("neighbor 192.0.2.1 198.51.100.0/24 next-hop self\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.Set(t.Context(), usual)
	if err == nil || !strings.Contains(err.Error(), "2001:db8:53::/48 is not announced") {
		t.Errorf("error = %v, want that the IPv6 prefix is not announced", err)
	}
}

func TestSpeaker_killsAProgramThatHangs(t *testing.T) {
	said, program := newRecording(t, `sleep 600 & echo $! >"$SAID"; wait`)
	s := mustNew(t, []string{program}, nil)
	err := s.Set(context.Background(), usual)
	if err == nil || !strings.Contains(err.Error(), "killed after") {
		t.Errorf("error = %v, want that it was killed", err)
	}
	child := strings.TrimSpace(said.next())
	for deadline := time.Now().Add(time.Minute); alive(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s, which it had started, runs on", child)
		}
	}
}

// alive reports whether a process has not ended.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestSpeaker_boundsWhatItKeeps(t *testing.T) {
	_, program := newRecording(t, `head -c 10000000 /dev/zero | tr '\0' x`)
	s := mustNew(t, []string{program}, nil)
	err := s.Set(t.Context(), usual)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "printed more than") {
		t.Errorf("error = %.1000v, want a short one that names the limit", err)
	}
}

func TestSpeaker_needsNoShell(t *testing.T) {
	said, program := newRecording(t, `printf '%s|' "$@" >"$SAID"`)
	s := mustNew(t, []string{program, "a b", "$HOME", "; true"}, nil)
	if err := s.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := said.next(); got != "a b|$HOME|; true|" {
		t.Errorf("arguments %q are not as they were given", got)
	}
}

func TestOptions_Check(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"no ASN", Options{Command: []string{"/bin/sh"}}, "no ASN"},
		{"no program", Options{ASN: 64511}, "absolute path"},
		{"a relative path", Options{ASN: 64511, Command: []string{"sh"}}, "absolute path"},
		{"a file that is not there", Options{ASN: 64511, Command: []string{"/absent"}}, "no such file"},
		{"a directory", Options{ASN: 64511, Command: []string{"/"}}, "not a program"},
		{"a wrong second program", Options{ASN: 64511, Command: []string{"/bin/sh"}, Show: []string{"show"}}, "show:"},
	} {
		if err := tt.o.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q", tt.name, err, tt.want)
		}
	}
}
