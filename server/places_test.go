package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"proxima/server/ratelimit"
	"proxima/wire"
)

// held knows names that begin with n, and holds the others until it is closed.
type held chan struct{}

func (h held) AnswerNow(dst []byte, q *wire.Query, _ time.Time) ([]byte, bool) {
	return both.now(dst, q)
}

func (h held) Answer(_ context.Context, dst []byte, q *wire.Query, _ time.Time) []byte {
	<-h
	return appendAnswer(dst, q, 4)
}

func TestServe_boundsWhatOneClientHolds(t *testing.T) {
	tests := []struct {
		name    string
		network string
		options Options
		held    int // of five queries
		refused int // of these with a reply that says so
	}{
		{"UDP: what is too much is dropped", "udp", Options{Waiting: ratelimit.Options{UDP: 3, Stream: 1}}, 3, 0},
		{"TCP: it is told", "tcp", Options{Waiting: ratelimit.Options{UDP: 1, Stream: 2}}, 2, 3},
		{"UDP: so is what repeats one question too often", "udp", Options{Waiting: ratelimit.Options{Question: 3}}, 3, 0},
		{"TCP: it is told of that", "tcp", Options{Waiting: ratelimit.Options{Question: 2}}, 2, 3},
		{"not the node itself by UDP", "udp", Options{Waiting: ratelimit.Options{UDP: 1, Question: 1}, Own: []netip.Addr{loopback4}}, 5, 0},
		{"nor by TCP", "tcp", Options{Waiting: ratelimit.Options{Stream: 1, Question: 1}, Own: []netip.Addr{loopback4}}, 5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := make(held)
			s := serve(t, tt.options, h)
			c := dial(t, tt.network, netip.Addr{}, s.Addrs()[0])
			for id := range uint16(5) {
				send(t, c, edns(query(id, "later.example."), 1232))
			}
			for range tt.refused {
				if got := read(t, receive(t, c)); got.rcode != wire.RcodeServFail || got.ede != wire.EDEOther {
					t.Errorf("refused with rcode %d, EDE %d", got.rcode, got.ede)
				}
			}
			wantStats(t, s, "held", func(s Stats) bool {
				crowded, repeated := s.UDP.Crowded+s.TCP.Crowded, s.UDP.Repeated+s.TCP.Repeated
				return s.Inflight == tt.held && crowded+repeated == uint64(5-tt.held) &&
					(repeated > 0) == (tt.held < 5 && tt.options.Waiting.Question > 0)
			})
			if got := ask(t, c, query(5, "now.example.")); got.id != 5 || got.answers != 1 {
				t.Errorf("a known name: %+v", got)
			}
			close(h)
			for range tt.held {
				receive(t, c)
			}
			wantStats(t, s, "places given back", func(s Stats) bool { return s.Inflight == 0 })
			for id := range uint16(tt.held) {
				if got := ask(t, c, query(id, "later.example.")); got.answers != 1 {
					t.Errorf("query %d with all places free: %+v", id, got)
				}
			}
		})
	}
}

// A lockedConn is a memoryConn to which many may write.
type lockedConn struct {
	memoryConn
	mu sync.Mutex
}

func (l *lockedConn) WriteBatch(packets []*packet) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memoryConn.WriteBatch(packets)
}

func TestReader_dropsLateRepliesOfACrowd(t *testing.T) {
	tests := []struct {
		name    string
		queries int
		after   time.Duration
		most    int // replies
		least   int
	}{
		{"many that are late", batchSize, 2 * time.Second, 50, 1},
		{"few that are late", 50, 4 * time.Second, 50, 50},
		{"many that are stale", batchSize, 1800 * time.Millisecond, batchSize, batchSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
					time.Sleep(tt.after)
					return appendAnswer(dst, q, 4)
				}}
				r, batch := memoryReader(t, Options{}, slow)
				conn := &lockedConn{memoryConn: memoryConn{queries: batch.queries[:tt.queries]}}
				r.conn = conn
				if err := r.batch(true); err != nil {
					t.Fatal(err)
				}
				r.server.crew.Close()
				late := int(r.tally.late.Load())
				if conn.written < tt.least || conn.written > tt.most || conn.written+late != tt.queries {
					t.Errorf("%d replies, %d dropped; want %d to %d replies", conn.written, late, tt.least, tt.most)
				}
			})
		})
	}
}

func TestConn_clientsThatGoFreeTheirPlaces(t *testing.T) {
	why := make(chan error, 2)
	h := &handlerFunc{later: func(ctx context.Context, dst []byte, _ *wire.Query) []byte {
		<-ctx.Done()
		why <- ctx.Err()
		return dst
	}}
	s := serve(t, Options{Timeout: time.Minute}, h)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	send(t, c, query(1, "a.example."))
	send(t, c, query(2, "b.example."))
	wantStats(t, s, "two wait", func(s Stats) bool { return s.Inflight == 2 })
	c.(*net.TCPConn).SetLinger(0) // so that closing resets
	c.Close()
	wantStats(t, s, "none waits", func(s Stats) bool { return s.Inflight == 0 && s.Conns == 0 })
	for range 2 {
		if err := <-why; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, want %v", err, context.Canceled)
		}
	}
}

func TestConn_clientsThatTakeNoReplyFreeTheirPlaces(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	h := &handlerFunc{later: func(ctx context.Context, dst []byte, q *wire.Query) []byte {
		switch q.Name[1] {
		case 'a':
			<-first
		case 'b':
			<-second
		default:
			<-ctx.Done()
			return dst
		}
		return appendAnswer(dst, q, 4)
	}}
	s := serve(t, Options{Timeout: time.Minute}, h)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	for i, name := range []string{"a.example.", "b.example.", "c.example."} {
		send(t, c, query(uint16(i), name))
	}
	wantStats(t, s, "three wait", func(s Stats) bool { return s.Inflight == 3 })
	c.Close()
	close(first) // the client's kernel answers this reply with a reset
	wantStats(t, s, "two wait", func(s Stats) bool { return s.Inflight == 2 })
	time.Sleep(100 * time.Millisecond)
	close(second) // and this one is not taken
	wantStats(t, s, "none waits", func(s Stats) bool { return s.Inflight == 0 && s.Conns == 0 })
}

func TestListen_namesWaiting(t *testing.T) {
	_, err := Listen(Options{Addresses: []netip.Addr{loopback4}, Waiting: ratelimit.Options{UDP: -1}})
	if err == nil || err.Error() != "server: Waiting: ratelimit: UDP: -1 is not from 1 to 1048576" {
		t.Errorf("error %v", err)
	}
}
