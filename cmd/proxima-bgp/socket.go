package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"proxima/cmd/internal/place"
	"proxima/config"
	"proxima/netsetup"
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

// checkPlaces says which sockets, files and routes serve could not put where they
// are to be, on this host and as this user. It changes nothing, and may run beside a
// sidecar.
func checkPlaces(c *config.Sidecar, lines config.Lines) (wrong, lesser []error) {
	wrong, lesser = place.Check(lines.Has,
		place.Wanted{Key: "control.socket", Path: c.Control.Socket, Look: func(path string) error {
			err := place.Socket(path)
			if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) == filepath.Dir(c.Socket) {
				return nil // it is made for the other
			}
			return err
		}},
		place.Wanted{Key: "state_file", Path: c.StateFile, Look: place.File})
	if err := checkSocket(c.Socket); err != nil {
		wrong = append(wrong, err)
	}
	if c.Speaker == "kernel" {
		if err := netsetup.CheckCapability(); err != nil {
			wrong = append(wrong, fmt.Errorf("speaker: kernel: %w", err))
		}
	}
	return wrong, lesser
}

// checkSocket says why serve could not take the socket, without which it does
// not start.
func checkSocket(socket string) error {
	dir, err := filepath.Dir(socket), place.Socket(socket)
	if errors.Is(err, fs.ErrNotExist) {
		if err := place.Directory(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("socket: %s is absent and cannot be made: %w", dir, err)
		}
		return nil
	}
	if lock, wrong := os.Lstat(socket + ".lock"); err == nil && wrong == nil && !lock.Mode().IsRegular() {
		err = fmt.Errorf("%s.lock is there and is not a file", socket)
	}
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}
