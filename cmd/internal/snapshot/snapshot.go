// Package snapshot keeps a cache over a restart.
//
// A clean stop saves the answers in a file, and the next start restores them
// while it serves already. A file serves one start: it is removed before the
// first of its answers is used, so that an answer that would crash the daemon
// does so once, and a daemon that has crashed begins with nothing. A file that is
// not whole, of other settings or too old is not used; one that is no snapshot, or
// that others could have written, is not even written over.
package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"proxima/cache"
	"proxima/clock"
	"proxima/disk"
)

// A File is where the answers of a cache are kept, and what they are good for.
type File struct {
	Path   string // empty = nowhere
	Cache  *cache.Cache
	Rests  cache.Digest  // what the answers rest on
	MaxAge time.Duration // after which none of them is alive
	Log    *zap.Logger
}

// DigestOf returns the digest of what answers rest on: whatever prints otherwise
// is something else.
func DigestOf(parts ...any) cache.Digest {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%+v\n", p)
	}
	return cache.Digest(sum.Sum(nil))
}

// Restore stores the answers of the file in the cache, and logs what came of it.
// Only Save has to wait for it.
func (f File) Restore() {
	if f.Path == "" {
		return
	}
	began := clock.Now()
	n, err := f.restore(began)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Log.Info("cache begins empty: there is no snapshot", zap.String("file", f.Path))
	case err != nil:
		f.Log.Warn("snapshot of the cache was not used", zap.String("file", f.Path), zap.Int("restored", n), zap.Error(err))
	default:
		f.Log.Info("cache was restored", zap.String("file", f.Path), zap.Int("answers", n), zap.Duration("took", clock.Since(began)))
	}
}

func (f File) restore(at time.Time) (int, error) {
	r, err := open(f.Path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	s, err := cache.OpenSnapshot(r, f.Rests, at, f.MaxAge)
	if err != nil {
		return 0, err
	}
	if err := os.Remove(f.Path); err != nil {
		return 0, err
	}
	return f.Cache.Restore(s, at)
}

// open opens a file that nobody but its owner, who is this user or root, can have
// written: its answers are believed, also what is said to be proven of them.
func open(path string) (*os.File, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		const others = 0o022
		owner := info.Sys().(*syscall.Stat_t).Uid
		switch {
		case info.Mode().Perm()&others != 0:
			err = fmt.Errorf("snapshot: others may write to it, its mode is %04o", info.Mode().Perm())
		case owner != 0 && int(owner) != os.Geteuid():
			err = fmt.Errorf("snapshot: it is owned by user %d", owner)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Save puts the answers in the file, and logs what came of it.
func (f File) Save() {
	if f.Path == "" {
		return
	}
	began := clock.Now()
	n, err := f.save(began)
	if err != nil {
		f.Log.Error("cache was not saved", zap.String("file", f.Path), zap.Error(err))
		return
	}
	f.Log.Info("cache was saved", zap.String("file", f.Path), zap.Int("answers", n), zap.Duration("took", clock.Since(began)))
}

func (f File) save(at time.Time) (saved int, err error) {
	if err := mayReplace(f.Path); err != nil {
		return 0, err
	}
	const private = 0o600
	err = disk.Replace(f.Path, private, func(w io.Writer) (err error) {
		saved, err = f.Cache.Save(w, f.Rests, at)
		return err
	})
	return saved, err
}

// mayReplace returns an error if the file is somebody else's.
func mayReplace(path string) error {
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	title := make([]byte, len(cache.SnapshotTitle))
	n, err := io.ReadFull(f, title)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if !bytes.HasPrefix([]byte(cache.SnapshotTitle), title[:n]) {
		return errors.New("snapshot: it is something else, and is not written over")
	}
	return nil
}
