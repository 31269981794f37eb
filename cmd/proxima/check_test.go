package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"proxima/cmd/internal/memory"
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
		{"a good file", "listen: {addresses: [127.0.0.1]}\n", []string{"FILE: ok"}, true},
		{"all problems at once", "listen:\n  port: 0\nlogg:\n", []string{
			"FILE:2: listen.port: 0 is not allowed; allowed: 1 to 65535",
			"FILE:3: logg: unknown key, did you mean log?; allowed: node, listen, anycast, upstream, recursion, " +
				"dnssec, cache, access, health, bgp, admin, control, log"}, false},
		{"an address that nobody holds", "listen: {addresses: [203.0.113.77]}\nupstream: {sources: [127.0.0.1]}\n", []string{
			"this host: listen.addresses: 203.0.113.77 is not on this host, nor among anycast.addresses"}, false},
		{"a copy of the root that is none", "listen: {addresses: [127.0.0.1]}\nrecursion: {local_root: {file: /dev/null}}\n", []string{
			"this host: recursion.local_root.file: is not a regular file"}, false},
		{"a source that is not here", "listen: {addresses: [127.0.0.1]}\nupstream: {sources: [203.0.113.77]}\n", []string{
			"this host: netsetup: upstream.sources: 203.0.113.77 is not on this host"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := mustWrite(t, tt.text)
			out, err := run("check", "-c", file)
			want := strings.ReplaceAll(strings.Join(tt.want, "\n")+"\n", "FILE", file)
			if out != want || (err == nil) != tt.ok {
				t.Errorf("check = %v, printed\n%swant\n%s", err, out, want)
			}
		})
	}
}

func TestHostWarnings_nameACacheThatDoesNotFit(t *testing.T) {
	c := mustParse(t, "cache: {memory: 2GiB}\n")
	room := memory.Room{Octets: 2 << 30, Whose: "host"}
	want := []string{"cache.memory: 2048 MiB need 2816 MiB with all else; the host has 2048 MiB, of which 1843 can be used"}
	if got := hostWarnings(c, netsetup.Kernel(), room); !slices.Equal(got, want) {
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

func TestVersion(t *testing.T) {
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "proxima ") {
		t.Errorf("version = %q, %v", out, err)
	}
}
