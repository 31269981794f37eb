package snapshot

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"proxima/cache"
	"proxima/clock"
)

var name = []byte("\x03www\x07example\x00")

func mustCache(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mustFile is a file at a path, for a cache with one answer.
func mustFile(t *testing.T, path string) (f File, logs *observer.ObservedLogs) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.", dns.TypeA)
	rr, err := dns.NewRR("www.example. 300 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	m.Response, m.Answer = true, []dns.RR{rr}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	a, err := cache.NewAnswer(packet, cache.Meta{At: clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	f, logs = mustEmpty(t, path)
	f.Cache.Put(a)
	return f, logs
}

// mustEmpty is a file at a path, for a cache with nothing.
func mustEmpty(t *testing.T, path string) (File, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	return File{Path: path, Cache: mustCache(t), Rests: DigestOf("here"), MaxAge: time.Hour, Log: zap.New(core)}, logs
}

// said is the last line of the log, with its error.
func said(logs *observer.ObservedLogs) string {
	all := logs.All()
	if len(all) == 0 {
		return ""
	}
	last := all[len(all)-1]
	text, _ := last.ContextMap()["error"].(string)
	return last.Message + ": " + text
}

func TestFile_servesOneStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	f, logs := mustFile(t, path)
	f.Save()
	if got := said(logs); got != "cache was saved: " {
		t.Errorf("said %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	next, logs := mustEmpty(t, path)
	next.Restore()
	if got := said(logs); got != "cache was restored: " || next.Cache.Get(name, dns.TypeA, dns.ClassINET) == nil {
		t.Errorf("said %q; %d answers", got, next.Cache.Stats().Entries)
	}
	crashed, logs := mustEmpty(t, path)
	crashed.Restore()
	if got := said(logs); got != "cache begins empty: there is no snapshot: " || crashed.Cache.Stats().Entries != 0 {
		t.Errorf("said %q; %d answers", got, crashed.Cache.Stats().Entries)
	}
}

func TestFile_Restore_refuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, f *File)
		want   string
	}{
		{"a file that others may write", func(t *testing.T, f *File) { must(t, os.Chmod(f.Path, 0o620)) }, "its mode is 0620"},
		{"a file of somebody else", func(t *testing.T, f *File) {
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			must(t, os.Chown(f.Path, 12345, 0))
		}, "owned by user 12345"},
		{"a FIFO", func(t *testing.T, f *File) {
			must(t, os.Remove(f.Path))
			must(t, syscall.Mkfifo(f.Path, 0o600))
		}, "is a FIFO, not a regular file"},
		{"a directory", func(t *testing.T, f *File) {
			must(t, os.Remove(f.Path))
			must(t, os.Mkdir(f.Path, 0o700))
		}, "is a directory, not a regular file"},
		{"half a file", func(t *testing.T, f *File) { must(t, os.Truncate(f.Path, 150)) }, "checksum"},
		{"a file of other settings", func(_ *testing.T, f *File) { f.Rests = DigestOf("there") }, "other settings"},
		{"an old file", func(_ *testing.T, f *File) { f.MaxAge = -1 }, "want at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cache")
			f, _ := mustFile(t, path)
			f.Save()
			next, logs := mustEmpty(t, path)
			tt.change(t, &next)
			next.Restore()
			if got := said(logs); !strings.HasPrefix(got, "snapshot of the cache was not used: ") || !strings.Contains(got, tt.want) {
				t.Errorf("said %q, want %q", got, tt.want)
			}
			if n := next.Cache.Stats().Entries; n != 0 {
				t.Errorf("%d answers", n)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("what was not used is gone: %v", err)
			}
		})
	}
}

func TestFile_Save_refuses(t *testing.T) {
	tests := []struct {
		name   string
		there  string
		change func(t *testing.T, path string)
		want   string // "" = it saves
	}{
		{"nothing there", "", func(t *testing.T, path string) { must(t, os.Remove(path)) }, ""},
		{"an empty file", "", nil, ""},
		{"an old snapshot, of which half is there", cache.SnapshotTitle + "...", nil, ""},
		{"something else", "www.example. IN A 192.0.2.1\n", nil, "not written over"},
		{"something that begins alike", cache.SnapshotTitle[:7] + "\n", nil, "not written over"},
		{"a directory that is gone", "", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cache")
			must(t, os.WriteFile(path, []byte(tt.there), 0o600))
			if tt.change != nil {
				tt.change(t, path)
			}
			f, logs := mustFile(t, path)
			f.Save()
			got, _ := os.ReadFile(path)
			if tt.want == "" {
				if !strings.HasPrefix(string(got), cache.SnapshotTitle) || said(logs) != "cache was saved: " {
					t.Errorf("said %q", said(logs))
				}
				return
			}
			if !strings.Contains(said(logs), tt.want) || string(got) != tt.there {
				t.Errorf("said %q, want %q; the file is %q", said(logs), tt.want, got)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile_nowhere(t *testing.T) {
	f, logs := mustFile(t, "")
	f.Restore()
	f.Save()
	if logs.Len() != 0 {
		t.Errorf("said %q", said(logs))
	}
}

func TestFile_Save_toAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("proxima-test", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("needs a file system of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "cache")
	f, logs := mustFile(t, path)
	f.Save()
	before, err := os.ReadFile(path)
	must(t, err)
	_ = os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 64<<10), 0o600)
	f.Save()
	if got := said(logs); !strings.Contains(got, "no space left") {
		t.Errorf("said %q", got)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the old one is not as it was: %v", err)
	}
}
