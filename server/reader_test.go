package server

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"proxima/server/ratelimit"
	"proxima/wire"
)

// A memoryConn is a packetConn in memory: every batch brings the same queries.
type memoryConn struct {
	queries [][]byte
	replies [][]byte // copies of what was written; nil if keep is false
	keep    bool
	failed  int // replies that it refuses of each batch
	written int
}

func (m *memoryConn) ReadBatch(packets []*packet, wait bool) (int, error) {
	for i, query := range m.queries {
		p := packets[i]
		p.n = copy(p.buffer[:], query)
		p.from = loopback4
	}
	return len(m.queries), nil
}

func (m *memoryConn) WriteBatch(packets []*packet) int {
	m.written += len(packets)
	if m.keep {
		for _, p := range packets {
			m.replies = append(m.replies, append([]byte(nil), p.reply...))
		}
	}
	return m.failed
}

func (m *memoryConn) Wake()         {}
func (m *memoryConn) Drops() uint64 { return 0 }
func (m *memoryConn) Close() error  { return nil }

// memoryReader returns a reader of a full batch of queries for known names.
func memoryReader(t testing.TB, o Options, h Handler) (*reader, *memoryConn) {
	t.Helper()
	o.Addresses = []netip.Addr{loopback4}
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	places, err := ratelimit.New(o.Waiting)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(o, places)
	t.Cleanup(s.cancel)
	s.handler = h
	conn := &memoryConn{}
	for id := range uint16(batchSize) {
		conn.queries = append(conn.queries, edns(query(id, "now.example."), 1232, wire.OptionNSID))
	}
	return newReader(s, conn, "memory"), conn
}

func TestReader_knownAnswersAllocateNothing(t *testing.T) {
	large := &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) { return appendAnswer(dst, q, 20000), true }}
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	tests := []struct {
		name    string
		options Options
		handler Handler
	}{
		{"plain", Options{}, known},
		{"with NSID and an access list", Options{NSID: "ams1", Allow: allow}, known},
		{"refused", Options{Allow: allow[1:]}, known},
		{"cut from 20,000 octets", Options{}, large},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, conn := memoryReader(t, tt.options, tt.handler)
			allocs := testing.AllocsPerRun(100, func() {
				if err := r.batch(true); err != nil {
					t.Fatal(err)
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations a batch, want 0", allocs)
			}
			if conn.written != 101*batchSize {
				t.Errorf("%d replies, want %d", conn.written, 101*batchSize)
			}
		})
	}
}

func TestReader_repliesOfABatchDoNotOverlap(t *testing.T) {
	size := 0
	h := &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) {
		size = (size + 977) % 60000
		return appendAnswer(dst, q, size), true
	}}
	r, conn := memoryReader(t, Options{}, h)
	conn.keep = true
	if err := r.batch(true); err != nil {
		t.Fatal(err)
	}
	for i, reply := range conn.replies {
		if got := read(t, reply); got.id != uint16(i) {
			t.Errorf("reply %d has ID %d", i, got.id)
		}
	}
}

func TestReader_countsWhatTheKernelDoesNotTake(t *testing.T) {
	r, conn := memoryReader(t, Options{}, known)
	conn.failed = 3
	if err := r.batch(true); err != nil {
		t.Fatal(err)
	}
	if got := r.tally.sendErr.Load(); got != 3 {
		t.Errorf("SendError = %d, want 3", got)
	}
	if got := r.tally.replies.Load(); got != batchSize-3 {
		t.Errorf("Replies = %d, want %d", got, batchSize-3)
	}
}

// A failingConn fails a few times, as a socket does when memory is short, and
// is then closed.
type failingConn struct {
	memoryConn
	left int
}

func (f *failingConn) ReadBatch([]*packet, bool) (int, error) {
	if f.left--; f.left < 0 {
		return 0, net.ErrClosed
	}
	return 0, os.NewSyscallError("recvmmsg", os.ErrInvalid)
}

func TestReader_survivesReadErrors(t *testing.T) {
	r, _ := memoryReader(t, Options{}, known)
	r.conn = &failingConn{left: 3}
	r.run()
	if got := r.tally.readErr.Load(); got != 3 {
		t.Errorf("ReadError = %d, want 3", got)
	}
}

// BenchmarkReader is a known answer from packet to packet, without the kernel.
func BenchmarkReader(b *testing.B) {
	r, _ := memoryReader(b, Options{NSID: "ams1"}, known)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.batch(true); err != nil {
			b.Fatal(err)
		}
	}
	perQuery := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / batchSize
	b.ReportMetric(perQuery, "ns/query")
}

// BenchmarkServe_udp is a known answer over the loopback interface, asked by
// one client that has 32 queries under way.
func BenchmarkServe_udp(b *testing.B) {
	s := serve(b, Options{}, known)
	c := dial(b, "udp", netip.Addr{}, s.Addrs()[0])
	c.SetDeadline(time.Time{})
	packet, reply := query(0, "now.example."), make([]byte, 512)
	sent := 0
	for n := 0; b.Loop(); n++ {
		for ; sent < n+32; sent++ {
			binary.BigEndian.PutUint16(packet, uint16(sent))
			if _, err := c.Write(packet); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := c.Read(reply); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServe_tcp is the same on one connection.
func BenchmarkServe_tcp(b *testing.B) {
	s := serve(b, Options{MaxQueries: 1 << 30}, known)
	c := dial(b, "tcp", netip.Addr{}, s.Addrs()[0])
	c.SetDeadline(time.Time{})
	packet, reply := framed(c, query(0, "now.example.")), make([]byte, 512)
	sent := 0
	for n := 0; b.Loop(); n++ {
		for ; sent < n+32; sent++ {
			if _, err := c.Write(packet); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := readFull(c, reply[:2]); err != nil {
			b.Fatal(err)
		}
		if _, err := readFull(c, reply[:binary.BigEndian.Uint16(reply)]); err != nil {
			b.Fatal(err)
		}
	}
}
