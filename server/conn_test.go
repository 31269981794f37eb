package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxima/wire"
)

// closed waits until the server has closed c, and returns what came before.
func closed(t testing.TB, c net.Conn) []byte {
	t.Helper()
	rest, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("not closed: %v", err)
	}
	return rest
}

func TestConn_answersInAnyOrder(t *testing.T) {
	first := make(chan struct{})
	h := &handlerFunc{now: both.now, later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
		if q.Name[1] == 'l' {
			<-first
		}
		return appendAnswer(dst, q, 4)
	}}
	s := serve(t, Options{}, h)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	var stream []byte // one segment
	for id, name := range []string{"later.example.", "soon.example.", "now.example."} {
		stream = append(stream, framed(c, query(uint16(id), name))...)
	}
	if _, err := c.Write(stream); err != nil {
		t.Fatal(err)
	}
	got := []uint16{read(t, receive(t, c)).id, read(t, receive(t, c)).id}
	slices.Sort(got)
	if !slices.Equal(got, []uint16{1, 2}) {
		t.Errorf("first came replies %v, want 1 and 2", got)
	}
	close(first)
	if got := read(t, receive(t, c)).id; got != 0 {
		t.Errorf("last came reply %d, want 0", got)
	}
}

func TestConn_answersOctetByOctet(t *testing.T) {
	s := serve(t, Options{}, known)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	for _, b := range framed(c, query(3, "www.example.")) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, receive(t, c)); got.id != 3 {
		t.Errorf("got %+v, want reply 3", got)
	}
}

func TestConn_answersAPipelineWhole(t *testing.T) {
	const queries = 3000
	s := serve(t, Options{MaxPipelined: 8}, both)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	go func() {
		for id := range uint16(queries) {
			name := "now.example."
			if id%3 == 0 {
				name = "later.example."
			}
			if _, err := c.Write(framed(c, query(id, name))); err != nil {
				return // the reads below tell
			}
		}
		c.(*net.TCPConn).CloseWrite() // who has said all still gets all replies
	}()
	seen := make([]bool, queries)
	for range queries {
		seen[read(t, receive(t, c)).id] = true
	}
	if slices.Contains(seen, false) {
		t.Error("some queries had two replies and some none")
	}
	if rest := closed(t, c); len(rest) > 0 {
		t.Errorf("%d octets follow the last reply", len(rest))
	}
}

// What a client sends in one segment and is known leaves in one: a write for
// each reply would be a segment for each.
func TestConn_repliesOfABatchLeaveInOneWrite(t *testing.T) {
	const tries = 3 // a kernel that stood still sends a segment again
	s := serve(t, Options{}, known)
	for try := 1; ; try++ {
		err := inOneSegment(t, dial(t, "tcp", netip.Addr{}, s.Addrs()[0]).(*net.TCPConn))
		if err == nil {
			return
		}
		if try == tries {
			t.Fatal(err)
		}
	}
}

// inOneSegment says how the replies to a pipeline did not come, or nil.
func inOneSegment(t *testing.T, c *net.TCPConn) (wrong error) {
	t.Helper()
	const queries = 16
	var stream []byte
	for id := range uint16(queries) {
		stream = append(stream, framed(c, query(id, "now.example."))...)
	}
	if _, err := c.Write(stream); err != nil {
		t.Fatal(err)
	}
	for id := range uint16(queries) {
		if got := read(t, receive(t, c)).id; got != id {
			t.Errorf("reply %d has ID %d", id, got)
		}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Data_segs_in != 1 {
			wrong = fmt.Errorf("%d replies did not come in one segment: %+v, %v", queries, info, err)
		}
	})
	return wrong
}

func TestConn_pausesReadingWhenPipelined(t *testing.T) {
	release := make(chan struct{})
	h := &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
		<-release
		return appendAnswer(dst, q, 4)
	}}
	s := serve(t, Options{MaxPipelined: 2}, h)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	for id := range uint16(5) {
		send(t, c, query(id, "a.example."))
	}
	wantStats(t, s, "paused", func(s Stats) bool { return s.Paused == 1 })
	if got := s.Stats(); got.Inflight != 2 || got.TCP.Queries != 2 {
		t.Errorf("%d in flight of %d read, want 2 of 2", got.Inflight, got.TCP.Queries)
	}
	close(release)
	for range 5 {
		receive(t, c)
	}
}

func TestConn_closes(t *testing.T) {
	const short = 50 * time.Millisecond
	half := framed(nil, query(1, "www.example."))[:9]
	tests := []struct {
		name    string
		options Options
		do      func(t *testing.T, c net.Conn) // what the client does before it waits
		replies int
		count   func(Stats) uint64
	}{
		{"who says nothing", Options{FirstOctet: short}, func(*testing.T, net.Conn) {}, 0,
			func(s Stats) uint64 { return s.Mute }},
		{"who begins and does not end", Options{Idle: short}, func(t *testing.T, c net.Conn) {
			if _, err := c.Write(half); err != nil {
				t.Error(err)
			}
		}, 0, func(s Stats) uint64 { return s.Idle }},
		{"who sends octets for ever, but no query", Options{Idle: 4 * short}, func(t *testing.T, c net.Conn) {
			c.Write([]byte{0x10, 0}) // 4,096 octets to come
			go func() {
				for range 4000 {
					if _, err := c.Write([]byte{0}); err != nil {
						return
					}
					time.Sleep(short / 10)
				}
			}()
		}, 0, func(s Stats) uint64 { return s.Idle }},
		{"who idles after a query", Options{Idle: short}, func(t *testing.T, c net.Conn) {
			send(t, c, query(1, "now.example."))
		}, 1, func(s Stats) uint64 { return s.Idle }},
		{"who idles after a query that took longer than that", Options{Idle: short}, func(t *testing.T, c net.Conn) {
			send(t, c, query(1, "slow.example."))
		}, 1, func(s Stats) uint64 { return s.Idle }},
		{"who has asked MaxQueries, after the last reply", Options{MaxQueries: 3}, func(t *testing.T, c net.Conn) {
			for id := range uint16(5) {
				send(t, c, query(id, "slow.example."))
			}
		}, 3, func(s Stats) uint64 { return s.Retired }},
		{"who has stayed for MaxAge", Options{MaxAge: 60 * short}, func(t *testing.T, c net.Conn) {
			send(t, c, query(1, "now.example."))
		}, 1, func(s Stats) uint64 { return s.Retired }},
		{"who sends a reply", Options{}, func(t *testing.T, c net.Conn) {
			reply := query(1, "now.example.")
			reply[2] |= 0x80
			send(t, c, reply)
		}, 0, func(s Stats) uint64 { return s.TCP.Garbage }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &handlerFunc{now: both.now, later: func(ctx context.Context, dst []byte, q *wire.Query) []byte {
				time.Sleep(2 * short)
				return appendAnswer(dst, q, 4)
			}}
			s := serve(t, tt.options, h)
			c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
			tt.do(t, c)
			replies := 0
			for rest := closed(t, c); len(rest) > 0; replies++ {
				rest = rest[2+binary.BigEndian.Uint16(rest):]
			}
			if replies != tt.replies {
				t.Errorf("%d replies, want %d", replies, tt.replies)
			}
			wantStats(t, s, "counted", func(s Stats) bool { return tt.count(s) == 1 && s.Conns == 0 })
		})
	}
}

func TestConn_cutsOffWhoDoesNotRead(t *testing.T) {
	tests := []struct {
		name    string
		handler *handlerFunc
	}{
		{"known answers", &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) { return appendAnswer(dst, q, 4000), true }}},
		{"unknown answers", &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte { return appendAnswer(dst, q, 4000) }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, Options{Stall: 100 * time.Millisecond}, tt.handler)
			c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
			c.(*net.TCPConn).SetReadBuffer(4 << 10)
			stream := framed(c, query(1, "www.example."))
			for range 10000 { // 40 MB of replies
				if _, err := c.Write(stream); err != nil {
					break
				}
			}
			wantStats(t, s, "cut off", func(s Stats) bool { return s.Stalled == 1 && s.Conns == 0 })
			if got := s.Stats().TCP.Replies; got*4000 > 4<<20 {
				t.Errorf("composed %d replies for a client that does not read", got)
			}
		})
	}
}
