package ctl

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/state"
	"proxima/cmd/internal/control"
)

var prefix = netip.MustParsePrefix("198.51.100.0/24")

// silent is a Speaker whose routes nobody hears.
type silent struct{}

func (silent) Set(context.Context, []sidecar.Route) error { return nil }
func (silent) Close(context.Context) error                { return nil }

// start runs a sidecar whose node is announced, and returns its control socket.
func start(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := sidecar.Listen(sidecar.Options{
		Path: filepath.Join(dir, "bgp.sock"), Speaker: silent{},
		Groups: []sidecar.Group{{Name: "main", Prefixes: []netip.Prefix{prefix}}},
		Rules:  state.Rules{Warmup: state.Warmup{Rise: 1}, Drain: state.Drain{Wait: time.Hour}, Guard: state.Guard{Trusting: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "control.sock")
	at, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	Serve(at, s, func() (up, all int) { return 1, 2 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	go at.Serve(zap.NewNop())
	link := bgpctl.Dial(filepath.Join(dir, "bgp.sock"))
	t.Cleanup(func() {
		link.Close()
		at.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if _, err := link.Hold(ctx, bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: []netip.Prefix{prefix}}, bgpctl.MaxLease); err != nil {
		t.Fatal(err)
	}
	var now Status // which is renewed ten times a second
	for end := time.Now().Add(time.Minute); now.State != bgpctl.Announced; time.Sleep(10 * time.Millisecond) {
		if err := control.Ask(ctx, socket, statusPath, nil, &now); err != nil || time.Now().After(end) {
			t.Fatalf("not announced but %v, %v", now.State, err)
		}
	}
	return socket
}

// run executes a command line below "ctl".
func run(args ...string) (string, error) {
	var out strings.Builder
	c := Command(&out)
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetArgs(args)
	err := c.ExecuteContext(context.Background())
	return out.String(), err
}

func TestCommand(t *testing.T) {
	socket := start(t)
	steps := []struct {
		word string
		want []string // parts of what is printed
		err  string   // part of the error; empty = none
	}{
		{"status", []string{"ANNOUNCED since", "[198.51.100.0/24]", "1 of 2 up", "renewed"}, ""},
		{"unfreeze", nil, "no freeze to end"},
		{"freeze", []string{"FROZEN", "freeze ordered by uid"}, ""},
		{"unfreeze", []string{"ANNOUNCED"}, ""},
		{"drain", []string{"DRAINING", "degraded"}, ""},
		{"undrain", []string{"ANNOUNCED"}, ""},
		{"maintenance", []string{"DRAINING"}, ""},
		{"withdraw", []string{"MAINTENANCE", "nothing"}, ""},
		{"undrain", []string{"WITHDRAWN"}, ""},
		{"history", []string{"INIT", "-> ANNOUNCED", "-> FROZEN", "withdraw ordered by uid"}, ""},
	}
	for _, step := range steps {
		got, err := run("bgp", step.word, "--socket", socket)
		if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Fatalf("%s: error %v, want %q", step.word, err, step.err)
		}
		for _, part := range step.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s prints\n%s\nwithout %q", step.word, got, part)
			}
		}
	}
}

func TestCommand_printsJSON(t *testing.T) {
	socket := start(t)
	for _, word := range []string{"status", "history", "freeze"} {
		got, err := run("bgp", word, "--json", "--socket", socket)
		if err != nil || !json.Valid([]byte(got)) {
			t.Errorf("%s: %v, %s", word, err, got)
		}
	}
}

func TestCommand_withoutASidecar(t *testing.T) {
	_, err := run("bgp", "drain", "--socket", filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "no daemon listens there") {
		t.Errorf("error %v", err)
	}
}

// TestServe_changesNothingForAnAsk: a question that somebody's browser or
// monitor repeats must not be an order.
func TestServe_changesNothingForAnAsk(t *testing.T) {
	socket := start(t)
	var s Status
	if err := control.Ask(t.Context(), socket, orderPath+"?order=withdraw", nil, &s); err == nil {
		t.Error("a GET is taken for an order")
	}
	if err := control.Ask(t.Context(), socket, statusPath, nil, &s); err != nil || s.State != bgpctl.Announced {
		t.Errorf("%v, %v", s.State, err)
	}
}
