package memory

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestFind(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name  string
		files map[string]string
		host  uint64
		want  Room
	}{
		{"no cgroups", nil, 512 * mib, Room{512 * mib, "host"}},
		{"nothing is known", nil, 0, Room{0, "host"}},
		{"version 2, its own limit", map[string]string{
			"proc/self/cgroup":                      "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":          "268435456\n",
			"sys/fs/cgroup/a/memory.max":            "max\n",
			"sys/fs/cgroup/memory/memory.max":       "1\n", // of another one
			"sys/fs/cgroup/memory.limit_in_bytes":   "1\n",
			"sys/fs/cgroup/a/b/child/memory.max":    "1\n",
			"sys/fs/cgroup/a/b/memory.swap.current": "1\n",
		}, 512 * mib, Room{256 * mib, "cgroup"}},
		{"version 2, the limit of one above", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max":   "134217728\n",
		}, 512 * mib, Room{128 * mib, "cgroup"}},
		{"version 2, where throttling begins", map[string]string{
			"proc/self/cgroup":            "0::/a\n",
			"sys/fs/cgroup/a/memory.max":  "268435456\n",
			"sys/fs/cgroup/a/memory.high": "134217728\n",
		}, 512 * mib, Room{128 * mib, "cgroup"}},
		{"version 2 in a container that sees the host's path", map[string]string{
			"proc/self/cgroup":         "0::/system.slice/docker-1.scope\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 512 * mib, Room{256 * mib, "cgroup"}},
		{"version 1 beside version 2", map[string]string{
			"proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/b\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
		}, 512 * mib, Room{256 * mib, "cgroup"}},
		{"a limit above what the host has", map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 512 * mib, Room{512 * mib, "host"}},
		{"lines that are none", map[string]string{"proc/self/cgroup": "memory\n\n:\n"}, 512 * mib, Room{512 * mib, "host"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := find(root, tt.host); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPlan_Warning(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name    string
		cache   int64
		room    Room
		limit   int64
		warning string
	}{
		{"enough", 256 * mib, Room{8192 * mib, "host"}, 576 * mib, ""},
		{"unknown", 256 * mib, Room{0, "host"}, 576 * mib, ""},
		{"just enough", 256 * mib, Room{640 * mib, "cgroup"}, 576 * mib, ""},
		{"not enough", 256 * mib, Room{600 * mib, "cgroup"}, 540 * mib,
			"256 MiB need 576 MiB with all else; the cgroup has 600 MiB, of which 540 can be used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlan(tt.cache, tt.room)
			if p.limit != tt.limit || p.Warning() != tt.warning {
				t.Errorf("limit %d, warning %q; want %d, %q", p.limit, p.Warning(), tt.limit, tt.warning)
			}
		})
	}
}

func TestPlan_grow(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name           string
		cache, answers int64
		want           int
	}{
		{"an empty cache", 256 * mib, 0, 400},
		{"a quarter of it", 256 * mib, 64 * mib, 145},
		{"half of it", 256 * mib, 128 * mib, 84},
		{"a full one", 256 * mib, 256 * mib, 22},
		{"a large one, half full", 4096 * mib, 2048 * mib, 12},
		{"a large one, full", 4096 * mib, 4096 * mib, 6},
		{"more than full", 4096 * mib, 5000 * mib, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NewPlan(tt.cache, Room{}).grow(tt.answers); got != tt.want {
				t.Errorf("%d %%, want %d", got, tt.want)
			}
		})
	}
}

// The environment wins; and what is set holds.
func TestPlan_setsWhatNobodySaid(t *testing.T) {
	const limit, grow = 1 << 40, 321
	tests := []struct {
		name        string
		environment string
		limit       int64
		grow        int
		said        string
	}{
		{"nothing is said", "", 576 << 20, 22, "5 to 400"},
		{"the limit is", "GOMEMLIMIT", limit, 22, "5 to 400"},
		{"the growth is", "GOGC", 576 << 20, grow, "321"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			oldLimit, oldGrow := debug.SetMemoryLimit(limit), debug.SetGCPercent(grow)
			t.Cleanup(func() {
				debug.SetMemoryLimit(oldLimit)
				debug.SetGCPercent(oldGrow)
			})
			t.Setenv("GOMEMLIMIT", "")
			t.Setenv("GOGC", "")
			if tt.environment != "" {
				t.Setenv(tt.environment, "321")
			}
			core, logs := observer.New(zapcore.InfoLevel)
			p := NewPlan(256<<20, Room{})
			p.Set(zap.New(core))
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*followEvery)
				defer cancel()
				began := time.Now()
				p.Follow(ctx, func() int64 { // fills up at once
					if time.Since(began) < followEvery {
						return 0
					}
					return 256 << 20
				})
			})
			holds := debug.SetGCPercent(100)
			if got := debug.SetMemoryLimit(-1); got != tt.limit || holds != tt.grow {
				t.Errorf("%d and %d hold, want %d and %d", got, holds, tt.limit, tt.grow)
			}
			if got := logs.All()[0].ContextMap()["gogc"]; got != tt.said {
				t.Errorf("the log says %v, want %s", got, tt.said)
			}
		})
	}
}
