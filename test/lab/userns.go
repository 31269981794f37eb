//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"proxima/test/netns"
)

// programsEnv names the directory of the built programs to a lab that was
// started by another one, inside a user namespace.
const programsEnv = "PROXIMA_LAB_PROGRAMS"

// enterUserNamespace runs the lab once more inside a user namespace, if
// network namespaces can be made only there, and reports whether it did. Its
// error says what to do where neither is allowed.
func enterUserNamespace(ctx context.Context, programs string) (entered bool, err error) {
	why := netns.Available()
	if why == nil {
		return false, nil
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), programsEnv+"="+programs)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); ran {
		return true, errors.New("the lab inside the user namespace failed, as it said")
	}
	if err != nil {
		return false, fmt.Errorf("%w, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0): %w", why, err)
	}
	return true, nil
}
