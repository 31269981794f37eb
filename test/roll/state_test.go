//go:build linux

package roll

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// asked is what a Proxima must prove, or not.
var asked = dns.Question{Name: "www.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}

// A fault is something wrong with a state file before the daemon starts.
type fault struct {
	name    string
	file    func(good []byte) []byte // what is in it; nil: there is none
	builtIn bool                     // the operator has no trust anchors
	rcode   string
	logged  string // "" means no complaint
	kept    bool   // the file stays as it was; otherwise it is whole a moment later
}

var faults = []fault{
	{"no file", nil, false, "NOERROR", "", false},
	{"a good file", whole, false, "NOERROR", "", false},
	{"an empty file, as a crash leaves it", func([]byte) []byte { return []byte{} }, false, "NOERROR", "trust anchors were begun anew", false},
	{"half a file", func(good []byte) []byte { return good[:len(good)/2] }, false, "NOERROR", "trust anchors were begun anew", false},
	{"octets of a broken disk", func(good []byte) []byte {
		return append(good[:200:200], bytes.Repeat([]byte{0xff, 0}, 50_000)...)
	}, false, "NOERROR", "trust anchors were begun anew", false},
	{"somebody else's file", func([]byte) []byte { return []byte("; my notes\n") }, false, "NOERROR", "is no state file, and is not written over", true},
	{"a file that says nothing for the built-in keys", whole, true, "SERVFAIL", "begun from other trust anchors", false},
	{"a broken file and the built-in keys", func(good []byte) []byte { return good[:100] }, true, "SERVFAIL", "trust anchors were begun anew", false},
}

func whole(good []byte) []byte { return good }

func TestProxima_survivesItsStateFile(t *testing.T) {
	w, program := mustWorld(t)
	k := mustRing(t, w.dir)
	w.stage(t, act{day: 0, root: k.rsa(list(k.first), list(k.first)), child: k.unrolled()})
	addresses := 10
	start := func(t *testing.T, state string, trusted []*key, around ...string) *resolver {
		t.Helper()
		addresses++
		name := fmt.Sprintf("proxima%d", addresses)
		return w.mustRun(t)(w.startProxima(name, program, fmt.Sprintf("127.0.0.%d:53", addresses), state, trusted, around...))
	}
	first := start(t, filepath.Join(w.dir, "good.keys"), list(k.first))
	w.mustKnow(t, first, k.first)
	good, err := os.ReadFile(first.state)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			file := filepath.Join(w.dir, fmt.Sprintf("fault%d.keys", i))
			var before []byte
			if f.file != nil {
				before = f.file(good)
				if err := os.WriteFile(file, before, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			trusted := list(k.first)
			if f.builtIn {
				trusted = nil
			}
			w.mustBear(t, start(t, file, trusted), f, before, k.first)
		})
	}
	t.Run("a folder that is not there", func(t *testing.T) {
		r := start(t, filepath.Join(w.dir, "nowhere", "root.keys"), list(k.first))
		w.mustSay(t, r, "NOERROR")
		w.mustLog(t, r, "trust anchors were not saved")
	})
	t.Run("a file system that is read only", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, filepath.Join(dir, "root.keys"), list(k.first), mounted(dir, "ro")...)
		w.mustSay(t, r, "NOERROR")
		w.mustLog(t, r, "read-only file system")
	})
	t.Run("a disk that is full for a while", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, filepath.Join(dir, "root.keys"), list(k.first), mounted(dir, "size=64k")...)
		dir = filepath.Join("/proc", fmt.Sprint(r.program.Process.Pid), "root", dir) // as it sees it
		r.state = filepath.Join(dir, "root.keys")
		w.mustFillAndFree(t, r, dir, k)
	})
	t.Run("a file that was written when the clock was years ahead", func(t *testing.T) {
		file := filepath.Join(w.dir, "ahead.keys")
		ahead := regexp.MustCompile(`(?m)^next .*$`).ReplaceAll(good, []byte("next 2099-12-31T00:00:00Z"))
		if err := os.WriteFile(file, ahead, 0o644); err != nil {
			t.Fatal(err)
		}
		r := start(t, file, list(k.first))
		w.stage(t, act{day: 52, root: k.rsa(list(k.first, k.second), list(k.first)), child: k.unrolled()})
		if err := await("the root's keys are looked at again", func() bool { return r.refreshed(w.moved) }); err != nil {
			t.Error(err, w.logs())
		}
	})
}

// mounted are the words before a command that has a file system of its own,
// in memory, on a folder.
func mounted(dir, options string) []string {
	return []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs -o "$1" none "$0" && shift && exec "$@"`, dir, options}
}

// mustBear fails the test if a fault does to Proxima what it must not.
func (w *world) mustBear(t *testing.T, r *resolver, f fault, before []byte, k *key) {
	t.Helper()
	w.mustSay(t, r, f.rcode)
	if f.logged != "" {
		w.mustLog(t, r, f.logged)
	} else if text, err := os.ReadFile(w.logFile(r.name)); err != nil || bytes.Contains(text, []byte("trust anchors")) {
		t.Errorf("it complains: %s, %v", text, err)
	}
	switch {
	case f.kept:
		if after, err := os.ReadFile(r.state); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the file is %q, %v; it was %q", after, err, before)
		}
	case !f.builtIn:
		w.mustKnow(t, r, k)
	}
}

// mustFillAndFree fills the disk before a day on which Proxima has something to
// write, and makes room again before another.
func (w *world) mustFillAndFree(t *testing.T, r *resolver, dir string, k *ring) {
	t.Helper()
	w.mustKnow(t, r, k.first)
	before, err := os.ReadFile(r.state)
	if err != nil {
		t.Fatal(err)
	}
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	root := k.rsa(list(k.first, k.second), list(k.first))
	w.stage(t, act{day: 5, root: root, child: k.unrolled()})
	w.mustLog(t, r, "no space left on device")
	w.mustSay(t, r, "NOERROR")
	if after, err := os.ReadFile(r.state); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file is %q, %v; it was %q", after, err, before)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	// What the file missed the memory had: the thirty days began with the fifth.
	w.stage(t, act{day: 36, root: root, child: k.unrolled()})
	w.mustKnow(t, r, k.second)
}

// mustSay fails the test if a resolver does not answer so, with AD if at all.
func (w *world) mustSay(t *testing.T, r *resolver, rcode string) {
	t.Helper()
	fit := func(v verdict) bool { return v.rcode == rcode && v.secure == (rcode == "NOERROR") }
	if v := w.insist(r.at, asked, fit); !fit(v) {
		t.Errorf("%s, EDE %v; want %s", v, v.ede, rcode)
	}
}

// mustKnow fails the test if a resolver's file does not come to trust a key.
func (w *world) mustKnow(t *testing.T, r *resolver, k *key) {
	t.Helper()
	if err := await("the file has the key as valid", func() bool { return r.stateOf(k) == "valid" }); err != nil {
		text, _ := os.ReadFile(r.state)
		t.Fatalf("%v; the file: %s\n%s", err, text, w.logs())
	}
}

// mustLog fails the test if a resolver does not come to log some words.
func (w *world) mustLog(t *testing.T, r *resolver, words string) {
	t.Helper()
	var text []byte
	err := await(r.name+" logs "+words, func() bool {
		text, _ = os.ReadFile(w.logFile(r.name))
		return strings.Contains(string(text), words)
	})
	if err != nil {
		t.Errorf("%v: %s", err, text)
	}
}
