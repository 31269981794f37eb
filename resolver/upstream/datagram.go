package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file never block, so they are made without telling the
// runtime, which would have to be ready to run other goroutines meanwhile: a
// tenth of a microsecond each, of which a question has several.

// A rawAddr is the address of a socket in the form in which the kernel has it.
type rawAddr struct {
	octets [unix.SizeofSockaddrInet6]byte
	length uint32
}

// put writes a.
func (r *rawAddr) put(a netip.AddrPort) {
	if a.Addr().Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&r.octets)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Addr: a.Addr().As4(),
		}
		r.length = unix.SizeofSockaddrInet4
	} else {
		*(*unix.RawSockaddrInet6)(unsafe.Pointer(&r.octets)) = unix.RawSockaddrInet6{
			Family: unix.AF_INET6, Addr: a.Addr().As16(), Scope_id: zoneOf(a.Addr()),
		}
		r.length = unix.SizeofSockaddrInet6
	}
	r.octets[2], r.octets[3] = byte(a.Port()>>8), byte(a.Port())
}

// get reads what the kernel wrote: a sender, without zone.
func (r *rawAddr) get() netip.AddrPort {
	port := uint16(r.octets[2])<<8 | uint16(r.octets[3])
	switch r.length {
	case unix.SizeofSockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(r.octets[4:8])), port)
	case unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(r.octets[8:24])), port)
	}
	return netip.AddrPort{}
}

// bind binds s to a, and has the kernel draw a port.
func (s *socket) bind(a netip.AddrPort) error {
	s.addr.put(a)
	return s.call(unix.SYS_BIND, "bind")
}

// connect connects s to a. If it has no port, the kernel draws one.
func (s *socket) connect(a netip.AddrPort) error {
	s.addr.put(a)
	err := s.call(unix.SYS_CONNECT, "connect")
	if errors.Is(err, unix.EAGAIN) { // which would pass for the end of a wait
		return fmt.Errorf("connect: no port is free: %w", unix.EADDRINUSE)
	}
	return err
}

// disconnect takes from s the other end and the port, after which nothing
// reaches it. The address that it is bound to stays.
func (s *socket) disconnect() error {
	clear(s.addr.octets[:]) // AF_UNSPEC
	s.addr.length = unix.SizeofSockaddrInet4
	return s.call(unix.SYS_CONNECT, "disconnect")
}

func (s *socket) call(trap uintptr, name string) error {
	_, _, errno := unix.RawSyscall(trap, uintptr(s.fd), uintptr(unsafe.Pointer(&s.addr.octets)), uintptr(s.addr.length))
	if errno != 0 {
		return fmt.Errorf("%s: %w", name, errno)
	}
	return nil
}

// send sends one datagram.
func (s *socket) send(packet []byte) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(packet))), uintptr(len(packet)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("send: %w", errno)
	}
	return nil
}

// receive takes one datagram, if there is any; else the error is EAGAIN.
func (s *socket) receive(buf []byte) (n int, from netip.AddrPort, errno syscall.Errno) {
	s.addr.length = uint32(len(s.addr.octets))
	size, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0,
		uintptr(unsafe.Pointer(&s.addr.octets)), uintptr(unsafe.Pointer(&s.addr.length)))
	if errno != 0 {
		return 0, from, errno
	}
	return int(size), s.addr.get(), 0
}
