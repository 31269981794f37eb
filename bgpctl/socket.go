package bgpctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A sidecar that is away is dialled again after minBackOff, then twice that,
// up to maxBackOff: a sidecar that restarts is found within 2 s, one that is
// absent costs nothing.
const (
	minBackOff = 100 * time.Millisecond
	maxBackOff = 2 * time.Second
)

// A Socket is the Link over a unixpacket socket: one datagram for a lease, one
// for its reply. It connects when it is first used and again when the sidecar
// has gone. Methods may be called from several goroutines.
type Socket struct {
	path  string
	lease Lease // identity of this process; immutable after Dial
	last  atomic.Pointer[Reply]

	mu      sync.Mutex // guards what follows
	conn    *net.UnixConn
	seq     uint64
	backOff time.Duration
	retry   time.Time // not dialled before
	cause   error     // of the last failed dial
	closed  bool
}

// Dial returns the Link to the sidecar that listens at path. It does not need
// the sidecar yet.
func Dial(path string) *Socket {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte("unknown")
	}
	return &Socket{path: path, lease: Lease{
		BootID: strings.TrimSpace(string(boot)),
		PID:    os.Getpid(),
		Start:  time.Now().UnixNano(),
	}}
}

// Hold sends one lease and waits for its reply until ctx is done, but no longer
// than the lease lasts. A connection on which the reply is late stays open,
// because its end would withdraw the route; a late reply is skipped by the next
// Hold.
func (s *Socket) Hold(ctx context.Context, want Wanted, lease time.Duration) (Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	s.seq++
	l := s.lease
	l.Seq, l.TTL = s.seq, lease.Milliseconds()
	l.Wish, l.Prefixes, l.Check, l.Reason, l.Queries = want.Wish, want.Prefixes, want.Check, want.Reason, want.Queries
	datagram, err := l.Encode()
	if err != nil {
		return Reply{}, fmt.Errorf("lease: %w", err)
	}
	r, err := s.exchange(ctx, datagram)
	switch {
	case err != nil && isEnd(err):
		return Reply{}, fmt.Errorf("%w: %w", ErrEnded, err)
	case err != nil:
		return Reply{}, fmt.Errorf("sidecar: %w", err)
	}
	s.last.Store(&r)
	if r.Error != "" {
		return r, fmt.Errorf("sidecar: %s", r.Error)
	}
	return r, nil
}

// isEnd reports whether err shows that nobody is at the other end. A sidecar
// that hangs has its socket still, and lets nothing of this happen.
func isEnd(err error) bool {
	for _, end := range []error{io.EOF, syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ENOENT} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// exchange sends the datagram, over a new connection if the one there was has
// ended since, and waits for the reply.
func (s *Socket) exchange(ctx context.Context, datagram []byte) (Reply, error) {
	fresh := s.conn == nil
	r, err := s.try(ctx, datagram)
	if err == nil || fresh || s.conn != nil {
		return r, err
	}
	return s.try(ctx, datagram)
}

// try is one exchange. It closes the connection on any error but a late reply.
func (s *Socket) try(ctx context.Context, datagram []byte) (Reply, error) {
	if err := s.connect(ctx); err != nil {
		return Reply{}, err
	}
	r, err := s.converse(ctx, datagram)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.conn.Close()
		s.conn = nil
	}
	return r, err
}

func (s *Socket) connect(ctx context.Context) error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.conn != nil:
		return nil
	case time.Now().Before(s.retry):
		return s.cause
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", s.path)
	if err != nil {
		s.backOff = min(max(2*s.backOff, minBackOff), maxBackOff)
		s.retry, s.cause = time.Now().Add(s.backOff), err
		return err
	}
	s.conn, s.backOff = conn.(*net.UnixConn), 0
	return nil
}

func (s *Socket) converse(ctx context.Context, datagram []byte) (Reply, error) {
	conn := s.conn
	deadline, _ := ctx.Deadline() // the zero time is no deadline
	if err := conn.SetDeadline(deadline); err != nil {
		return Reply{}, err
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
		close(ended)
	})
	defer func() {
		if !stop() {
			<-ended // or it would cut the next Hold short
		}
	}()
	if _, err := conn.Write(datagram); err != nil {
		return Reply{}, err
	}
	buf := make([]byte, MaxDatagram+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return Reply{}, err
		}
		r, err := ParseReply(buf[:n])
		if err != nil {
			return Reply{}, err
		}
		if r.Seq == s.seq {
			return r, nil
		}
	}
}

// State returns the last reply, or false if there was none yet.
func (s *Socket) State() (Reply, bool) {
	if r := s.last.Load(); r != nil {
		return *r, true
	}
	return Reply{}, false
}

// Close ends the connection, upon which the sidecar withdraws.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
