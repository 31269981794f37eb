package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A host plays a server's TCP side: play gets each connection, with its number
// from 0 on, in a goroutine of its own.
func host(t testing.TB, play func(i int, conn net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			all.Go(func() {
				defer conn.Close()
				play(i, conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// serve answers n questions on a connection, or all if n is 0.
func serve(conn net.Conn, n int) {
	for i := 0; n == 0 || i < n; i++ {
		q, err := readFrame(conn)
		if err != nil {
			return
		}
		conn.Write(frames(truth(q)))
	}
}

// reset makes the end of a connection an RST.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// ask asks by TCP for the address of the i-th name, and tells if another's
// reply came.
func ask(ctx context.Context, c *Client, to netip.AddrPort, i int) error {
	q := question()
	q.Question[0].Name = fmt.Sprintf("n%d.example.", i)
	reply, err := c.Exchange(ctx, to, q, true)
	if err == nil && (len(reply.Answer) != 1 || reply.Answer[0].Header().Name != q.Question[0].Name) {
		return fmt.Errorf("reply to %s is\n%v", q.Question[0].Name, reply)
	}
	return err
}

// askAll asks n questions at once.
func askAll(t *testing.T, c *Client, to netip.AddrPort, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := ask(within(t, patience), c, to, i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestStream_isUsedAgain(t *testing.T) {
	to := host(t, func(_ int, conn net.Conn) { serve(conn, 0) })
	c := mustClient(t, Options{})
	for i := range 5 {
		if err := ask(within(t, patience), c, to, i); err != nil {
			t.Error(err)
		}
	}
	got := c.Stats()
	if got.Connections != 1 || got.Connects != 1 || got.Reused != 4 || got.Streams != 5 || got.Replies != 5 {
		t.Errorf("Stats = %+v, want one connection for five questions", got)
	}
}

func TestStream_takesRepliesInAnyOrder(t *testing.T) {
	to := host(t, func(_ int, conn net.Conn) {
		var replies [][]byte
		for range maxPipeline {
			q, err := readFrame(conn)
			if err != nil {
				return
			}
			replies = append(replies, truth(q))
		}
		slices.Reverse(replies)
		conn.Write(frames(replies...))
		hangUp(conn)
	})
	c := mustClient(t, Options{})
	askAll(t, c, to, maxPipeline)
	if got := c.Stats(); got.Connects != 1 || got.Resent != 0 {
		t.Errorf("Stats = %+v, want one connection", got)
	}
}

func TestStream_isOneOfTwoIfFull(t *testing.T) {
	var heard sync.WaitGroup
	heard.Add(maxPipeline + 1)
	to := host(t, func(_ int, conn net.Conn) {
		var all sync.WaitGroup
		defer all.Wait()
		for {
			q, err := readFrame(conn)
			if err != nil {
				return
			}
			heard.Done()
			all.Go(func() {
				heard.Wait()
				conn.Write(frames(truth(q)))
			})
		}
	})
	c := mustClient(t, Options{})
	askAll(t, c, to, maxPipeline+1)
	if got := c.Stats(); got.Connects != 2 || got.Resent != 0 {
		t.Errorf("Stats = %+v, want two connections", got)
	}
}

func TestStream_endsWhenIdle(t *testing.T) {
	ended := make(chan struct{}, 2)
	to := host(t, func(_ int, conn net.Conn) {
		serve(conn, 0)
		ended <- struct{}{}
	})
	c := mustClient(t, Options{})
	c.pool.idle = moment / 2
	for i := range 2 {
		if err := ask(within(t, patience), c, to, i); err != nil {
			t.Error(err)
		}
		<-ended
		for c.Stats().Connections > 0 {
			runtime.Gosched()
		}
	}
	if got := c.Stats(); got.Connects != 2 || got.Reused != 0 {
		t.Errorf("Stats = %+v, want two connections", got)
	}
}

func TestStream_diesUnderItsQuestions(t *testing.T) {
	tests := []struct {
		name     string
		play     func(i int, conn net.Conn)
		ok       bool // the second question is answered
		connects uint64
		resent   uint64
	}{
		{"the server ends it after each reply", func(_ int, conn net.Conn) {
			serve(conn, 1)
			_, _ = readFrame(conn)
		}, true, 2, 1},
		{"the server resets it", func(_ int, conn net.Conn) {
			serve(conn, 1)
			_, _ = readFrame(conn)
			reset(conn)
		}, true, 2, 1},
		{"it ends within a reply: not asked again", func(_ int, conn net.Conn) {
			serve(conn, 1)
			_, _ = readFrame(conn)
			conn.Write([]byte{0})
		}, false, 1, 0},
		{"the next one ends as well: not asked a third time", func(i int, conn net.Conn) {
			if i == 0 {
				serve(conn, 1)
			}
			_, _ = readFrame(conn)
		}, false, 2, 1},
		{"the next one has nobody: not asked a third time", func(i int, conn net.Conn) {
			if i == 0 {
				serve(conn, 1)
				_, _ = readFrame(conn)
			}
			reset(conn)
		}, false, 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := host(t, func(i int, conn net.Conn) {
				if i == 1 && tt.ok {
					serve(conn, 0)
				} else {
					tt.play(i, conn)
				}
			})
			c := mustClient(t, Options{})
			if err := ask(within(t, patience), c, to, 0); err != nil {
				t.Fatal(err)
			}
			err := ask(within(t, patience), c, to, 1)
			if (err == nil) != tt.ok || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want success %t", err, tt.ok)
			}
			if got := c.Stats(); got.Connects != tt.connects || got.Resent != tt.resent {
				t.Errorf("Stats = %+v, want %d connections, %d resent", got, tt.connects, tt.resent)
			}
		})
	}
}

func TestStream_ofAServerForOneQuestion(t *testing.T) {
	const questions = 40
	to := host(t, func(_ int, conn net.Conn) { serve(conn, 1) })
	c := mustClient(t, Options{})
	askAll(t, c, to, questions)
	if got := c.Stats(); got.Connects > 2*questions {
		t.Errorf("%d connections for %d questions, want at most two each", got.Connects, questions)
	}
}

func TestStream_connectsNoMoreThanOnceInVain(t *testing.T) {
	to := host(t, func(_ int, conn net.Conn) { reset(conn) })
	c := mustClient(t, Options{})
	if err := ask(within(t, patience), c, to, 0); err == nil {
		t.Error("no error")
	}
	if got := c.Stats(); got.Connects != 1 || got.Failed != 1 {
		t.Errorf("Stats = %+v, want one connection", got)
	}
}

func TestStream_thatOneGaveUp(t *testing.T) {
	heard, release := make(chan struct{}), make(chan struct{})
	to := host(t, func(i int, conn net.Conn) {
		if i > 0 {
			serve(conn, 0)
			return
		}
		var late []byte
		for range 2 {
			q, err := readFrame(conn)
			if err != nil {
				return
			}
			if bytes.Contains(q, []byte("n0")) {
				late = truth(q)
			} else {
				defer conn.Write(frames(late, truth(q)))
			}
		}
		close(heard)
		<-release
	})
	c := mustClient(t, Options{})
	giveUp, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() { errs <- ask(giveUp, c, to, 0) }()
	for c.Stats().Streams == 0 { // so that it is the first to be read
		runtime.Gosched()
	}
	patient := make(chan error)
	go func() { patient <- ask(within(t, patience), c, to, 1) }()
	<-heard
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	if err := ask(within(t, patience), c, to, 2); err != nil {
		t.Errorf("the next one got %v", err)
	}
	close(release)
	if err := <-patient; err != nil {
		t.Errorf("who went on waiting got %v", err)
	}
	if got := c.Stats(); got.Connects != 2 || got.WrongID != 1 {
		t.Errorf("Stats = %+v, want a connection for the next one, and a late reply", got)
	}
}

func TestStream_endsWithItsOnlyQuestion(t *testing.T) {
	ended := make(chan struct{})
	to := host(t, func(_ int, conn net.Conn) {
		defer close(ended)
		hangUp(conn)
	})
	c := mustClient(t, Options{})
	if err := ask(within(t, moment), c, to, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want DeadlineExceeded", err)
	}
	<-ended
	for c.Stats().Connections > 0 {
		runtime.Gosched()
	}
}

func TestStream_addDrawsFreeIDs(t *testing.T) {
	s := &stream{waiting: map[uint16]*waiter{}, idle: time.NewTimer(time.Hour)}
	for i := range 1000 {
		w := s.add(&query{packet: []byte{0x12, 0x34}})
		if s.waiting[binary.BigEndian.Uint16(w.q.packet)] != w || len(s.waiting) != i+1 {
			t.Fatalf("question %d got ID %x", i, w.q.packet)
		}
	}
}

func TestClose_endsIdleStreams(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		conn, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			if conn, err := conn.Accept(); err == nil {
				serve(conn, 0)
				conn.Close()
			}
		}()
		c := mustClient(t, Options{})
		if err := ask(within(t, patience), c, conn.Addr().(*net.TCPAddr).AddrPort(), 0); err != nil {
			t.Fatal(err)
		}
		if got := c.Stats().Connections; got != 1 {
			t.Errorf("%d connections, want one", got)
		}
		c.Close()
		if got := c.Stats().Connections; got != 0 {
			t.Errorf("%d connections after Close", got)
		}
	}()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

func FuzzClient_hear(f *testing.F) {
	q := mustPack(f, "www.example.")
	other := mustPack(f, "other.example.")
	for _, m := range []*query{q, other} {
		binary.BigEndian.PutUint16(m.packet, uint16(m.packet[headerLen])) // 3 and 5
		m.stream = true
	}
	f.Add(frames(truth(q.packet), truth(other.packet)))
	f.Add(frames(truth(other.packet), q.packet))
	f.Add(frames(nil, nil, nil, nil, truth(q.packet)))
	f.Add(frames(answer(q.packet, func(m *dns.Msg) { m.Id++ }), truth(q.packet))[:60])
	c := mustClient(f, Options{})
	f.Fuzz(func(t *testing.T, octets []byte) {
		s := &stream{waiting: map[uint16]*waiter{}, idle: time.NewTimer(time.Hour), end: func() {}}
		all := []*waiter{s.add(q), s.add(other)}
		c.pool.bury(s, c.hear(s, bytes.NewReader(octets)))
		for _, w := range all {
			o := <-w.done
			if o.err == nil && (len(o.packet) > len(octets) || !bytes.Equal(o.packet[:2], w.q.packet[:2]) || w.q.judge(o.packet) == wrongQuestion) {
				t.Fatalf("question %x got %x", w.q.packet, o.packet)
			}
		}
	})
}
