package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// mustServe runs a server at a socket of its own until the test ends.
func mustServe(t *testing.T, ask func(context.Context, url.Values) (any, error)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control.sock")
	s, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	s.Answer("/explain", ask)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(zap.NewNop())
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return socket
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Its queue takes connections, and nobody accepts them: a daemon that is stopped.
	mute, err := net.Listen("unix", filepath.Join(dir, "mute"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	tests := []struct{ name, socket, want string }{
		{"a daemon that lives", mustServe(t, nil), ""},
		{"one that is stopped", mute.Addr().String(),
			fmt.Sprintf("the daemon does not answer: process %d at %s has said nothing for 3s", os.Getpid(), mute.Addr())},
		{"nobody any more", filepath.Join(dir, "file"), "no daemon listens there"},
		{"nothing", filepath.Join(dir, "none"), "no daemon listens there"},
		{"a path that leads nowhere", filepath.Join(dir, "file", "s"), "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := Find(t.Context(), tt.socket)
			switch {
			case tt.want == "" && (err != nil || d != Daemon{tt.socket, os.Getpid()}):
				t.Errorf("found %+v, %v", d, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAsk(t *testing.T) {
	socket := mustServe(t, func(_ context.Context, with url.Values) (any, error) {
		if with.Get("name") == "" {
			return nil, errors.New("no name")
		}
		return map[string]string{"name": with.Get("name")}, nil
	})
	tests := []struct {
		name   string
		socket string
		path   string
		with   url.Values
		want   string // the name, or a part of the error
		absent bool
	}{
		{"a reply", socket, "/explain", url.Values{"name": {"a&b.example."}}, "a&b.example.", false},
		{"an error is told", socket, "/explain", nil, fmt.Sprintf("the daemon at %s (process %d) says: no name", socket, os.Getpid()), false},
		{"an unknown question", socket, "/other", nil, "says: 404", false},
		{"nobody there", socket + "x", "/explain", nil, "no daemon listens there", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got map[string]string
			err := Ask(t.Context(), tt.socket, tt.path, tt.with, &got)
			said := got["name"]
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, tt.want) || errors.Is(err, ErrAbsent) != tt.absent {
				t.Errorf("got %q, want %q", said, tt.want)
			}
		})
	}
}

func TestListen_isForUserAndGroup(t *testing.T) {
	socket := mustServe(t, nil)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, error %v, want %o", info.Mode(), err, socketMode)
	}
}

func TestListen_takesOverOnlyWhatIsDead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	other := filepath.Join(dir, "other")
	packets, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: other, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	tests := []struct {
		name string
		path string
		want string
	}{
		{"a socket of another kind, as the sidecar's", other, "may be in use"},
		{"a socket that a killed daemon left", dead, ""},
		{"a socket that somebody serves", mustServe(t, nil), "another daemon listens there"},
		{"what is no socket", file, "is there and is not a socket"},
		{"no folder", filepath.Join(dir, "none", "sock"), "no such file"},
		{"none", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Listen(tt.path)
			if err == nil {
				s.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestServer_boundsWhatIsAskedAtOnce(t *testing.T) {
	busy, release := make(chan struct{}, maxAsked), make(chan struct{})
	socket := mustServe(t, func(context.Context, url.Values) (any, error) {
		busy <- struct{}{}
		<-release
		return "done", nil
	})
	results := make(chan error, maxAsked)
	for range maxAsked {
		go func() {
			var text string
			results <- Ask(t.Context(), socket, "/explain", nil, &text)
		}()
	}
	for range maxAsked {
		<-busy
	}
	var text string
	if err := Ask(t.Context(), socket, "/explain", nil, &text); err == nil || !strings.Contains(err.Error(), "too many requests") {
		t.Errorf("one more: error %v", err)
	}
	close(release)
	for range maxAsked {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
