package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a daemon on 127.0.0.1 in a process of its own.
type process struct {
	*exec.Cmd
	web   string
	ended chan error
}

func startProcess(t *testing.T, change func(*exec.Cmd)) *process {
	t.Helper()
	web := freePort(t)
	cmd := exec.Command("/proc/self/exe", "serve", "-c", mustWrite(t, fmt.Sprintf(`
listen: {addresses: [127.0.0.1], port: %d}
admin: {listen: "127.0.0.1:%d"}
recursion: {stub: [{zone: ., servers: ["127.0.0.1@1"]}]}
health: {every: 100ms, rise: 1}
`, freePort(t), web)))
	cmd.Env = append(os.Environ(), asProxima+"=1")
	change(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, fmt.Sprintf("http://127.0.0.1:%d", web), make(chan error, 1)}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	await(t, "the process is ready", p.ready)
	return p
}

func (p *process) ready() bool {
	status, _ := get(p.web + "/readyz")
	return status == http.StatusOK
}

// mustEnd asks the process to end and fails unless it ends well.
func (p *process) mustEnd(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		p.ended <- nil
		if err != nil {
			t.Errorf("the process ended with %v, want nil", err)
		}
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

func TestServe_needsNobodyWhoReadsItsLog(t *testing.T) {
	tests := []struct {
		name   string
		reader func(r, w *os.File) error
	}{
		{"the reader has gone", func(r, _ *os.File) error { return r.Close() }},
		{"the reader hangs", func(_, w *os.File) error { return fill(w) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := tt.reader(r, w); err != nil {
				t.Fatal(err)
			}
			p := startProcess(t, func(cmd *exec.Cmd) { cmd.Stderr = w })
			w.Close()
			p.mustEnd(t)
		})
	}
}

// fill writes into a pipe until it takes no more.
func fill(w *os.File) error {
	for {
		_ = w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := w.Write(make([]byte, 4096)); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestServe_ignoresAHangup(t *testing.T) {
	var log bytes.Buffer
	p := startProcess(t, func(cmd *exec.Cmd) { cmd.Stderr = &log })
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		time.Sleep(20 * time.Millisecond) // a program that ends needs a moment
		await(t, "ready after SIGHUP", p.ready)
	}
	p.mustEnd(t)
	if n := strings.Count(log.String(), "SIGHUP ignored"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
}
