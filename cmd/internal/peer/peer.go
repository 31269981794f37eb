// Package peer says who listens at the other end of a Unix socket.
package peer

import (
	"net"

	"golang.org/x/sys/unix"
)

// Of returns the process that began to listen at the other end of conn, nil if
// the kernel does not say. In another PID namespace its number is 0.
func Of(conn *net.UnixConn) *unix.Ucred {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil || err != nil {
		return nil
	}
	return cred
}
