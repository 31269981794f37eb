package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"proxima/config"
)

func TestMakeSocketDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, socket string
		want         string // in the error; empty = none
	}{
		{"it is made", dir + "/new/s", ""},
		{"it may be there", dir + "/s", ""},
		{"the one above it is not made", dir + "/absent/new/s", "absent/new: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := makeSocketDir(tt.socket)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("makeSocketDir = %v, want %q", err, tt.want)
			}
		})
	}
	if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm()&^socketDirMode != 0 || info.Mode()&fs.ModeDir == 0 {
		t.Errorf("made %v, %v", info, err)
	}
}

func TestCheckSocket(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"/file", "/taken"} {
		if err := os.WriteFile(dir+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"/locked.lock", "/closed"} {
		if err := os.Mkdir(dir+sub, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, socket string
		want         string
	}{
		{"a directory that is there", dir + "/s", ""},
		{"one that can be made", dir + "/new/s", ""},
		{"one that cannot, for want of the one above", dir + "/absent/new/s",
			"socket: DIR/absent/new is absent and cannot be made: there is no directory DIR/absent"},
		{"a file in its place", dir + "/file/s", "socket: DIR/file is not a directory"},
		{"a file in the place of the socket", dir + "/taken", "socket: DIR/taken is there and is not a socket"},
		{"a directory in the place of the lock", dir + "/locked", "socket: DIR/locked.lock is there and is not a file"},
		{"a directory of somebody else", dir + "/closed/s", "socket: DIR/closed: permission denied for this user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.want, "permission denied") && os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			got := ""
			if err := checkSocket(tt.socket); err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if got != tt.want {
				t.Errorf("checkSocket = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckPlaces(t *testing.T) {
	dir := t.TempDir()
	const least = "speaker: dry-run\ngroups: [{name: main, prefixes: [198.51.100.0/24]}]\n"
	tests := []struct{ name, text, wrong, lesser string }{
		{"all can be had", "socket: DIR/s\ncontrol: {socket: DIR/c}\nstate_file: DIR/f\n", "", ""},
		{"a control socket in the directory that is made for the other", "socket: DIR/run/s\ncontrol: {socket: DIR/run/c}\nstate_file: DIR/f\n", "", ""},
		{"one in another that is absent", "socket: DIR/s\ncontrol: {socket: DIR/none/c}\nstate_file: DIR/f\n", "control.socket: there is no directory DIR/none", ""},
		{"a state file that is a directory", "socket: DIR/s\ncontrol: {socket: DIR/c}\nstate_file: DIR\n", "state_file: DIR is a directory", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := []byte(least + strings.ReplaceAll(tt.text, "DIR", dir))
			c, err := config.ParseSidecar("bgp.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			wrong, lesser := checkPlaces(c, config.SidecarLines("bgp.yaml", text))
			for i, got := range [][]error{wrong, lesser} {
				said := ""
				if err := errors.Join(got...); err != nil {
					said = strings.ReplaceAll(err.Error(), dir, "DIR")
				}
				if want := []string{tt.wrong, tt.lesser}[i]; said != want {
					t.Errorf("%q, want %q", said, want)
				}
			}
		})
	}
}
