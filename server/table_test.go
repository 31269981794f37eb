package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"proxima/wire"
)

// wantReset connects to the server and wants to be reset, be it so soon that
// connecting fails.
func wantReset(t testing.TB, s *Server) {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addrs()[0].String(), patience)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestServe_limitsConnections(t *testing.T) {
	t.Run("one client may hold MaxConnsPerClient", func(t *testing.T) {
		s := serve(t, Options{MaxConnsPerClient: 2}, known)
		for range 2 {
			ask(t, dial(t, "tcp", netip.Addr{}, s.Addrs()[0]), query(1, "a.example."))
		}
		wantReset(t, s)
		other := dial(t, "tcp", netip.MustParseAddr("127.0.0.2"), s.Addrs()[0])
		ask(t, other, query(1, "a.example."))
		if got := s.Stats(); got.ClientFull != 1 || got.Conns != 3 {
			t.Errorf("%d refused, %d open; want 1, 3", got.ClientFull, got.Conns)
		}
	})
	t.Run("nobody is admitted when none is idle", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		h := &handlerFunc{later: func(_ context.Context, dst []byte, q *wire.Query) []byte { <-release; return dst }}
		s := serve(t, Options{MaxConns: 2}, h)
		for n := range 2 {
			send(t, dial(t, "tcp", netip.Addr{}, s.Addrs()[0]), query(1, "a.example."))
			wantStats(t, s, "in flight", func(s Stats) bool { return s.Inflight == n+1 })
		}
		wantReset(t, s)
		if got := s.Stats(); got.ConnsFull != 1 || got.Conns != 2 {
			t.Errorf("%d refused, %d open; want 1, 2", got.ConnsFull, got.Conns)
		}
	})
}

func TestServe_keepsPlacesForItsOwn(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.3")
	tests := []struct {
		name string
		from netip.Addr // of many idle connections
		many int
		o    Options
	}{
		{"when clients hold all there are", netip.Addr{}, 8, Options{MaxConns: 4}},
		{"when its own address holds more than a client may", own, 8, Options{MaxConnsPerClient: 2}},
		{"when its own address holds more than it may", own, ownConns + 8, Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Own = []netip.Addr{own}
			s := serve(t, tt.o, known)
			first := dial(t, "tcp", own, s.Addrs()[0])
			ask(t, first, query(1, "a.example."))
			for range tt.many {
				c := dial(t, "tcp", tt.from, s.Addrs()[0])
				c.Write(append([]byte{0, 27}, query(1, "a.example.")...)) // which some may not: they are reset
			}
			ask(t, dial(t, "tcp", own, s.Addrs()[0]), query(2, "a.example."))
			if tt.from != own {
				ask(t, first, query(3, "a.example."))
			}
		})
	}
}

func TestClientOf(t *testing.T) {
	tests := []struct {
		name string
		from string
		want string
	}{
		{"an IPv4 address is a client", "192.0.2.77", "192.0.2.77/32"},
		{"an IPv6 /56 is a client", "2001:db8:1:2ff::1", "2001:db8:1:200::/56"},
		{"a zone does not matter", "fe80::1%eth0", "fe80::/56"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := clientOf(netip.MustParseAddr(tt.from)); got != netip.MustParsePrefix(tt.want) {
				t.Errorf("clientOf(%s) = %v, want %s", tt.from, got, tt.want)
			}
		})
	}
}

func TestTable_makesRoom(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tests := []struct {
		name   string
		rests  string // seconds for which each of ten connections has rested; '-' has a query in flight
		closed []int  // by index, when an eleventh comes
		admit  bool
	}{
		{"below three quarters nobody has to go", "999999", nil, true},
		{"above it goes who has rested for more than IdlePressed", "12131111", []int{3, 1}, true},
		{"and nobody else", "11111111", nil, true},
		{"above nine tenths goes who has rested longest", "101000000", []int{0}, true},
		{"be it not at all", "----0----", []int{4}, true},
		{"but not who waits for an answer", "---------", nil, true},
		{"at the limit, without anybody idle, the newcomer goes", "----------", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tab table
			tab.init(Options{MaxConns: 10, MaxConnsPerClient: 10, Idle: time.Minute, IdlePressed: time.Second}, new(connTally))
			at := time.Unix(1e9, 0)
			var conns []*conn
			for range tt.rests {
				c := &conn{tcp: dial(t, "tcp", netip.Addr{}, netip.MustParseAddrPort(listener.Addr().String())).(*net.TCPConn)}
				tab.conns[c] = nil
				tab.clients[c.client]++
				conns = append(conns, c)
			}
			for seconds := byte('9'); seconds >= '0'; seconds-- {
				for i, c := range conns {
					if tt.rests[i] == seconds {
						tab.noteRest(c, at.Add(-time.Duration(seconds-'0')*time.Second))
					}
				}
			}
			if got := tab.admit(new(conn), at); got != tt.admit {
				t.Errorf("admit = %t, want %t", got, tt.admit)
			}
			var want []int
			for i, c := range conns {
				if c.tcp.SetDeadline(time.Time{}) != nil {
					want = append(want, i)
				}
			}
			slices.Sort(tt.closed)
			if !slices.Equal(want, tt.closed) {
				t.Errorf("closed %v, want %v", want, tt.closed)
			}
			if got := int(tab.tally.evicted.Load()); got != len(tt.closed) {
				t.Errorf("counted %d as evicted, want %d", got, len(tt.closed))
			}
		})
	}
}

func TestTable_keepalive(t *testing.T) {
	tests := []struct {
		name     string
		open     int // of 8
		draining bool
		want     time.Duration
	}{
		{"Idle while there is room", 5, false, time.Minute},
		{"IdlePressed from three quarters on", 6, false, time.Second},
		{"nothing when the server ends", 1, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tab table
			tab.init(Options{MaxConns: 8, MaxConnsPerClient: 8, Idle: time.Minute, IdlePressed: time.Second}, new(connTally))
			for range tt.open {
				tab.conns[new(conn)] = nil
			}
			tab.draining = tt.draining
			if got := tab.keepalive(); got != tt.want {
				t.Errorf("keepalive = %v, want %v", got, tt.want)
			}
		})
	}
}
