package sidecar

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"proxima/bgpctl"
)

// dialEnv makes the test's own program a stranger that connects to the socket
// it names, sends a lease and tells by its exit status whether it got a reply.
const dialEnv = "PROXIMA_TEST_DIAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(dialEnv); path != "" {
		os.Exit(stranger(path))
	}
	os.Exit(m.Run())
}

const answered, hungUp, broken = 0, 7, 8

func stranger(path string) int {
	c, err := net.Dial("unixpacket", path)
	if err != nil {
		return broken
	}
	c.SetDeadline(time.Now().Add(patience))
	datagram, _ := bgpctl.Lease{Seq: 1, TTL: 1000, Wish: bgpctl.Up, Prefixes: prefixes}.Encode()
	if _, err := c.Write(datagram); errors.Is(err, syscall.EPIPE) {
		return hungUp
	}
	switch _, err := c.Read(make([]byte, bgpctl.MaxDatagram)); {
	case err == nil:
		return answered
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return hungUp
	}
	return broken
}

func TestSidecar_hangs_up_on_a_stranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run a process as another user")
	}
	const nobody = 65534
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	self := filepath.Join(dir, "stranger")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, newRecorder())
	o.Path = filepath.Join(dir, "bgp.sock")
	start(t, o)
	os.Chmod(o.Path, 0o666) // so that SO_PEERCRED is what decides
	cmd := exec.Command(self)
	cmd.Dir = dir
	cmd.Env = []string{dialEnv + "=" + o.Path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != hungUp {
		t.Errorf("exit status = %d, want %d", got, hungUp)
	}
}
