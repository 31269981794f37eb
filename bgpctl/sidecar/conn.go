package sidecar

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"proxima/bgpctl"
)

const (
	// maxConns bounds the connections, so that one user cannot take all
	// descriptors. There is one node, and its successor during an upgrade.
	maxConns = 8

	// idleLimit ends a connection that says nothing, three times as long as
	// the longest lease.
	idleLimit = 3 * bgpctl.MaxLease

	// replyLimit bounds the write of a reply to a node that does not read.
	replyLimit = 100 * time.Millisecond

	// acceptPause is waited after Accept has failed, as for want of descriptors.
	acceptPause = 100 * time.Millisecond
)

// A conn is one connection and who is at its other end.
type conn struct {
	*net.UnixConn
	cred    *unix.Ucred
	refused string // why its last lease did not count; owned by Serve
}

// A message is a lease, or the end of its connection.
type message struct {
	conn  *conn
	at    time.Duration // of receipt
	lease bgpctl.Lease
	err   error // why the connection has ended; nil = lease is one
}

func (m message) process() process {
	return process{boot: m.lease.BootID, pid: m.lease.PID, start: m.lease.Start, seq: m.lease.Seq}
}

// accept lets in who may connect, until the socket is closed.
func (s *Sidecar) accept() {
	for {
		c, err := s.socket.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("connection not accepted", zap.Error(err))
			time.Sleep(acceptPause)
			continue
		}
		if err := s.admit(c); err != nil {
			s.counters.rejected.Add(1)
			s.log.Warn("connection rejected", zap.Error(err))
			c.Close()
		}
	}
}

// admit starts the reader of c, or says why not.
func (s *Sidecar) admit(c *net.UnixConn) error {
	cred, err := credentials(c)
	if err != nil {
		return err
	}
	if cred.Uid != 0 && cred.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("user %d, process %d: may not announce", cred.Uid, cred.Pid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConns {
		return fmt.Errorf("process %d: there are %d connections", cred.Pid, maxConns)
	}
	select {
	case <-s.done:
		return net.ErrClosed
	default:
	}
	n := &conn{UnixConn: c, cred: cred}
	s.conns[n] = true
	s.readers.Go(func() { s.read(n) })
	return nil
}

// read hands the leases of c to Serve, and at last its end.
func (s *Sidecar) read(c *conn) {
	end := s.readLeases(c)
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.send(message{conn: c, at: s.now(), err: end})
}

// readLeases returns why c ended.
func (s *Sidecar) readLeases(c *conn) error {
	buf := make([]byte, bgpctl.MaxDatagram+1)
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleLimit)); err != nil {
			return fmt.Errorf("connection of process %d: %w", c.cred.Pid, err)
		}
		n, err := c.Read(buf)
		at := s.now()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("process %d has gone", c.cred.Pid)
		}
		if err != nil {
			return fmt.Errorf("connection of process %d: %w", c.cred.Pid, err)
		}
		l, err := bgpctl.ParseLease(buf[:n])
		if err != nil {
			s.counters.garbage.Add(1)
			s.log.Warn("connection ended: not a lease", zap.Int32("pid", c.cred.Pid), zap.Error(err))
			return fmt.Errorf("process %d: %w", c.cred.Pid, err)
		}
		if !s.send(message{conn: c, at: at, lease: l}) {
			return net.ErrClosed
		}
	}
}

// send hands m to Serve; false if Serve has ended.
func (s *Sidecar) send(m message) bool {
	select {
	case s.messages <- m:
		return true
	case <-s.done:
		return false
	}
}

// reply answers the lease of m; refused says why it does not count, or nil.
func (s *Sidecar) reply(m message, refused error) {
	r := bgpctl.Reply{Seq: m.lease.Seq, State: s.a.State, Since: s.since(s.now()), Reason: s.a.Reason, Announced: s.announced()}
	r.SessionsUp, r.Sessions = s.o.Sessions()
	switch {
	case refused != nil:
		r.Refused, r.Error = true, refused.Error()
	case s.failed != nil:
		r.Error = s.failed.Error()
	}
	datagram, err := r.Encode()
	if err == nil {
		m.conn.SetWriteDeadline(time.Now().Add(replyLimit))
		_, err = m.conn.Write(datagram)
	}
	if err != nil {
		s.log.Warn("reply not sent", zap.Int32("pid", m.conn.cred.Pid), zap.Error(err))
		m.conn.Close() // its reader tells Serve
	}
}
