package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"proxima/cmd/internal/memory"
	"proxima/cmd/internal/program"
	"proxima/config"
	"proxima/netsetup"
)

func mustWrite(t testing.TB, text string) (file string) {
	t.Helper()
	file = t.TempDir() + "/proxima.yaml"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run executes a command line.
func run(args ...string) (out string, err error) {
	var b bytes.Buffer
	c := command(&b)
	c.SetArgs(args)
	err = c.Execute()
	return b.String(), err
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string // lines; FILE stands for the path
		ok   bool
	}{
		{"a good file", "listen: {addresses: [127.0.0.1]}\ncontrol: {socket: \"\"}\n", []string{"FILE: ok"}, true},
		{"all problems at once", "listen:\n  port: 0\nlogg:\n", []string{
			"FILE:2: listen.port: 0 is not allowed; allowed: 1 to 65535",
			"FILE:3: logg: unknown key, did you mean log?; allowed: node, listen, anycast, upstream, recursion, " +
				"dnssec, cache, access, health, bgp, admin, control, log"}, false},
		{"an address that nobody holds", "listen: {addresses: [203.0.113.77]}\nupstream: {sources: [127.0.0.1]}\n", []string{
			"FILE:1: listen.addresses[0]: 203.0.113.77 is not on this host, nor among anycast.addresses"}, false},
		{"a copy of the root that is none", "listen: {addresses: [127.0.0.1]}\nrecursion: {local_root: {file: /dev/null}}\n", []string{
			"FILE:2: recursion.local_root.file: /dev/null: is a device, not a regular file"}, false},
		{"files that are none", "listen: {addresses: [127.0.0.1]}\nrecursion: {root_hints: /dev/zero}\n" +
			"dnssec: {trust_anchors: [/dev/zero], anchor_state: /dev/full}\ncache: {snapshot: /dev}\n", []string{
			"FILE:3: dnssec.anchor_state: /dev/full is there and is not a file",
			"FILE:4: cache.snapshot: /dev is a directory",
			"FILE:2: recursion.root_hints: /dev/zero: is a device, not a regular file",
			"FILE:3: dnssec.trust_anchors[0]: /dev/zero: is a device, not a regular file"}, false},
		{"a source that is not here", "listen: {addresses: [127.0.0.1]}\nupstream: {sources: [203.0.113.77]}\n", []string{
			"FILE:2: upstream.sources: 203.0.113.77 is not on this host"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if !strings.Contains(text, "control:") && !strings.Contains(text, "logg:") {
				text += "control: {socket: \"\"}\n" // whose directory may be absent here
			}
			file := mustWrite(t, text)
			out, err := run("check", "-c", file)
			want := strings.ReplaceAll(strings.Join(tt.want, "\n")+"\n", "FILE", file)
			if out != want || (err == nil) != tt.ok {
				t.Errorf("check = %v, printed\n%swant\n%s", err, out, want)
			}
		})
	}
}

// texts are what errors say.
func texts(errs []error) (all []string) {
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func TestCheck_namesWhatCannotBeWhereItIsToBe(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name string
		text string // DIR stands for a directory
		want string // the first line
		ok   bool
	}{
		{"paths that can be", "control: {socket: DIR/s}\ncache: {snapshot: DIR/c}\ndnssec: {anchor_state: DIR/a}\n", "FILE: ok", true},
		{"a control socket that is a directory", "log:\ncontrol: {socket: DIR}\n", "FILE:2: control.socket: DIR is a directory", false},
		{"one without its directory", "control: {socket: DIR/none/s}\n", "FILE:1: control.socket: there is no directory DIR/none", false},
		{"an anchor state without its directory", "dnssec:\n  anchor_state: DIR/none/a\n",
			"FILE:2: dnssec.anchor_state: there is no directory DIR/none", false},
		{"a snapshot that is a directory", "cache:\n  snapshot: DIR\n", "FILE:2: cache.snapshot: DIR is a directory", false},
		{"a snapshot below a file", "cache: {snapshot: /etc/passwd/c}\n", "FILE:1: cache.snapshot: /etc/passwd is not a directory", false},
		{"an anchor of an unknown algorithm", "dnssec:\n  trust_anchors:\n    - \"example. IN DS 7 99 2 " + strings.Repeat("AB", 32) + "\"\n",
			"FILE:3: dnssec.trust_anchors[0]: key 7 of example. makes nothing secure: algorithm 99 is not supported (warning)", true},
		{"an anchor that only SHA-1 would make good", "dnssec: {trust_anchors: [\". IN DS 7 5 2 " + strings.Repeat("AB", 32) + "\"]}\n",
			"FILE:1: dnssec.trust_anchors[0]: key 7 of . makes nothing secure: algorithm 5 is not supported unless dnssec.sha1 is validate (warning)", true},
		{"where SHA-1 is good", "dnssec: {sha1: validate, trust_anchors: [\". IN DS 7 5 2 " + strings.Repeat("AB", 32) + "\"]}\n", "FILE: ok", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if !strings.Contains(text, "control:") {
				text += "control: {socket: \"\"}\n"
			}
			file := mustWrite(t, "listen: {addresses: [127.0.0.1]}\n")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := run("check", "-c", file)
			first, _, _ := strings.Cut(out, "\n")
			want := strings.NewReplacer("FILE", file, "DIR", dir).Replace(tt.want)
			if first != want || (err == nil) != tt.ok {
				t.Errorf("check = %v, printed\n%swant\n%s", err, out, want)
			}
		})
	}
}

func TestCheck_warnsOfADefaultThatCannotBe(t *testing.T) {
	c := mustParse(t, "")
	c.Control.Socket = t.TempDir() + "/none/s"
	wrong, lesser := checkPlaces(c, config.Lines{})
	if len(wrong) != 0 || len(lesser) != 1 || !strings.HasPrefix(lesser[0].Error(), "control.socket: there is no directory ") {
		t.Errorf("wrong %v, lesser %v", wrong, lesser)
	}
}

func TestHostWarnings_nameACacheThatDoesNotFit(t *testing.T) {
	c := mustParse(t, "cache: {memory: 2GiB}\n")
	room := memory.Room{Octets: 2 << 30, Whose: "host"}
	want := []string{"cache.memory: 2048 MiB need 2432 MiB with all else; the host has 2048 MiB, of which 1843 can be used"}
	if got := texts(hostWarnings(c, netsetup.Kernel(), room)); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
	if got := hostWarnings(c, netsetup.Kernel(), memory.Room{}); got != nil {
		t.Errorf("warnings %q where nothing is known, want none", got)
	}
}

func TestServe_refusesABadFile(t *testing.T) {
	file := mustWrite(t, "listen: {port: 0}\n")
	_, err := run("serve", "-c", file)
	if err == nil || self().Describe(err) != file+":1: listen.port: 0 is not allowed; allowed: 1 to 65535" {
		t.Errorf("serve = %v", err)
	}
}

func TestServe_namesTheLineOfWhatThisHostLacks(t *testing.T) {
	text := "listen: {addresses: [127.0.0.1]}\nadmin: {listen: \"\"}\ncontrol: {socket: \"\"}\nupstream:\n  sources: [203.0.113.77]\n"
	_, err := start(mustParse(t, text), silent())
	want := "proxima.yaml:5: upstream.sources: 203.0.113.77 is not on this host"
	if p, ok := program.Find(err, config.NodeLines("proxima.yaml", []byte(text))); !ok || self().Describe(config.Problems{p}) != want {
		t.Errorf("start = %v", err)
	}
}

func TestVersion(t *testing.T) {
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "proxima ") {
		t.Errorf("version = %q, %v", out, err)
	}
}
