package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode lets the user and the group of the sidecar connect, nobody else.
const socketMode = 0o660

// A socket is a listener together with the lock that shows that it is alive.
type socket struct {
	*net.UnixListener
	lock *os.File
}

// listen takes path. The lock beside it, which the kernel frees when its owner
// dies, tells a socket that is alive from one that a killed sidecar has left;
// only the latter is removed, and nothing else than a socket ever is.
func listen(path string) (*socket, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	l, err := listenLocked(path, lock)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &socket{UnixListener: l, lock: lock}, nil
}

func listenLocked(path string, lock *os.File) (*net.UnixListener, error) {
	err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: another sidecar listens there", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", lock.Name(), err)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s: is there and is not a socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// The file gets its mode from the socket, less the umask: it is never open
	// to more than socketMode, and Chmod gives back what the umask took.
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), socketMode) }); e != nil {
			return e
		}
		return err
	}}
	l, err := c.Listen(context.Background(), "unixpacket", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// close removes the socket's file before it frees the lock.
func (s *socket) close() error { return errors.Join(s.UnixListener.Close(), s.lock.Close()) }

// credentials returns who is at the other end.
func credentials(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return nil, e
	}
	return cred, err
}

// boottime is the time since boot, including what the host slept: a virtual
// machine that is resumed finds its lease run out. Go's monotonic clock stands
// still meanwhile.
func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("sidecar: CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
