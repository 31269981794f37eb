package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proxima/bgpctl/sidecar"
)

const goodGoBGP = "gobgp: {asn: 64511, router_id: 203.0.113.2, peers: [{address: 203.0.113.1, asn: 64500}]}\n"

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	tests := []struct {
		name     string
		text     string
		password string // what the file password holds
		want     string // in what is printed
		ok       bool
	}{
		{"a good file", goodGoBGP + "groups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "ok", true},
		{"a dry run needs no routers", "speaker: dry-run\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "ok", true},
		{"a speaker that nobody knows", "speaker: quagga\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "not allowed", false},
		{"a program", "speaker: exec\nexec: {asn: 64511, command: [/bin/sh]}\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "ok", true},
		{"a program that is not there", "speaker: exec\nexec: {asn: 64511, command: [/absent]}\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "no such file", false},
		{"graceful restart", strings.Replace(goodGoBGP, "asn: 64511", "asn: 64511, graceful_restart: true", 1) + "groups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "graceful_restart", false},
		{"a long prefix", goodGoBGP + "groups: [{name: main, prefixes: [198.51.100.0/25]}]", "", "/24", false},
		{"an IPv6 prefix without a way to a next hop", goodGoBGP + `groups: [{name: main, prefixes: ["2001:db8:53::/48"]}]`, "", "has no next hop", false},
		{"a password", strings.Replace(goodGoBGP, "asn: 64500", "asn: 64500, password_file: "+password, 1) + "groups: [{name: main, prefixes: [198.51.100.0/24]}]", "s3cret\n", "ok", true},
		{"a password from a device", strings.Replace(goodGoBGP, "asn: 64500", "asn: 64500, password_file: /dev/zero", 1) + "groups: [{name: main, prefixes: [198.51.100.0/24]}]", "", "not a regular file", false},
		{"an empty password", strings.Replace(goodGoBGP, "asn: 64500", "asn: 64500, password_file: "+password, 1) + "groups: [{name: main, prefixes: [198.51.100.0/24]}]", "\n", "not one line", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "proxima-bgp.yaml")
			for name, text := range map[string]string{file: "socket: " + dir + "/bgp.sock\n" + tt.text, password: tt.password} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			c := command(&out)
			c.SetArgs([]string{"check", "-c", file})
			err := c.Execute()
			if (err == nil) != tt.ok || !strings.Contains(out.String(), tt.want) {
				t.Errorf("error = %v, printed %q; want %q and ok %t", err, out.String(), tt.want, tt.ok)
			}
		})
	}
}

func TestCheck_namesTheSocketThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "proxima-bgp.yaml")
	text := "socket: " + dir + "/absent/run/s\nspeaker: dry-run\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := command(&out)
	c.SetArgs([]string{"check", "-c", file})
	if err := c.Execute(); err == nil || !strings.Contains(out.String(), "\n"+file+":1: socket: "+dir+"/absent/run is absent and cannot be made") {
		t.Errorf("error = %v, printed %q", err, out.String())
	}
}

func TestHealthy(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	tests := []struct {
		name string
		age  time.Duration
		ok   bool
	}{
		{"a loop that turns", 100 * time.Millisecond, true},
		{"a speaker that takes its time", 2 * time.Second, true},
		{"a loop that stands still", 4 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := healthy(sidecar.Status{At: at.Add(-tt.age)}, at); (err == nil) != tt.ok {
				t.Errorf("healthy = %v, want ok %t", err, tt.ok)
			}
		})
	}
}
