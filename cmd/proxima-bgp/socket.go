package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketDirMode lets everybody find the socket, whose own mode says who may
// connect. It is what systemd gives a RuntimeDirectory.
const socketDirMode = 0o755

// makeSocketDir makes the directory of the socket, but not those above it: a
// host without /run/proxima is new, one without /run is a mistake in the path.
func makeSocketDir(socket string) error {
	err := os.Mkdir(filepath.Dir(socket), socketDirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}

// checkSocket says why serve could not take the socket on this host, as this
// user. It changes nothing, and may run beside a sidecar.
func checkSocket(socket string) error {
	dir := filepath.Dir(socket)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		if err := writable(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("socket: %s is absent and cannot be made: %w", dir, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case !info.IsDir():
		return fmt.Errorf("socket: %s is not a directory", dir)
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	for file, mode := range map[string]fs.FileMode{socket: fs.ModeSocket, socket + ".lock": 0} {
		if info, err := os.Lstat(file); err == nil && info.Mode().Type() != mode {
			return fmt.Errorf("socket: %s is there and is something else", file)
		}
	}
	return nil
}

// writable says why this user cannot make files in dir.
func writable(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}
