package server

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A udpSocket is the packetConn of the kernel: recvmmsg(2) and sendmmsg(2) on
// a socket that the runtime polls. Senders' addresses and control messages
// stay in the form in which the kernel gave them, and go back so.
type udpSocket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	ipv6 bool
	any  bool // bound to a wildcard: the source of each reply must be said

	in  *messages // owned by the reader
	out sync.Pool // of *messages
}

// messages are the arguments and results of one system call. They are kept,
// with the functions that make the call, so that no call allocates.
type messages struct {
	headers [batchSize]unix.Mmsghdr
	iovecs  [batchSize]unix.Iovec
	count   int // headers to use; after the call, messages moved
	errno   syscall.Errno

	recv    func(fd uintptr) (done bool)
	recvNow func(fd uintptr)
	send    func(fd uintptr)
}

func newMessages() *messages {
	m := new(messages)
	for i := range m.headers {
		m.headers[i].Hdr.Iov = &m.iovecs[i]
		m.headers[i].Hdr.SetIovlen(1)
	}
	m.recv = func(fd uintptr) bool {
		m.call(unix.SYS_RECVMMSG, fd)
		return m.errno != unix.EAGAIN
	}
	m.recvNow = func(fd uintptr) { m.call(unix.SYS_RECVMMSG, fd) }
	m.send = func(fd uintptr) { m.call(unix.SYS_SENDMMSG, fd) }
	return m
}

// call makes one of the two system calls, which never waits, and so it is not
// announced to the scheduler, see docs/adr/0017.
func (m *messages) call(trap, fd uintptr) {
	n, _, errno := unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&m.headers[0])), uintptr(m.count), 0, 0, 0)
	m.errno = errno
	if errno == 0 {
		m.count = int(n)
	}
}

// newUDPSocket makes a packetConn of conn.
func newUDPSocket(conn *net.UDPConn, bound netip.Addr) (*udpSocket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	u := &udpSocket{conn: conn, raw: raw, ipv6: bound.Is6(), any: bound.IsUnspecified(), in: newMessages()}
	u.out.New = func() any { return newMessages() }
	return u, nil
}

func (u *udpSocket) ReadBatch(packets []*packet, wait bool) (int, error) {
	m := u.in
	m.count = min(len(packets), batchSize)
	for i, p := range packets[:m.count] {
		m.iovecs[i].Base = &p.buffer[0]
		m.iovecs[i].SetLen(len(p.buffer))
		h := &m.headers[i].Hdr
		h.Name, h.Namelen = &p.name[0], uint32(len(p.name))
		if u.any {
			h.Control = &p.control[0]
			h.SetControllen(len(p.control))
		}
	}
	var err error
	if wait {
		err = u.raw.Read(m.recv)
	} else {
		err = u.raw.Control(m.recvNow)
	}
	if err != nil {
		return 0, err
	}
	if m.errno != 0 {
		return 0, m.errno
	}
	for i, p := range packets[:m.count] {
		u.receive(p, &m.headers[i])
	}
	return m.count, nil
}

// receive notes in p what the kernel said about it.
func (u *udpSocket) receive(p *packet, h *unix.Mmsghdr) {
	p.n = int(h.Len)
	p.cut = h.Hdr.Flags&unix.MSG_TRUNC != 0
	p.nameLen = h.Hdr.Namelen
	p.portZero = p.name[2] == 0 && p.name[3] == 0
	if u.ipv6 {
		p.from = netip.AddrFrom16([16]byte(p.name[8:24]))
	} else {
		p.from = netip.AddrFrom4([4]byte(p.name[4:8]))
	}
	if u.any {
		p.ctrlLen = int(h.Hdr.Controllen)
		u.answerFrom(p.control[:p.ctrlLen])
	}
}

// answerFrom turns the control message that tells which address was asked, the
// only one these sockets receive, into one that makes it the source of the
// reply. The interface becomes 0, so that the routing table chooses the way
// out, which need not be the way in; a link-local address means nothing
// without its interface and keeps it.
func (u *udpSocket) answerFrom(control []byte) {
	data := unix.CmsgLen(0)
	switch {
	case !u.ipv6 && len(control) >= data+unix.SizeofInet4Pktinfo:
		clear(control[data : data+4]) // Ifindex comes first, then Spec_dst, the address that was asked
	case u.ipv6 && len(control) >= data+unix.SizeofInet6Pktinfo:
		asked := netip.AddrFrom16([16]byte(control[data : data+16]))
		if !asked.IsLinkLocalUnicast() {
			clear(control[data+16 : data+20]) // Ifindex comes last
		}
	}
}

func (u *udpSocket) WriteBatch(packets []*packet) (failed int) {
	m := u.out.Get().(*messages)
	defer u.out.Put(m)
	for len(packets) > 0 {
		m.count = min(len(packets), batchSize)
		for i, p := range packets[:m.count] {
			u.address(m, i, p)
		}
		if err := u.raw.Control(m.send); err != nil {
			return failed + len(packets)
		}
		switch {
		case m.errno == unix.EAGAIN: // the socket's buffer is full; waiting would stop the queries too
			return failed + len(packets)
		case m.errno != 0: // what the first message met; nothing was sent
			failed++
			packets = packets[1:]
		default:
			packets = packets[m.count:]
		}
	}
	return failed
}

// address makes the reply of p the i-th message to send.
func (u *udpSocket) address(m *messages, i int, p *packet) {
	m.iovecs[i].Base = &p.reply[0]
	m.iovecs[i].SetLen(len(p.reply))
	h := &m.headers[i].Hdr
	h.Name, h.Namelen = &p.name[0], p.nameLen
	if u.any && p.ctrlLen > 0 {
		h.Control = &p.control[0]
		h.SetControllen(p.ctrlLen)
	} else {
		h.Control = nil
		h.SetControllen(0)
	}
}

func (u *udpSocket) Wake() {
	u.conn.SetReadDeadline(time.Unix(1, 0)) // fails only if the socket is closed, which wakes too
}

// Drops reads the socket's own count, the last of the numbers of SO_MEMINFO.
func (u *udpSocket) Drops() uint64 {
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	u.raw.Control(func(fd uintptr) {
		size := uint32(unsafe.Sizeof(info))
		unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return uint64(info[unix.SK_MEMINFO_DROPS])
}

func (u *udpSocket) Close() error { return u.conn.Close() }
