package signals

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asProgram makes a run of the test's own binary be a program that says what
// it catches, until it is asked to end.
const asProgram = "PROXIMA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	s := Catch()
	fmt.Println("ready")
	for {
		select {
		case sig := <-s.Ends:
			fmt.Println("ends:", sig)
			return
		case <-s.Hangups:
			fmt.Println("ignored")
		}
	}
}

// A program runs with what it says.
type program struct {
	*exec.Cmd
	out *bufio.Reader
}

func mustStart(t *testing.T, change func(*exec.Cmd)) *program {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	change(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }) // only a failure takes so long
	t.Cleanup(func() {
		kill.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &program{cmd, bufio.NewReader(out)}
	p.says(t, "ready")
	return p
}

// says fails unless that is the next line.
func (p *program) says(t *testing.T, want string) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("the program says %q, %v; want %q", line, err, want)
	}
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestCatch(t *testing.T) {
	tests := []struct {
		name   string
		signal syscall.Signal
		want   string
	}{
		{"SIGTERM ends", syscall.SIGTERM, "ends: terminated"},
		{"SIGINT ends", syscall.SIGINT, "ends: interrupt"},
		{"SIGHUP does not", syscall.SIGHUP, "ignored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustStart(t, func(*exec.Cmd) {})
			p.signal(t, tt.signal)
			p.says(t, tt.want)
		})
	}
}

func TestCatch_SIGPIPEIsNothing(t *testing.T) {
	p := mustStart(t, func(*exec.Cmd) {})
	p.signal(t, syscall.SIGPIPE)
	p.signal(t, syscall.SIGTERM)
	p.says(t, "ends: terminated")
}

func TestCatch_theEndOfATerminalEnds(t *testing.T) {
	terminal, end := mustTerminal(t)
	p := mustStart(t, func(cmd *exec.Cmd) {
		cmd.Stdin = end
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	})
	end.Close()
	terminal.Close()
	p.says(t, "ends: hangup")
}

// mustTerminal returns both ends of a pseudo-terminal.
func mustTerminal(t *testing.T) (terminal, end *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { terminal.Close() })
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { end.Close() })
	return terminal, end
}
