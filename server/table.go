package server

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Clients are counted by the prefix that one of them usually holds: an IPv4
// address, or an IPv6 /56 (RFC 6177).
const (
	clientBits4 = 32
	clientBits6 = 56
)

// clientOf returns the prefix by which the client at a is counted.
func clientOf(a netip.Addr) netip.Prefix {
	a = a.WithZone("").Unmap()
	bits := clientBits6
	if a.Is4() {
		bits = clientBits4
	}
	client, _ := a.Prefix(bits) // fails only if a is invalid or has a zone
	return client
}

// A table holds the open TCP connections and decides who may open another.
type table struct {
	// Immutable after init.
	most, mostPerClient int
	pressed, full       int // connections above which idle ones go sooner, or go at once
	idle, idlePressed   time.Duration
	tally               *connTally

	mu       sync.Mutex // guards what follows; may be taken while a conn's is held, never before it
	conns    map[*conn]*list.Element
	clients  map[netip.Prefix]int
	resting  list.List // of rest, those that rest longest first
	draining bool
	closed   bool
}

// A rest is a connection that has no query in flight, since at.
type rest struct {
	conn *conn
	at   time.Time
}

// Pressure, in parts of MaxConns: from three quarters on, connections that have
// rested for IdlePressed make room; from nine tenths on, the one that has
// rested longest does, however short that is.
const (
	pressedPart = 0.75
	fullPart    = 0.9
)

// init prepares t for connections with the limits of o.
func (t *table) init(o Options, tally *connTally) {
	t.most, t.mostPerClient = o.MaxConns, o.MaxConnsPerClient
	t.pressed, t.full = int(pressedPart*float64(t.most)), int(fullPart*float64(t.most))
	t.idle, t.idlePressed = o.Idle, o.IdlePressed
	t.tally = tally
	t.conns = make(map[*conn]*list.Element)
	t.clients = make(map[netip.Prefix]int)
}

// admit adds c, and closes idle connections if room is short. It returns false
// if c may not stay.
func (t *table) admit(c *conn, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.clients[c.client] >= t.mostPerClient {
		t.tally.clientFull.Add(1)
		return false
	}
	t.makeRoom(at)
	if len(t.conns) >= t.most {
		t.tally.full.Add(1)
		return false
	}
	t.clients[c.client]++
	t.conns[c] = t.resting.PushBack(rest{c, at})
	return true
}

// makeRoom closes the connections that have to go before another comes.
func (t *table) makeRoom(at time.Time) {
	for len(t.conns) >= t.pressed {
		oldest := t.resting.Front()
		if oldest == nil {
			return
		}
		r := oldest.Value.(rest)
		if len(t.conns) < t.full && at.Sub(r.at) <= t.idlePressed {
			return
		}
		t.tally.evicted.Add(1)
		t.drop(r.conn)
		r.conn.tcp.Close()
	}
}

// drop takes c out of t, if it is there.
func (t *table) drop(c *conn) {
	element, ok := t.conns[c]
	if !ok {
		return
	}
	if element != nil {
		t.resting.Remove(element)
	}
	delete(t.conns, c)
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
}

// remove takes c out of t when it has ended.
func (t *table) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(c)
}

// noteRest notes that c has had no query in flight since at.
func (t *table) noteRest(c *conn, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	element, ok := t.conns[c]
	switch {
	case !ok:
	case element == nil:
		t.conns[c] = t.resting.PushBack(rest{c, at})
	default:
		element.Value = rest{c, at}
		t.resting.MoveToBack(element)
	}
}

// noteWork notes that c has a query in flight.
func (t *table) noteWork(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if element := t.conns[c]; element != nil {
		t.resting.Remove(element)
		t.conns[c] = nil
	}
}

// keepalive returns how long a client may now keep a connection idle, for the
// option of RFC 7828; 0 asks it to close.
func (t *table) keepalive() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.draining:
		return 0
	case len(t.conns) >= t.pressed:
		return t.idlePressed
	}
	return t.idle
}

// size returns the number of open connections.
func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// drain tells all connections, and those to come, to end soon.
func (t *table) drain() {
	t.mu.Lock()
	t.draining = true
	open := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.drain()
	}
}

// isDraining reports whether drain was called.
func (t *table) isDraining() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.draining
}

// close closes all connections and admits none from now on.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		c.tcp.Close()
	}
}
