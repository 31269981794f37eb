package disk

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// oddities returns what may stand where a file should, and what to call it.
func oddities(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	fifo, socket, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return map[string]string{dir: "a directory", fifo: "a FIFO", link: "a FIFO", socket: "a socket", "/dev/zero": "a device"}
}

func TestOpen_refusesWhatIsNoFile(t *testing.T) {
	for file, what := range oddities(t) {
		f, err := Open(file)
		if err == nil {
			f.Close()
			t.Errorf("%s was opened", file)
			continue
		}
		// The kernel itself opens no socket.
		if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), what+", not a regular file") && !errors.Is(err, syscall.ENXIO) {
			t.Errorf("%s: error %v, want one that names the file and says %q", file, err, what)
		}
	}
}

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if _, err := Open(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestReplace_refusesWhatIsNoFile(t *testing.T) {
	for file, what := range oddities(t) {
		if file == "/dev/zero" { // not to be lost if this test finds something
			continue
		}
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		err = Replace(file, 0o600, func(io.Writer) error { t.Errorf("%s: written", file); return nil })
		if want := file + ": is " + what + ", not a regular file"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if after, err := os.Stat(file); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s was replaced: %v", file, err)
		}
	}
}
