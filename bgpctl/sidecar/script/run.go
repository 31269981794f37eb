package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// maxOutput bounds what is kept of a program's output, in octets. The
	// neighbours times the prefixes of a node fill a part of it.
	maxOutput = 256 << 10

	// maxSaid bounds what of it a log line or an error repeats, in octets.
	maxSaid = 400

	// pipeWait is how long a descendant that has survived may hold the output.
	pipeWait = 100 * time.Millisecond
)

// run runs argv with input and returns what it printed. At the end of ctx it
// is killed, with all it has started.
func run(ctx context.Context, argv []string, input string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeWait
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("killed after %v", limit)
	case err == nil && out.over:
		err = fmt.Errorf("printed more than %d octets", maxOutput)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", argv[0], err, brief(string(out.kept)))
	}
	return string(out.kept), nil
}

// output keeps the first maxOutput octets, and takes the rest.
type output struct {
	kept []byte
	over bool
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	room := maxOutput - len(o.kept)
	o.over = o.over || len(b) > room
	o.kept = append(o.kept, b[:min(len(b), room)]...)
	return len(b), nil
}

// brief is the beginning of what a program said, on one line.
func brief(said string) string {
	said = strings.Join(strings.Fields(said[:min(len(said), 2*maxSaid)]), " ")
	return said[:min(len(said), maxSaid)]
}

// executable says why the file cannot be run.
func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return errors.New(file + " is not a program")
	}
	return nil
}
