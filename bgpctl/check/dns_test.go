package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/bgpctl"
)

// A node answers on one loopback port over UDP and TCP, and remembers the
// source ports.
type node struct {
	addr netip.AddrPort

	mu    sync.Mutex
	ports map[uint16]bool
}

// newNode starts a server whose reply is what answer makes of the honest one;
// nil = silence.
func newNode(t testing.TB, answer func(r *dns.Msg) *dns.Msg) *node {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Skip("the TCP port beside the UDP one is taken: ", err)
	}
	n := &node{addr: udp.LocalAddr().(*net.UDPAddr).AddrPort(), ports: make(map[uint16]bool)}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		n.mu.Lock()
		n.ports[netip.MustParseAddrPort(w.RemoteAddr().String()).Port()] = true
		n.mu.Unlock()
		r := new(dns.Msg)
		r.SetReply(q)
		r.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassCHAOS}, Txt: []string{"ams1"}}}
		if r = answer(r); r != nil {
			w.WriteMsg(r)
		}
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: h}, {Listener: tcp, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			<-done
		})
	}
	return n
}

func TestDNS(t *testing.T) {
	tests := []struct {
		name   string
		answer func(r *dns.Msg) *dns.Msg
		want   string // in the error; empty = passes
	}{
		{"this node passes", func(r *dns.Msg) *dns.Msg { return r }, ""},
		{"silence fails", func(*dns.Msg) *dns.Msg { return nil }, "timeout"},
		{"another ID fails", func(r *dns.Msg) *dns.Msg { r.Id++; return r }, "ID"},
		{"another question fails", func(r *dns.Msg) *dns.Msg { r.Question[0].Name = "www.example."; return r }, "another question"},
		{"another class fails", func(r *dns.Msg) *dns.Msg { r.Question[0].Qclass = dns.ClassINET; return r }, "another question"},
		{"another node fails", func(r *dns.Msg) *dns.Msg { r.Answer[0].(*dns.TXT).Txt[0] = "fra1"; return r }, "another node"},
		{"no answer fails", func(r *dns.Msg) *dns.Msg { r.Answer = nil; return r }, "another node"},
		{"an rcode fails", func(r *dns.Msg) *dns.Msg { r.Rcode = dns.RcodeRefused; return r }, "REFUSED"},
		{"an echo fails", func(r *dns.Msg) *dns.Msg { r.Response = false; return r }, "response bit"},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(tt.name+" over "+network, func(t *testing.T) {
				n := newNode(t, tt.answer)
				timeout := 10 * time.Second
				if tt.want == "timeout" {
					timeout = 50 * time.Millisecond
				}
				err := DNS("anycast", n.addr, netip.Addr{}, network, "ams1", timeout)(t.Context())
				if tt.want == "" {
					if err != nil {
						t.Errorf("error = %v, want nil", err)
					}
					return
				}
				if _, soft := errors.AsType[*bgpctl.Fault](err); err == nil || soft || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "anycast: ") {
					t.Errorf("error = %v, want one of anycast with %q", err, tt.want)
				}
			})
		}
	}
}

func TestDNS_asks_from_several_ports(t *testing.T) {
	n := newNode(t, func(r *dns.Msg) *dns.Msg { return r })
	if err := DNS("anycast", n.addr, netip.MustParseAddr("127.0.0.1"), "udp", "ams1", 10*time.Second)(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ports) != probes {
		t.Errorf("asked from %d ports, want %d", len(n.ports), probes)
	}
}

func TestDNS_one_silent_reader_fails(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	n := newNode(t, func(r *dns.Msg) *dns.Msg {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == 3 {
			return nil
		}
		return r
	})
	err := DNS("anycast", n.addr, netip.Addr{}, "udp", "ams1", 200*time.Millisecond)(t.Context())
	fault, soft := errors.AsType[*bgpctl.Fault](err)
	if !soft || fault.Class != bgpctl.SoftLocal || !strings.Contains(err.Error(), "1 of 4") {
		t.Errorf("error = %v, want 1 of 4 failed, soft-local", err)
	}
}

func TestDNS_ends_with_its_context(t *testing.T) {
	n := newNode(t, func(*dns.Msg) *dns.Msg { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := DNS("anycast", n.addr, netip.Addr{}, "udp", "ams1", time.Hour)(ctx); err == nil {
		t.Error("error = nil, want one")
	}
}

func TestProgress_hands_down_the_limit(t *testing.T) {
	want := errors.New("reader 0 has not moved for 4s")
	stuck := func(at time.Time, limit time.Duration) error {
		if at.IsZero() || limit != 3*time.Second {
			t.Errorf("stuck(%v, %v), want now and 3s", at, limit)
		}
		return want
	}
	if err := Progress(stuck, 3*time.Second)(t.Context()); err != want {
		t.Errorf("error = %v, want %v", err, want)
	}
}

func TestExcuse(t *testing.T) {
	timeout := fmt.Errorf("anycast: 1 of 4 questions failed: %w", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded})
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	tests := []struct {
		name      string
		err       error
		path, all uint64 // replies in this round and the last; the checks ask for 4 and 10
		want      bool
	}{
		{"silence while others are served", timeout, 900, 900, true},
		{"no result while others are served anywhere", fmt.Errorf("no result: %w", context.DeadlineExceeded), 0, 900, true},
		{"no result while nobody is served", fmt.Errorf("no result: %w", context.DeadlineExceeded), 12, 30, false},
		{"a connection that is not made while others are served elsewhere", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, 0, 900, false},
		{"a reset while others are served", reset, 900, 900, true},
		{"a connection that ends while others are served", io.EOF, 900, 900, true},
		{"silence while others are served elsewhere, and the checks late", timeout, 4, 900, true},
		{"silence while others are served elsewhere, and nobody here", timeout, 0, 900, false},
		{"silence while nobody is served", timeout, 0, 0, false},
		{"silence while only the checks are served, late", timeout, 12, 30, false},
		{"a refused connection", syscall.ECONNREFUSED, 900, 900, false},
		{"a wrong reply", judge(question(), &dns.Msg{}, "ams1"), 900, 900, false},
		{"an address that is missing", errors.New("198.51.100.1 is not on lo"), 900, 900, false},
		{"no file left in the process", fmt.Errorf("listing interfaces: %w", syscall.EMFILE), 0, 0, true},
		{"no file left on the host", fmt.Errorf("listing interfaces: %w", syscall.ENFILE), 0, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, all := uint64(1e6), uint64(1e7)
			round := Excuse(Count{func() uint64 { return path }, 4}, Count{func() uint64 { return all }, 10})
			round()
			path, all = path+tt.path, all+tt.all // be it before the next round begins
			if got := round()(tt.err); got != tt.want {
				t.Errorf("excused = %t, want %t", got, tt.want)
			}
			if after := round()(timeout); after {
				t.Error("a later silence is excused although nothing was sent since")
			}
		})
	}
}

func TestDNS_tells_a_wrong_reply_among_late_ones(t *testing.T) {
	var asked atomic.Int32
	n := newNode(t, func(r *dns.Msg) *dns.Msg {
		if asked.Add(1) < probes {
			return nil
		}
		r.Rcode = dns.RcodeRefused
		return r
	})
	err := DNS("anycast", n.addr, netip.Addr{}, "udp", "ams1", 200*time.Millisecond)(t.Context())
	if err == nil || isLate(err) {
		t.Errorf("error = %v, want the wrong reply", err)
	}
}

func TestDNS_asks_although_its_source_is_gone(t *testing.T) {
	n := newNode(t, func(r *dns.Msg) *dns.Msg { return r })
	for _, network := range []string{"udp", "tcp"} {
		if err := DNS("anycast", n.addr, netip.MustParseAddr("192.0.2.10"), network, "ams1", 10*time.Second)(t.Context()); err != nil {
			t.Errorf("over %s: %v, want nil", network, err)
		}
	}
}

func TestPresent_hands_up_the_error(t *testing.T) {
	want := errors.New("198.51.100.1 is not on lo")
	if err := Present(func() error { return want })(t.Context()); err != want {
		t.Errorf("error = %v, want %v", err, want)
	}
}
