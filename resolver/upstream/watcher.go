package upstream

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxEvents is how many sockets are told at once that something has come.
const maxEvents = 128

// A watcher tells sockets when something has come. Each question has a socket to
// itself, for one datagram as a rule, so that what package net does for a
// connection that lasts would cost as much as the question itself. The sockets
// are watched by an epoll instance of their own; that one is watched by the
// runtime, as any other file.
type watcher struct {
	epoll *os.File
	fd    int // the epoll's

	mu      sync.Mutex        // guards sockets
	sockets map[int32]*socket // by descriptor
	ended   chan struct{}     // closed when run has returned
	raw     syscall.RawConn   // of epoll
}

// A socket is one that a watcher watches. It has one user at a time.
type socket struct {
	fd     int
	family int           // 0 for IPv4, 1 for IPv6
	ready  chan struct{} // has room for one: something may have come
	addr   rawAddr       // of the call that is made
	timer  *time.Timer   // wakes the user when its time is up; nil before the first wait

	packet  []byte        // what an outbox is to send
	state   atomic.Uint32 // of packet
	sendErr error         // set once state is sent
}

// wake tells the user of s to look.
func (s *socket) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// newWatcher returns a watcher that runs until close.
func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that os.NewFile hands it to the runtime
	}
	if err != nil {
		return nil, fmt.Errorf("upstream: epoll: %w", err)
	}
	w := &watcher{
		epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd,
		sockets: make(map[int32]*socket), ended: make(chan struct{}),
	}
	if w.raw, err = w.epoll.SyscallConn(); err != nil {
		return nil, fmt.Errorf("upstream: epoll: %w", err)
	}
	go w.run()
	return w, nil
}

// run tells sockets what has come, until close.
func (w *watcher) run() {
	defer close(w.ended)
	var events [maxEvents]unix.EpollEvent
	_ = w.raw.Read(func(fd uintptr) bool { // an error is the end
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return false
			}
			w.tell(events[:n])
			if n < len(events) {
				return false // what comes from now on is told anew
			}
		}
	})
}

// tell wakes those to whom something has come. One that has just taken a socket
// or a descriptor from another may be woken for nothing.
func (w *watcher) tell(events []unix.EpollEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		if s := w.sockets[events[i].Fd]; s != nil {
			s.wake()
		}
	}
}

// add watches s.
func (w *watcher) add(s *socket) error {
	w.mu.Lock()
	w.sockets[int32(s.fd)] = s
	w.mu.Unlock()
	return unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET | unix.EPOLLERR, Fd: int32(s.fd)})
}

// closeSocket closes s, which the kernel then watches no more.
func (w *watcher) closeSocket(s *socket) {
	w.mu.Lock()
	delete(w.sockets, int32(s.fd))
	w.mu.Unlock()
	_ = unix.Close(s.fd)
}

// wakeAll wakes everybody.
func (w *watcher) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sockets {
		s.wake()
	}
}

// close ends run.
func (w *watcher) close() {
	_ = w.epoll.Close()
	<-w.ended
}
