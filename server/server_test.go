package server

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proxima/wire"
)

func TestServe_answers(t *testing.T) {
	tests := []struct {
		name    string
		listen  []netip.Addr
		network string
		to      int // index of the address asked
		handler Handler
	}{
		{"a known name by UDP over IPv4", []netip.Addr{loopback4}, "udp", 0, known},
		{"a known name by UDP over IPv6", []netip.Addr{loopback6}, "udp", 0, known},
		{"a known name by TCP over IPv4", []netip.Addr{loopback4}, "tcp", 0, known},
		{"a known name by TCP over IPv6", []netip.Addr{loopback6}, "tcp", 0, known},
		{"an unknown name by UDP over IPv4", []netip.Addr{loopback4}, "udp", 0, unknown},
		{"an unknown name by UDP over IPv6", []netip.Addr{loopback6}, "udp", 0, unknown},
		{"an unknown name by TCP over IPv4", []netip.Addr{loopback4}, "tcp", 0, unknown},
		{"an unknown name by TCP over IPv6", []netip.Addr{loopback6}, "tcp", 0, unknown},
		{"on the second of two addresses, by the same port", []netip.Addr{loopback6, loopback4}, "udp", 1, known},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if slices.Contains(tt.listen, loopback6) {
				needIPv6(t)
			}
			s := serve(t, Options{Addresses: tt.listen}, tt.handler)
			c := dial(t, tt.network, netip.Addr{}, s.Addrs()[tt.to])
			got := ask(t, c, query(7, "www.example."))
			want := message{id: 7, answers: 1, ede: -1}
			if got.id != want.id || got.answers != want.answers || got.rcode != 0 || got.options != nil {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestServer_RepliesAreCountedByAddressAndTransport(t *testing.T) {
	s := serve(t, Options{Addresses: []netip.Addr{loopback4, netip.MustParseAddr("127.0.0.2")}, Readers: 2}, known)
	for range 3 {
		ask(t, dial(t, "udp", netip.Addr{}, s.Addrs()[1]), query(1, "a.example."))
	}
	ask(t, dial(t, "tcp", netip.Addr{}, s.Addrs()[0]), query(1, "a.example."))
	for i, want := range [][2]uint64{{0, 1}, {3, 0}} {
		wantStats(t, s, "counted", func(Stats) bool {
			udp, tcp := s.Replies(i)
			return udp == want[0] && tcp == want[1]
		})
	}
}

func TestServe_answersFromTheAddressAsked(t *testing.T) {
	s := serve(t, Options{Addresses: []netip.Addr{netip.IPv4Unspecified()}}, both)
	port := s.Addrs()[0].Port()
	tests := []struct {
		name    string
		network string
		asked   string
	}{
		{"a known name by UDP, now.example.", "udp", "127.0.0.2"},
		{"an unknown name by UDP, later.example.", "udp", "127.0.0.3"},
		{"a known name by TCP, now.example.", "tcp", "127.0.0.4"},
		{"an unknown name by TCP, later.example.", "tcp", "127.0.0.5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, name, _ := strings.Cut(tt.name, ", ")
			// A connected socket takes no reply from another address.
			c := dial(t, tt.network, netip.Addr{}, netip.AddrPortFrom(netip.MustParseAddr(tt.asked), port))
			if got := ask(t, c, query(1, name)); got.answers != 1 {
				t.Errorf("got %+v, want an answer", got)
			}
		})
	}
}

func TestServe_replyOptions(t *testing.T) {
	tests := []struct {
		name    string
		network string
		query   []byte
		want    map[uint16]string
	}{
		{"no OPT for a query without", "udp", query(1, "a.example."), nil},
		{"NSID only when asked for", "udp", edns(query(1, "a.example."), 1232), map[uint16]string{}},
		{"NSID by UDP", "udp", edns(query(1, "a.example."), 1232, wire.OptionNSID), map[uint16]string{wire.OptionNSID: "ams1"}},
		{"NSID by TCP", "tcp", edns(query(1, "a.example."), 1232, wire.OptionNSID), map[uint16]string{wire.OptionNSID: "ams1"}},
		{"keepalive of 10 s by TCP", "tcp", edns(query(1, "a.example."), 1232, wire.OptionKeepalive), map[uint16]string{wire.OptionKeepalive: "\x00\x64"}},
		{"keepalive never by UDP", "udp", edns(query(1, "a.example."), 1232, wire.OptionKeepalive), map[uint16]string{}},
	}
	s := serve(t, Options{NSID: "ams1"}, known)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, dial(t, tt.network, netip.Addr{}, s.Addrs()[0]), tt.query)
			if len(got.options) != len(tt.want) || (got.options == nil) != (tt.want == nil) {
				t.Fatalf("options = %v, want %v", got.options, tt.want)
			}
			for code, data := range tt.want {
				if got.options[code] != data {
					t.Errorf("option %d = %q, want %q", code, got.options[code], data)
				}
			}
		})
	}
}

func TestServe_size(t *testing.T) {
	big := func(size int) Handler {
		return &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) { return appendAnswer(dst, q, size), true }}
	}
	q512, q1232, q4096 := query(1, "a.example."), edns(query(1, "a.example."), 1232), edns(query(1, "a.example."), 4096)
	plain := wire.HeaderLen + 15 + 12 // a reply without record data and without OPT
	tests := []struct {
		name    string
		network string
		query   []byte
		size    int // of the reply, uncut
		cut     bool
	}{
		{"512 octets pass without EDNS", "udp", q512, 512, false},
		{"513 octets do not", "udp", q512, 513, true},
		{"1,232 octets pass with EDNS", "udp", q1232, 1232, false},
		{"1,233 octets do not", "udp", q1232, 1233, true},
		{"nor do they when the client offers 4,096", "udp", q4096, 1233, true},
		{"60,000 octets pass by TCP", "tcp", q512, 60000, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := tt.size - plain
			if len(tt.query) > len(q512) {
				data -= 11 // OPT
			}
			s := serve(t, Options{}, big(data))
			c := dial(t, tt.network, netip.Addr{}, s.Addrs()[0])
			send(t, c, tt.query)
			reply := receive(t, c)
			got := read(t, reply)
			if got.cut != tt.cut || !tt.cut && len(reply) != tt.size || tt.cut && len(reply) > 512 {
				t.Errorf("%d octets, TC %t; want %d, TC %t", len(reply), got.cut, tt.size, tt.cut)
			}
			traffic := s.Stats().UDP
			if (traffic.Truncated == 1) != tt.cut {
				t.Errorf("Truncated = %d", traffic.Truncated)
			}
		})
	}
}

func TestServe_refuses(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.8/30"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name    string
		network string
		from    string
		rcode   int
	}{
		{"a stranger by UDP", "udp", "127.0.0.1", wire.RcodeRefused},
		{"a stranger by TCP", "tcp", "127.0.0.12", wire.RcodeRefused},
		{"nobody who is allowed, by UDP", "udp", "127.0.0.9", 0},
		{"nobody who is allowed, by TCP", "tcp", "127.0.0.11", 0},
	}
	s := serve(t, Options{Allow: allow}, known)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Stats()
			c := dial(t, tt.network, netip.MustParseAddr(tt.from), s.Addrs()[0])
			got := ask(t, c, edns(query(1, "a.example."), 1232))
			ede := -1
			if tt.rcode != 0 {
				ede = wire.EDEProhibited
			}
			if got.rcode != tt.rcode || got.ede != ede {
				t.Errorf("rcode %d, EDE %d; want %d, %d", got.rcode, got.ede, tt.rcode, ede)
			}
			after := s.Stats()
			refused := after.UDP.Refused + after.TCP.Refused - before.UDP.Refused - before.TCP.Refused
			if (refused == 1) != (tt.rcode != 0) {
				t.Errorf("counted %d as refused", refused)
			}
		})
	}
}

func TestServe_refusesStrangersWhateverTheySend(t *testing.T) {
	update := query(1, "a.example.")
	update[2] |= 5 << 3
	version := edns(query(1, "a.example."), 1232)
	version[len(version)-5] = 1
	tests := []struct {
		name   string
		packet []byte
	}{
		{"a malformed query", append(query(1, "a.example."), 0)},
		{"an UPDATE", update},
		{"EDNS version 1", version},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, known)
			c := dial(t, "udp", netip.Addr{}, s.Addrs()[0])
			send(t, c, tt.packet)
			if got := read(t, receive(t, c)); got.rcode != wire.RcodeRefused {
				t.Errorf("rcode %d, want REFUSED", got.rcode)
			}
		})
	}
}

func TestServe_dropsTheReasonBeforeTheAnswer(t *testing.T) {
	s := serve(t, Options{}, &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) {
		start, plain := len(dst), *q
		plain.EDNS = false
		dst = appendAnswer(dst, &plain, 1232-wire.HeaderLen-15-12-11)
		return wire.AppendOPT(dst, start, q, wire.RcodeNoError, &wire.EDE{Code: wire.EDEStaleAnswer}), true
	}})
	c := dial(t, "udp", netip.Addr{}, s.Addrs()[0])
	send(t, c, edns(query(1, "a.example."), 1232))
	reply := receive(t, c)
	if got := read(t, reply); got.cut || got.answers != 1 || got.ede != -1 || len(reply) != 1232 {
		t.Errorf("%d octets, %+v; want 1,232 with the answer and without EDE", len(reply), got)
	}
	if got := s.Stats().UDP.Truncated; got != 0 {
		t.Errorf("Truncated = %d", got)
	}
}

func TestServe_faults(t *testing.T) {
	long := edns(query(1, "a.example."), 1232, make([]uint16, 1500)...) // 6,000 octets
	reply := query(1, "a.example.")
	reply[2] |= 0x80
	update := query(1, "a.example.")
	update[2] |= 5 << 3
	version := edns(query(1, "a.example."), 1232)
	version[len(version)-5] = 1
	tests := []struct {
		name   string
		packet []byte
		rcode  int // in the header; -1 if there is no reply
		count  func(Traffic) uint64
	}{
		{"a short packet is dropped", []byte("short"), -1, func(t Traffic) uint64 { return t.Garbage }},
		{"a reply is dropped", reply, -1, func(t Traffic) uint64 { return t.Garbage }},
		{"an UPDATE is not implemented", update, wire.RcodeNotImp, func(t Traffic) uint64 { return t.NotImp }},
		{"octets behind the end are malformed", append(query(1, "a.example."), 0), wire.RcodeFormErr, func(t Traffic) uint64 { return t.FormErr }},
		{"a query above maxQuery is malformed", long, wire.RcodeFormErr, func(t Traffic) uint64 { return t.FormErr }},
		{"EDNS version 1 is a bad version", version, wire.RcodeBadVers & 15, func(t Traffic) uint64 { return t.BadVers }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				s := serve(t, Options{}, known)
				c := dial(t, network, netip.Addr{}, s.Addrs()[0])
				send(t, c, tt.packet)
				if tt.rcode >= 0 {
					if got := read(t, receive(t, c)); got.rcode != tt.rcode {
						t.Errorf("%s: rcode %d, want %d", network, got.rcode, tt.rcode)
					}
				}
				wantStats(t, s, network+" counted", func(s Stats) bool { return tt.count(s.UDP)+tt.count(s.TCP) == 1 })
			}
		})
	}
}

func TestServe_limitsQueriesInFlight(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			release := make(chan struct{})
			h := &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
				<-release
				return appendAnswer(dst, q, 4)
			}}
			s := serve(t, Options{MaxInflight: 2}, h)
			c := dial(t, network, netip.Addr{}, s.Addrs()[0])
			for id := range uint16(2) {
				send(t, c, edns(query(id, "a.example."), 1232))
				wantStats(t, s, "in flight", func(s Stats) bool { return s.Inflight == int(id)+1 })
			}
			got := ask(t, c, edns(query(2, "a.example."), 1232))
			if got.id != 2 || got.rcode != wire.RcodeServFail || got.ede != wire.EDEOther {
				t.Errorf("the third of two got %+v, want SERVFAIL with EDE 0", got)
			}
			close(release)
			for range 2 {
				if got := read(t, receive(t, c)); got.answers != 1 {
					t.Errorf("got %+v, want an answer", got)
				}
			}
			if sum := s.Stats(); sum.UDP.Overloaded+sum.TCP.Overloaded != 1 {
				t.Errorf("Stats = %+v, want one overloaded", sum)
			}
		})
	}
}

func TestServe_endsAnswersInTime(t *testing.T) {
	h := &handlerFunc{later: func(ctx context.Context, dst []byte, q *wire.Query) []byte {
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return dst
		}
		return wire.AppendError(dst, q, wire.RcodeServFail, nil)
	}}
	s := serve(t, Options{Timeout: 20 * time.Millisecond}, h)
	for _, network := range []string{"udp", "tcp"} {
		got := ask(t, dial(t, network, netip.Addr{}, s.Addrs()[0]), query(1, "a.example."))
		if got.rcode != wire.RcodeServFail {
			t.Errorf("%s: got %+v, want SERVFAIL", network, got)
		}
	}
}

func TestServe_survivesPanics(t *testing.T) {
	broken := &handlerFunc{
		now: func(dst []byte, q *wire.Query) ([]byte, bool) {
			if q.Name[1] == 'n' {
				panic("known to fail")
			}
			return append(dst, "half a reply"...), false
		},
		later: func(_ context.Context, dst []byte, q *wire.Query) []byte {
			if q.Name[1] == 'l' {
				panic("fails later")
			}
			return appendAnswer(dst, q, 4)
		},
	}
	s := serve(t, Options{Readers: 1}, broken)
	for _, network := range []string{"udp", "tcp"} {
		c := dial(t, network, netip.Addr{}, s.Addrs()[0])
		for _, name := range []string{"now.example.", "later.example."} {
			if got := ask(t, c, edns(query(1, name), 1232)); got.rcode != wire.RcodeServFail || got.ede != wire.EDEOther {
				t.Errorf("%s: %s got %+v, want SERVFAIL with EDE 0", network, name, got)
			}
		}
		if got := ask(t, c, query(1, "fine.example.")); got.answers != 1 {
			t.Errorf("%s: afterwards got %+v, want an answer", network, got)
		}
	}
	if got := s.Stats().Panics; got != 4 {
		t.Errorf("Panics = %d, want 4", got)
	}
}

func TestServer_Stuck(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	defer once.Do(func() { close(release) })
	h := &handlerFunc{now: func(dst []byte, q *wire.Query) ([]byte, bool) {
		if q.Name[1] == 'b' {
			<-release
		}
		return appendAnswer(dst, q, 4), true
	}}
	s := serve(t, Options{Readers: 1}, h)
	c := dial(t, "udp", netip.Addr{}, s.Addrs()[0])
	ask(t, c, query(1, "fine.example."))
	wantStats(t, s, "answered", func(s Stats) bool { return s.UDP.Replies == 1 })
	later := func() time.Time { return time.Now().Add(time.Hour) }
	for end := time.Now().Add(patience); s.Stuck(later(), time.Minute) != nil; {
		if time.Now().After(end) {
			t.Fatal("stuck between two batches")
		}
	}
	send(t, c, query(2, "blocks.example."))
	for end := time.Now().Add(patience); s.Stuck(later(), time.Minute) == nil; {
		if time.Now().After(end) {
			t.Fatal("Stuck = nil while the handler blocks the reader")
		}
	}
	if err := s.Stuck(later(), time.Minute); !strings.Contains(err.Error(), s.Addrs()[0].String()) {
		t.Errorf("Stuck = %v, which does not name %v", err, s.Addrs()[0])
	}
	if err := s.Stuck(time.Now(), time.Minute); err != nil {
		t.Errorf("Stuck = %v before the limit", err)
	}
	once.Do(func() { close(release) })
	if got := read(t, receive(t, c)); got.id != 2 {
		t.Errorf("got %+v, want the reply to query 2", got)
	}
}
