package fetch

import (
	"context"
	"syscall"
	"time"

	"proxima/clock"
	"proxima/disk"
	"proxima/resolver/localroot"
)

// A stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

// followFile looks at the file and returns when to look again.
func (k *Keeper) followFile(context.Context) (next time.Time) {
	k.mu.Lock()
	if k.lost && k.readAt.IsZero() { // it may have been the clock that was wrong
		k.readAt = clock.Now()
	}
	k.lost = false
	k.mu.Unlock()
	k.ReadFile()
	return clock.Now().Add(lookPause)
}

// ReadFile puts the file in use if there is one and it has changed, or was
// refused and may be fit by now.
func (k *Keeper) ReadFile() {
	if k.File == "" {
		return
	}
	at, read := clock.Now(), false
	err := shielded(func() (err error) {
		read, err = k.readFile(at)
		return err
	})
	switch {
	case err != nil:
		k.refused++
		k.readAt = k.copy.Next(at, k.refused)
		k.fault(k.File, err)
	case read:
		k.refused, k.readAt = 0, time.Time{}
	}
}

// readFile puts the file in use, unless there is no reason to read it.
func (k *Keeper) readFile(at time.Time) (read bool, err error) {
	z, modified, err := k.open(at)
	if z == nil || err != nil {
		return false, err
	}
	until, err := k.verify(z, at)
	if err != nil {
		return true, err
	}
	return true, k.take(k.File, z, modified, until)
}

// open reads the file, unless there is no reason to. It returns when the file
// was written, which is when it was the newest.
func (k *Keeper) open(at time.Time) (z *localroot.Zone, modified time.Time, err error) {
	f, err := disk.Open(k.File)
	if err != nil {
		return nil, at, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, at, err
	}
	now := stamp{modified: info.ModTime(), size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		now.inode = s.Ino
	}
	if now == k.seen && (k.readAt.IsZero() || at.Before(k.readAt)) {
		return nil, at, nil
	}
	if now != k.seen {
		k.seen, k.refused = now, 0
	}
	if modified = info.ModTime(); modified.After(at) {
		modified = at
	}
	z, err = localroot.Read(f)
	return z, modified, err
}
