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

const (
	// maxStreams bounds the TCP connections that are open at once, those that
	// nobody uses included: 1,024, each with a descriptor and a goroutine, some 8
	// MiB. Who wants one more takes the place of another, see stream.rank: servers
	// that accept and never answer hold each for 1.5 s, and would otherwise keep
	// honest ones out with 700 questions a second. If all are of use, a question
	// finds ErrBusy.
	maxStreams = 1_024

	// maxServerStreams bounds those to one server's address: 64, so that all that
	// have shared one connection (maxPipeline) may go on alone if it ends. RFC 7766
	// section 6.2.2 wants clients to make do with few. A question above that finds
	// ErrBusy.
	maxServerStreams = 64

	// silence is how long a connection that has brought replies may bring none to
	// those who wait before another server may have its place: 1 s, the time after
	// which TCP sends again what was lost (RFC 6298 section 2.1).
	silence = time.Second
)

// A pool holds the streams of a client. Its lock guards their state as well: it
// is held for moments, and questions over TCP are few.
type pool struct {
	mu   sync.Mutex
	all  map[*stream]struct{}
	open map[netip.AddrPort][]*stream // those that take more questions
	held map[netip.Addr]int           // how many of all are to one server
	idle time.Duration                // idleStream, but in tests; immutable
}

func newPool() pool {
	return pool{
		all: make(map[*stream]struct{}), open: make(map[netip.AddrPort][]*stream),
		held: make(map[netip.Addr]int), idle: idleStream,
	}
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
	if p.held[to.Addr()] >= maxServerStreams {
		c.count.crowded.Add(1)
		return nil, nil, ErrBusy
	}
	if len(p.all) >= maxStreams {
		asked, ok := p.evict(time.Now())
		if !ok {
			return nil, nil, ErrBusy
		}
		if asked {
			c.count.evicted.Add(1)
		}
	}
	ctx, end := context.WithCancel(c.closing)
	s := &stream{to: to, end: end, waiting: make(map[uint16]*waiter), closed: alone}
	s.idle = time.AfterFunc(p.idle, func() { p.expire(s) })
	p.all[s] = struct{}{}
	p.held[to.Addr()]++
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
	if s.live == 0 {
		s.since = time.Now()
	}
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
	s.heard, s.since = true, time.Now()
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

// A rank says how readily a stream makes room for another.
type rank uint8

// Ranks, the readiest first.
const (
	unused rank = iota // nobody waits
	mute               // it has never brought a reply to anybody
	silent             // it used to, but those who wait now have had nothing for too long
	needed             // it brings replies, or ends already
)

// rank returns the rank of s at a time.
func (s *stream) rank(at time.Time) rank {
	switch {
	case s.cause != nil || s.live == 0 && s.closed:
		return needed // its descriptor is free in a moment
	case s.live == 0:
		return unused
	case !s.heard:
		return mute
	case at.Sub(s.since) >= silence:
		return silent
	}
	return needed
}

// evict ends the stream that makes room most readily, and of those of its rank
// the one that has been so for longest. asked says that somebody waited on it,
// who will fail over to another server; ok is false if all are needed. Its
// descriptor is free in a moment.
func (p *pool) evict(at time.Time) (asked, ok bool) {
	var first *stream
	least := needed
	for s := range p.all {
		if r := s.rank(at); r < least || r == least && r < needed && s.since.Before(first.since) {
			first, least = s, r
		}
	}
	if first == nil {
		return false, false
	}
	p.close(first)
	first.cause = errEvicted
	first.end()
	return first.live > 0, true
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
	if p.held[s.to.Addr()]--; p.held[s.to.Addr()] <= 0 {
		delete(p.held, s.to.Addr())
	}
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
