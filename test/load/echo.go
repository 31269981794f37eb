//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"proxima/server/socket"
)

// echoEnv holds the address on which this program is the bare echo instead of
// what it otherwise is, and echoReadersEnv how many sockets share it.
const (
	echoEnv        = "PROXIMA_LOAD_ECHO"
	echoReadersEnv = "PROXIMA_LOAD_ECHO_READERS"
)

// echoBatch is how many datagrams one system call of the echo moves: as many as
// Proxima's.
const echoBatch = 64

// echoRoom is the room for one datagram, in octets: queries are shorter.
const echoRoom = 512

// echoIfAsked makes this program the echo if its environment says so. It does
// not return then.
func echoIfAsked() {
	address := os.Getenv(echoEnv)
	if address == "" {
		return
	}
	if err := serveEcho(address, os.Getenv(echoReadersEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveEcho sends every datagram back with the bit set that makes it a
// response, until it is killed. What it costs, the kernel costs.
func serveEcho(address, readers string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscan(readers, &count); err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(count + 1)
	loops, _ := errgroup.WithContext(context.Background())
	for range count {
		conn, err := socket.ListenUDP(at)
		if err != nil {
			return err
		}
		loops.Go(func() error { return echo(conn) })
	}
	return loops.Wait()
}

// echo has a thread of its own and blocks in the kernel: nothing here collects
// garbage, which that would hold up. Nor does the runtime poll the socket, since
// the kernel would tell it of each datagram that has left.
func echo(conn *net.UDPConn) error {
	runtime.LockOSThread()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	fail := raw.Control(func(polled uintptr) { fd, err = unix.Dup(int(polled)) })
	if err := cmp.Or(fail, err); err != nil {
		return err
	}
	conn.Close()
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	var headers [echoBatch]unix.Mmsghdr
	var iovecs [echoBatch]unix.Iovec
	var names [echoBatch]unix.RawSockaddrInet4
	var rooms [echoBatch][echoRoom]byte
	for i := range headers {
		iovecs[i].Base = &rooms[i][0]
		h := &headers[i].Hdr
		h.Iov, h.Name = &iovecs[i], (*byte)(unsafe.Pointer(&names[i]))
		h.SetIovlen(1)
	}
	for {
		for i := range iovecs {
			iovecs[i].SetLen(echoRoom)
			headers[i].Hdr.Namelen = unix.SizeofSockaddrInet4
		}
		count, errno := call(unix.SYS_RECVMMSG, fd, &headers, echoBatch, unix.MSG_WAITFORONE)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		for i := range count {
			rooms[i][2] |= 0x80
			iovecs[i].SetLen(int(headers[i].Len))
		}
		call(unix.SYS_SENDMMSG, fd, &headers, count, 0)
	}
}

// call makes a system call without telling the runtime, which would take a
// long one as a reason to start another thread.
func call(trap uintptr, fd int, headers *[echoBatch]unix.Mmsghdr, count int, flags uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(headers)), uintptr(count), flags, 0, 0)
	return int(n), errno
}
