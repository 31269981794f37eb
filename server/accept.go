package server

import (
	"errors"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
)

// acceptPause is how long an acceptor rests after accept failed, for lack of
// files above all. 20 ms, not configurable: the backlog holds who comes
// meanwhile.
const acceptPause = 20 * time.Millisecond

// drainWindow is how long an acceptor or a connection that has to end goes on
// taking what comes. 20 ms, not configurable: what has arrived is read at
// once, and whoever writes just then is still heard.
const drainWindow = 20 * time.Millisecond

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// A listener is where TCP connections come from, and what came of them.
type listener struct {
	*net.TCPListener
	tally tally
}

// accept admits TCP connections until its listener is closed; or, after drain,
// those that have come.
func (s *Server) accept(l *listener) {
	defer l.Close() // whoever connects later is refused at once, and asks elsewhere
	draining, failing := false, false
	for {
		tcp, err := l.AcceptTCP()
		switch {
		case err == nil:
			failing = false
			s.admit(tcp, &l.tally)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if draining {
				return
			}
			draining = true
			l.SetDeadline(time.Now().Add(drainWindow))
		default:
			s.streams.acceptErr.Add(1)
			if !failing {
				failing = true
				s.o.Log.Warn("accepting TCP connections failed", zap.Stringer("address", l.Addr()), zap.Error(err))
			}
			time.Sleep(acceptPause)
		}
	}
}

// admit serves a connection, counting in t, or resets it if its client or all
// clients together hold too many.
func (s *Server) admit(tcp *net.TCPConn, t *tally) {
	at := time.Now()
	c := newConn(s, tcp, t, at)
	if !c.table.admit(c, at) {
		tcp.SetLinger(0)
		tcp.Close()
		return
	}
	s.streams.accepted.Add(1)
	if c.table.isDraining() { // which may have happened before c was there to be told
		c.drain()
	}
	s.tasks.Go(c.serve)
}
