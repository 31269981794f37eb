package anchor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mustUpkeep returns one with a key in each state, and its anchors.
func mustUpkeep(tb testing.TB) Upkeep {
	tb.Helper()
	u := Begin(".", Keys())
	for i := range stateNames {
		k := Key{DNSKEY: mustPair(tb).DNSKEY, State: State(i), Since: start}
		k.DNSKEY.Hdr.Ttl = 0
		if k.State == AddPend || k.State == Revoked {
			k.Until = start.Add(30 * day)
		}
		u.Keys = append(u.Keys, k)
	}
	u.Next, u.Retry = start.Add(90*time.Minute), 2*time.Hour
	return u
}

// mustSave saves to a new file.
func mustSave(tb testing.TB, u Upkeep) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "root.keys")
	if err := u.Save(file); err != nil {
		tb.Fatal(err)
	}
	return file
}

// alone fails if there is anything beside the file.
func alone(t *testing.T, file string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(file) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestLoad_returnsWhatWasSaved(t *testing.T) {
	want := mustUpkeep(t)
	file := mustSave(t, Begin(".", Keys()))
	if err := want.Save(file); err != nil { // over the first
		t.Fatal(err)
	}
	got, err := Load(file, ".", Keys())
	if err != nil {
		t.Fatal(err)
	}
	if string(got.text()) != string(want.text()) || !reflect.DeepEqual(got.Keys, want.Keys) {
		t.Errorf("loaded\n%s\nwant\n%s", got.text(), want.text())
	}
	alone(t, file)
}

func TestLoad_withoutAFileBeginsAnew(t *testing.T) {
	file := mustSave(t, mustUpkeep(t))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file, ".", Keys())
	if err != nil || !reflect.DeepEqual(got, Begin(".", Keys())) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.Save(file); err != nil {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestLoad_refuses(t *testing.T) {
	good := string(mustUpkeep(t).text())
	key := good[strings.Index(good, "key valid"):]
	key = key[:strings.Index(key, "\n")]
	other := mustPair(t)
	tests := []struct{ name, text, want string }{
		{"an empty file", "", "not whole"},
		{"another file", "root:x:0:0\n", "line 1: no state file"},
		{"a file cut short", good[:len(good)-4], "not whole"},
		{"half a file", good[:len(good)/2], ""},
		{"a file with more after the end", good + "zone .\n", "more after the end"},
		{"a file without zone", strings.Replace(good, "zone .\n", "", 1), "line 5"},
		{"two zones", strings.Replace(good, "zone .\n", "zone .\nzone .\n", 1), "line 4"},
		{"another zone", string(Begin("example.", nil).text()), "example."},
		{"a bad digest", strings.Replace(good, "E06D", "E06", 1), "digest"},
		{"an unknown state", strings.Replace(good, "key valid", "key golden", 1), `"golden" is no state`},
		{"a bad time", strings.Replace(good, "next 2026-", "next 2O26-", 1), "line 4"},
		{"a bad wait", strings.Replace(good, "retry 2h0m0s", "retry soon", 1), "line 5"},
		{"a pending key without its time", strings.Replace(good, "key pending 2026-03-01T00:00:00Z 2026-03-31T00:00:00Z", "key pending 2026-03-01T00:00:00Z -", 1), "until -"},
		{"a valid key with a time", strings.Replace(good, "key valid 2026-03-01T00:00:00Z -", "key valid 2026-03-01T00:00:00Z 2026-03-01T00:00:00Z", 1), "a key that is valid until"},
		{"a key that is none", strings.Replace(good, " 257 3 15 ", " 257 3 15 =", 1), "line"},
		{"a revoked key as if it were not", strings.Replace(good, " 257 3 ", " 385 3 ", 1), "flags 385"},
		{"too many keys", strings.Replace(good, "end\n", strings.Repeat(key+"\n", maxTracked)+"end\n", 1), "more than 32 keys"},
		{"an unknown word", strings.Replace(good, "end\n", "trust all\nend\n", 1), `"trust all" is not understood`},
		{"other anchors", string(Begin(".", []*dns.DS{other.ds(t)}).text()), "begun from other trust anchors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "root.keys")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Load(file, ".", Keys())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want %q and the file's name in it", err, tt.want)
			}
			if !reflect.DeepEqual(got, Begin(".", Keys())) {
				t.Errorf("begun from %+v", got)
			}
		})
	}
}

func TestLoad_takesTheAnchorsOfNow(t *testing.T) {
	a, b, learned := mustPair(t), mustPair(t), mustPair(t)
	u := Begin(".", []*dns.DS{a.ds(t), b.ds(t)})
	for _, p := range []pair{a, b, learned} {
		u.Keys = append(u.Keys, Key{DNSKEY: p.DNSKEY, State: Valid, Since: start})
	}
	tests := []struct {
		name    string
		anchors []pair
		states  string // of a, b, learned
		trusted int
	}{
		{"the same", []pair{a, b}, "valid valid valid", 3},
		{"one is taken back", []pair{b}, "- valid valid", 2},
		{"one that was learned is built in by now", []pair{b, learned}, "- valid valid", 2},
		{"one is new", []pair{a, b, mustPair(t)}, "valid valid valid", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var anchors []*dns.DS
			for _, p := range tt.anchors {
				anchors = append(anchors, p.ds(t))
			}
			got, err := Load(mustSave(t, u), ".", anchors)
			if err != nil || got.states(a, b, learned) != tt.states || len(got.Trusted()) != tt.trusted {
				t.Errorf("%s, %d trusted, %v; want %s, %d", got.states(a, b, learned), len(got.Trusted()), err, tt.states, tt.trusted)
			}
		})
	}
}

func TestLoad_ofADirectory(t *testing.T) {
	dir := t.TempDir()
	got, err := Load(dir, ".", Keys())
	if err == nil || !reflect.DeepEqual(got, Begin(".", Keys())) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.Save(dir); err == nil {
		t.Error("saved over a directory")
	}
}

func TestState_ofAFIFO(t *testing.T) {
	// Whoever opens one to read waits for a writer, and keeps the daemon from starting.
	file := filepath.Join(t.TempDir(), "keys")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "anchor: state file: " + file + ": is a FIFO, not a regular file"
	u, err := Load(file, ".", Keys())
	if err == nil || err.Error() != want || !reflect.DeepEqual(u, Begin(".", Keys())) {
		t.Errorf("Load = %+v, %v, want what begins anew, and %s", u, err, want)
	}
	if err := u.Save(file); err == nil || err.Error() != want {
		t.Errorf("Save = %v, want %s", err, want)
	}
}

func TestUpkeep_Save_leavesOtherFilesAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	const text = "root:x:0:0\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mustUpkeep(t).Save(file); err == nil || !strings.Contains(err.Error(), "no state file") {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("now it is %q, %v", got, err)
	}
	alone(t, file)
}

func TestUpkeep_Save_replacesWhatACrashLeft(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "half a file": stateTitle + "\nzone"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "root.keys")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := mustUpkeep(t).Save(file); err != nil {
				t.Error(err)
			}
			if _, err := Load(file, ".", Keys()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUpkeep_Save_withoutItsDirectory(t *testing.T) {
	err := mustUpkeep(t).Save(filepath.Join(t.TempDir(), "gone", "root.keys"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestUpkeep_Save_toAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("proxima-test", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("needs a file system of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	file, u := filepath.Join(dir, "root.keys"), mustUpkeep(t)
	if err := u.Save(file); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	later := u
	later.Next = u.Next.Add(time.Hour)
	if err := later.Save(file); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want no space", err)
	}
	if got, err := Load(file, ".", Keys()); err != nil || !got.Next.Equal(u.Next) {
		t.Errorf("the old file is gone: %+v, %v", got, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	alone(t, file)
	if err := later.Save(file); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func FuzzReadState(f *testing.F) {
	f.Add(string(mustUpkeep(f).text()))
	f.Add(string(Begin("example.", nil).text()))
	f.Fuzz(func(t *testing.T, text string) {
		u, err := readState(strings.NewReader(text))
		if err != nil {
			return
		}
		again, err := readState(strings.NewReader(string(u.text())))
		if err != nil || string(again.text()) != string(u.text()) {
			t.Errorf("read again: %v\n%s\nwant\n%s", err, again.text(), u.text())
		}
	})
}
