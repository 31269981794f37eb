//go:build linux

package main

import (
	"context"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"proxima/test/netns"
	"proxima/test/router"
)

func TestMain(m *testing.M) {
	router.RunIfAsked()
	// Labs mostly wait: all kinds of routers play at once, however few cores.
	if err := flag.Set("test.parallel", strconv.Itoa(len(router.Kinds))); err != nil {
		panic("lab: " + err.Error())
	}
	os.Exit(m.Run())
}

// TestLab is the lab as its user runs it. It plays two of the drills;
// PROXIMA_FULL=1 plays all of them with each kind of router. Figures are judged
// with PROXIMA_ALONE=1, else all kinds play at the same time.
func TestLab(t *testing.T) {
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	full := os.Getenv("PROXIMA_FULL") != ""
	programs := t.TempDir()
	if err := build(t.Context(), programs); err != nil {
		t.Fatal(err)
	}
	for _, kind := range router.Kinds {
		t.Run(kind, func(t *testing.T) {
			needRouter(t, kind)
			o := options{Router: kind, Drills: drills, Programs: programs, Shared: os.Getenv("PROXIMA_ALONE") != "1"}
			if o.Shared {
				t.Parallel()
			}
			if !full {
				if kind != "gobgp" {
					t.Skip("runs with PROXIMA_FULL=1")
				}
				o.Drills = []drill{drills[indexDrill("kill")], drills[indexDrill("drain")]}
			}
			screen := newTimeline(t.Output(), false)
			results, err := run(t.Context(), o, screen)
			if err == nil {
				err = verdict(results)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRouters_learnTheClientsOfOthers(t *testing.T) {
	for _, kind := range router.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needRouter(t, kind)
			w, err := newWorld()
			if err != nil {
				t.Fatal(err)
			}
			defer w.net.Close()
			dir, err := newDir()
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			for i, s := range w.sites {
				if err := router.Start(kind, dir, s.router, w.plan(i)); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), startLimit)
			defer cancel()
			for !learned(t, w) {
				if pause(ctx, 50*time.Millisecond) != nil {
					t.Fatalf("no BGP routes to the other clients after %v\n%s", startLimit, lastLines(dir, 10))
				}
			}
		})
	}
}

// learned reports whether each router has BGP routes to the clients of both
// others, in both families.
func learned(t *testing.T, w *world) bool {
	t.Helper()
	for i, s := range w.sites {
		for j, other := range w.sites {
			for _, p := range other.access.near {
				if i != j && !hasRoute(t, s.router, p.Masked().String()) {
					return false
				}
			}
		}
	}
	return true
}

func hasRoute(t *testing.T, h *netns.Host, dst string) bool {
	t.Helper()
	routes, err := h.Netlink().RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == dst {
			return true
		}
	}
	return false
}

// needRouter skips where a kind of router cannot run.
func needRouter(t *testing.T, kind string) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	if err := router.Available(kind); err != nil {
		t.Skip(err)
	}
}

func TestDrills_haveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range names(drills) {
		if seen[name] || strings.ContainsAny(name, ", ") {
			t.Errorf("drill name %q", name)
		}
		seen[name] = true
	}
}
