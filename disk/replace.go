// Package disk puts files in the place of others, whole or not at all, and opens
// them without waiting for anybody.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts what write writes in the place of a file, in one step: into a new
// one beside it first, ".NAME.new", which takes its place when it is safe on the
// disk. So an error, as from a full disk, leaves the old one as it was. What a
// crash has left beside the file is written over. What is no regular file is an
// error: a device would be gone for all. One process at a time may replace a file.
func Replace(file string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(file); err == nil {
		if err := regular(file, info); err != nil {
			return err
		}
	}
	dir := filepath.Dir(file)
	fresh := filepath.Join(dir, "."+filepath.Base(file)+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}()
	err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, file); err != nil {
		return err
	}
	// The file is there; that its name is on the disk may wait.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
