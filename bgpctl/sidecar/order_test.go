package sidecar

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proxima/bgpctl"
)

func TestSidecar_Order(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	s := start(t, o)
	c := dial(t, o.Path)
	c.hold()
	r.await(t, "announced", both)
	steps := []struct {
		word string
		want bgpctl.State
		err  string // part of it; empty = none
	}{
		{"sing", bgpctl.Init, "is no order"},
		{"undrain", bgpctl.Announced, "no drain to call off"},
		{"unfreeze", bgpctl.Announced, "no freeze to end"},
		{"freeze", bgpctl.Frozen, ""},
		{"freeze", bgpctl.Frozen, ""},
		{"unfreeze", bgpctl.Announced, ""},
		{"drain", bgpctl.Draining, ""},
		{"freeze", bgpctl.Draining, "cannot be frozen"},
		{"undrain", bgpctl.Announced, ""},
		{"withdraw", bgpctl.Maintenance, ""},
		{"undrain", bgpctl.Withdrawn, ""},
	}
	for _, step := range steps {
		got, err := s.Order(t.Context(), step.word, "uid 0")
		if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) || got.State != step.want {
			t.Fatalf("%s: %v, error %v; want %v, error %q", step.word, got.State, err, step.want, step.err)
		}
	}
	r.await(t, "withdrawn", none)
	var ways []string
	for _, h := range s.History() {
		ways = append(ways, h.To.String())
	}
	if got, want := strings.Join(ways, " "), "ANNOUNCED FROZEN ANNOUNCED DRAINING ANNOUNCED MAINTENANCE WITHDRAWN"; got != want {
		t.Errorf("the history is %s, want %s", got, want)
	}
	if h := s.History()[1]; h.From != bgpctl.Announced || h.Reason != "freeze ordered by uid 0" {
		t.Errorf("the freeze is told as %+v", h)
	}
}

func TestSidecar_historyIsBounded(t *testing.T) {
	s := start(t, testOptions(t, newRecorder()))
	for range historyLength {
		for _, word := range []string{"drain", "undrain"} {
			if _, err := s.Order(t.Context(), word, "a test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.History()); n != historyLength {
		t.Errorf("%d transitions are remembered, want %d", n, historyLength)
	}
}

// startKept serves until stop is called, with what o.File keeps.
func startKept(t *testing.T, o Options) (s *Sidecar, stop func()) {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	return s, func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestSidecar_keepsOverARestart(t *testing.T) {
	o := testOptions(t, newRecorder())
	o.File = filepath.Join(t.TempDir(), "state")
	o.Rules.Damping.Limit, o.Rules.Damping.HalfLife = 2500, 1<<40

	s, stop := startKept(t, o)
	c := dial(t, o.Path)
	c.hold()
	if _, err := s.Order(t.Context(), "withdraw", "a test"); err != nil {
		t.Fatal(err)
	}
	stop()

	s, stop = startKept(t, o)
	if got := s.Status(); got.State != bgpctl.Maintenance || got.Merit < 900 || got.Merit > 1000 {
		t.Errorf("after a restart %v with a merit of %v, want MAINTENANCE with less than 1000", got.State, got.Merit)
	}
	if _, err := s.Order(t.Context(), "undrain", "a test"); err != nil {
		t.Error(err)
	}
	stop()

	s, stop = startKept(t, o)
	defer stop()
	if got := s.Status(); got.State != bgpctl.Init {
		t.Errorf("after an undrain and a restart %v, want INIT", got.State)
	}
}

func TestSidecar_startsWithoutWhatWasKept(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "garbage": "\x00\x01", "a version of the future": `{"version":9,"drained":true}`, "long": `{"version":1,"drained":true}` + strings.Repeat(" ", maxKept),
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t, newRecorder())
			o.File = filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, stop := startKept(t, o)
			if got := s.Status().State; got != bgpctl.Init {
				t.Errorf("begins with %v", got)
			}
			stop()
		})
	}
}
