package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
)

// manager listens as systemd does, and returns what reads the next message.
func manager(t *testing.T) (next func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestReady(t *testing.T) {
	next := manager(t)
	Ready(zap.NewNop())
	if got := next(); got != "READY=1" {
		t.Errorf("it says %q", got)
	}
	Stopping(zap.NewNop())
	if got := next(); got != "STOPPING=1" {
		t.Errorf("it says %q", got)
	}
}

func TestAlive(t *testing.T) {
	next := manager(t)
	t.Setenv("WATCHDOG_USEC", "400000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	alive := Alive(zap.NewNop())
	began := time.Now()
	for range 3 {
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					alive()
				}
			}
		}()
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("it says %q", got)
		}
		close(stop)
		<-done
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("three times in %v: it is told too often", took)
	}
}

func TestAlive_whereNobodyAsks(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	Alive(zap.NewNop())()
	Ready(zap.NewNop())
}
