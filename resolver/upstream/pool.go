package upstream

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxStreams bounds the TCP connections that are open at once, those that
// nobody uses included: 1,024, each with a descriptor and a goroutine, some 8
// MiB. A new one takes the place of the one that has been idle for longest; if
// all are in use, a question finds ErrBusy.
const maxStreams = 1_024

// A pool holds the streams of a client. Its lock guards their state as well: it
// is held for moments, and questions over TCP are few.
type pool struct {
	mu   sync.Mutex
	all  map[*stream]struct{}
	open map[netip.AddrPort][]*stream // those that take more questions
	idle time.Duration                // idleStream, but in tests; immutable
}

func newPool() pool {
	return pool{all: make(map[*stream]struct{}), open: make(map[netip.AddrPort][]*stream), idle: idleStream}
}

// join gives q a place on a connection to the server, which is made if there is
// none with room, or if q wants to be alone. If a connection is returned, q is
// to be sent on it by the caller; else that happens when it is made.
func (c *Client) join(to netip.AddrPort, q *query, alone bool) (*waiter, net.Conn, error) {
	p := &c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !alone {
		for _, s := range p.open[to] {
			if len(s.waiting) < maxPipeline {
				c.count.reused.Add(1)
				return s.add(q), s.conn, nil
			}
		}
	}
	if len(p.all) >= maxStreams && !p.evict() {
		return nil, nil, ErrBusy
	}
	ctx, end := context.WithCancel(c.closing)
	s := &stream{to: to, end: end, waiting: make(map[uint16]*waiter), closed: alone}
	s.idle = time.AfterFunc(p.idle, func() { p.expire(s) })
	p.all[s] = struct{}{}
	if !alone {
		p.open[to] = append(p.open[to], s)
	}
	w := s.add(q)
	c.running.Add(1)
	go c.run(ctx, s)
	return w, nil, nil
}

// add makes q wait on s, under an ID that is free there.
func (s *stream) add(q *query) *waiter {
	id := q.packet[:2]
	for _, taken := s.waiting[binary.BigEndian.Uint16(id)]; taken; _, taken = s.waiting[binary.BigEndian.Uint16(id)] {
		_, _ = rand.Read(id) // never fails
	}
	w := &waiter{q: q, s: s, done: make(chan outcome, 1)}
	s.waiting[binary.BigEndian.Uint16(id)] = w
	s.asked++
	s.live++
	s.idle.Stop()
	return w
}

// connected gives s its connection, and returns what was asked meanwhile.
func (p *pool) connected(s *stream, conn net.Conn) (frames [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.conn = conn
	for _, w := range s.waiting {
		if w != nil {
			frames = append(frames, frame(w.q.packet))
		}
	}
	return frames
}

// deliver hands packet to the one who waits for it. If nobody does, the verdict
// says why, and stray whether nobody ever did.
func (p *pool) deliver(s *stream, packet []byte) (v verdict, stray bool) {
	if len(packet) < headerLen {
		return malformed, true
	}
	id := binary.BigEndian.Uint16(packet)
	p.mu.Lock()
	defer p.mu.Unlock()
	w, known := s.waiting[id]
	switch {
	case !known:
		return wrongID, true
	case w == nil: // too late
		delete(s.waiting, id)
		return wrongID, false
	case w.q.judge(packet) == wrongQuestion:
		return wrongQuestion, true
	}
	delete(s.waiting, id)
	w.done <- outcome{packet: packet}
	p.release(s)
	return genuine, false
}

// leave ends the wait of w. Its stream takes no more questions: it may be dead
// without our knowing.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := binary.BigEndian.Uint16(w.q.packet)
	if w.s.waiting[id] != w {
		return // something came in the last moment
	}
	w.s.waiting[id] = nil
	p.close(w.s)
	p.release(w.s)
}

// release counts one less who waits on s, and sees to it that s ends: at once if
// it takes no more questions, or else soon.
func (p *pool) release(s *stream) {
	s.live--
	switch {
	case s.live > 0:
	case s.closed:
		s.end()
	default:
		s.since = time.Now()
		s.idle.Reset(p.idle)
	}
}

// close makes s take no more questions.
func (p *pool) close(s *stream) {
	if s.closed {
		return
	}
	s.closed = true
	others := slices.DeleteFunc(p.open[s.to], func(o *stream) bool { return o == s })
	if p.open[s.to] = others; len(others) == 0 {
		delete(p.open, s.to)
	}
}

// expire ends s if it is idle.
func (p *pool) expire(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.live == 0 {
		p.close(s)
		s.end()
	}
}

// evict ends the stream that has been idle for longest, if one is, and reports
// that. Its descriptor is free in a moment.
func (p *pool) evict() bool {
	var oldest *stream
	for s := range p.all {
		if s.live == 0 && !s.closed && (oldest == nil || s.since.Before(oldest.since)) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	p.close(oldest)
	oldest.end()
	return true
}

// fail ends s for a reason.
func (p *pool) fail(s *stream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close(s)
	if s.cause == nil {
		s.cause = err
	}
	s.end()
}

// bury takes s out of the pool, and tells those who wait that it ended: for
// err, if no reason was known before.
func (p *pool) bury(s *stream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close(s)
	delete(p.all, s)
	s.idle.Stop()
	if s.cause == nil {
		s.cause = err
	}
	again := s.asked > 1 && errors.Is(s.cause, errHungUp)
	for _, w := range s.waiting {
		if w != nil {
			w.done <- outcome{err: s.cause, again: again}
		}
	}
	clear(s.waiting)
}

// size is how many connections are open.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}
