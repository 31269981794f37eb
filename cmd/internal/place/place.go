// Package place says why a program could not put a socket or a file where its
// configuration wants it, before the program tries.
//
// What is asked is asked for this user and this moment. Nothing is changed, and
// the program may be running.
package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxName is the longest name of a file that can be replaced, in octets: Linux
// has NAME_MAX (255, limits.h), and a file is written as ".NAME.new" first.
const maxName = 255 - len(".") - len(".new")

// File says why a file could not be written at path and put in the place of
// the one that is there, or nil.
func File(path string) error {
	if name := filepath.Base(path); len(name) > maxName {
		return fmt.Errorf("the name of the file has %d octets, at most %d can be replaced", len(name), maxName)
	}
	if err := Directory(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Stat(path) // a link leads to what is read
	return inTheWay(path, info, err, 0, "file")
}

// Socket says why a Unix socket could not be bound to path, or nil.
func Socket(path string) error {
	if err := Directory(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Lstat(path) // a link is not removed, as a dead socket is
	return inTheWay(path, info, err, fs.ModeSocket, "socket")
}

// Directory says why this user could not make files in dir, or nil. The error is
// fs.ErrNotExist if there is no such directory.
func Directory(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return &absent{dir}
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: %w for this user", dir, err)
	}
	return nil
}

// inTheWay says what is at path instead of what is wanted there, if anything is.
func inTheWay(path string, info fs.FileInfo, err error, want fs.FileMode, name string) error {
	switch {
	case err != nil:
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode().Type() != want:
		return fmt.Errorf("%s is there and is not a %s", path, name)
	}
	return nil
}

// A Wanted is a place that a key of the configuration names, and what looks at
// it.
type Wanted struct {
	Key, Path string // no path: nothing is wanted
	Look      func(path string) error
}

// Check says of each place why it cannot be had: wrong are those that the
// operator asked for by name, lesser those that are there by default.
func Check(named func(key string) bool, all ...Wanted) (wrong, lesser []error) {
	for _, w := range all {
		if w.Path == "" {
			continue
		}
		switch err := w.Look(w.Path); {
		case err == nil:
		case named(w.Key):
			wrong = append(wrong, fmt.Errorf("%s: %w", w.Key, err))
		default:
			lesser = append(lesser, fmt.Errorf("%s: %w", w.Key, err))
		}
	}
	return wrong, lesser
}

// absent is the error of a directory that is not there.
type absent struct{ dir string }

func (a *absent) Error() string { return "there is no directory " + a.dir }

// Is makes it fs.ErrNotExist.
func (a *absent) Is(target error) bool { return target == fs.ErrNotExist }
