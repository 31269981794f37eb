package admin

import (
	"net"
	"slices"
	"sync"
)

// A listener has maxConns connections at most. For one more the oldest makes
// room, whatever it does: a request takes milliseconds, so that only those who
// hold a connection lose it, and they keep nobody else out.
type listener struct {
	net.Listener

	mu    sync.Mutex // guards conns
	conns []*conn    // the oldest first
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= maxConns {
		_ = l.conns[0].Conn.Close() // its goroutine sees that, and calls Close
		l.conns = l.conns[1:]
	}
	n := &conn{Conn: c, of: l}
	l.conns = append(l.conns, n)
	return n, nil
}

// A conn leaves its listener when it is closed.
type conn struct {
	net.Conn
	of *listener
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	c.of.conns = slices.DeleteFunc(c.of.conns, func(o *conn) bool { return o == c })
	c.of.mu.Unlock()
	return c.Conn.Close()
}
