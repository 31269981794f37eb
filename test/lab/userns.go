//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"proxima/test/netns"
)

// inUserNamespace marks the second start of the lab, inside a user namespace
// of its own.
const inUserNamespace = "PROXIMA_LAB_USERNS"

// enterUserNamespace returns nil where network namespaces can be made, and
// starts the lab again inside a user namespace where only that allows it; then
// it does not return. Otherwise its error says what to do.
func enterUserNamespace() error {
	err := netns.Available()
	if err == nil {
		return nil
	}
	if os.Getenv(inUserNamespace) != "" {
		return fmt.Errorf("%w: this system restricts user namespaces too", err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inUserNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGTERM,
	}
	// The terminal's ctrl-C reaches the child by itself; this process only waits.
	signal.Ignore(os.Interrupt)
	runErr := cmd.Run()
	exited, ok := errors.AsType[*exec.ExitError](runErr)
	switch {
	case ok:
		os.Exit(exited.ExitCode())
	case runErr != nil:
		return fmt.Errorf("%w, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0): %w", err, runErr)
	}
	os.Exit(0)
	return nil
}
