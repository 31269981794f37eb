package sidecar

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar/state"
)

var (
	prefix4  = netip.MustParsePrefix("198.51.100.0/24")
	prefix6  = netip.MustParsePrefix("2001:db8:53::/48")
	prefixes = []netip.Prefix{prefix4, prefix6}
)

// A recorder is a Speaker that remembers what it was told, newest last.
type recorder struct {
	mu     sync.Mutex
	sets   [][]Route
	err    error         // of the next calls of Set
	block  chan struct{} // Set waits for it; nil = it does not
	change chan struct{} // holds one: there is news
}

func newRecorder() *recorder { return &recorder{change: make(chan struct{}, 1)} }

func (r *recorder) Set(_ context.Context, routes []Route) error {
	r.mu.Lock()
	r.sets = append(r.sets, routes)
	err, block := r.err, r.block
	r.mu.Unlock()
	select {
	case r.change <- struct{}{}:
	default:
	}
	if block != nil {
		<-block
	}
	return err
}

func (r *recorder) Close(context.Context) error { return nil }

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recorder) last() []Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sets) == 0 {
		return nil
	}
	return r.sets[len(r.sets)-1]
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sets)
}

// patience bounds every wait of these tests. It is only reached by a failure.
const patience = time.Minute

// await waits until the routes of the last Set are as want says.
func (r *recorder) await(t testing.TB, what string, want func([]Route) bool) {
	t.Helper()
	limit := time.After(patience)
	for !want(r.last()) {
		select {
		case <-r.change:
		case <-limit:
			t.Fatalf("not %s: %+v", what, r.last())
		}
	}
}

func none(routes []Route) bool { return len(routes) == 0 }
func both(routes []Route) bool { return len(routes) == 2 }

// atOnce are rules without waiting.
var atOnce = state.Rules{
	Warmup: state.Warmup{Rise: 1},
	Drain:  state.Drain{Wait: time.Hour},
	Guard:  state.Guard{Trusting: true},
}

func testOptions(t testing.TB, r *recorder) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Options{
		Path: filepath.Join(dir, "bgp.sock"),
		Groups: []Group{{
			Name: "main", Prefixes: prefixes, Communities: []uint32{7}, Prepend: 1,
			Degraded: Degraded{Communities: []uint32{65535 << 16}, Prepend: 2},
		}},
		Rules:   atOnce,
		Speaker: r,
	}
}

// start serves until the test ends.
func start(t testing.TB, o Options) *Sidecar {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, ErrStuck) {
				t.Errorf("Serve = %v, want nil", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	return s
}

// A client speaks the protocol by hand.
type client struct {
	testing.TB
	*net.UnixConn
	lease bgpctl.Lease
}

func dial(t testing.TB, path string) *client {
	t.Helper()
	c, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{t, c.(*net.UnixConn), bgpctl.Lease{
		BootID: "boot", PID: 1, Start: time.Now().UnixNano(), TTL: 5000, Wish: bgpctl.Up, Prefixes: prefixes,
	}}
}

// hold sends the next lease and returns the reply.
func (c *client) hold() bgpctl.Reply {
	c.Helper()
	c.lease.Seq++
	return c.repeat()
}

// repeat sends the lease with the Seq it has.
func (c *client) repeat() bgpctl.Reply {
	c.Helper()
	datagram, err := c.lease.Encode()
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.Write(datagram); err != nil {
		c.Fatal(err)
	}
	buf := make([]byte, bgpctl.MaxDatagram)
	n, err := c.Read(buf)
	if err != nil {
		c.Fatal(err)
	}
	r, err := bgpctl.ParseReply(buf[:n])
	if err != nil {
		c.Fatal(err)
	}
	return r
}

func TestSidecar_announces_for_a_lease(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	reply := dial(t, o.Path).hold()
	if reply.State != bgpctl.Announced || !slices.Equal(reply.Announced, prefixes) || reply.Error != "" {
		t.Errorf("reply = %+v, want ANNOUNCED with both prefixes", reply)
	}
	want := Route{Prefix: prefix4, Communities: []uint32{7}, Prepend: 1}
	if got := r.last(); len(got) != 2 || !got[0].Equal(want) {
		t.Errorf("routes = %+v, want first %+v", got, want)
	}
}

func TestSidecar_drains_with_degraded_attributes(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	c := dial(t, o.Path)
	c.hold()
	c.lease.Wish = bgpctl.Drain
	if reply := c.hold(); reply.State != bgpctl.Draining || len(reply.Announced) != 2 {
		t.Errorf("reply = %+v, want DRAINING and still both prefixes", reply)
	}
	want := Route{Prefix: prefix4, Communities: []uint32{7, 65535 << 16}, Prepend: 3}
	if got := r.last(); len(got) != 2 || !got[0].Equal(want) {
		t.Errorf("routes = %+v, want first %+v", got, want)
	}
	c.lease.Wish = bgpctl.Down
	if reply := c.hold(); !reply.Gone() {
		t.Errorf("reply = %+v, want WITHDRAWN and no prefix", reply)
	}
}

func TestSidecar_withdraws_at_the_end_of_the_connection(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	c := dial(t, o.Path)
	c.hold()
	c.Close()
	r.await(t, "withdrawn", none)
}

func TestSidecar_withdraws_when_the_holder_is_silent(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	o := testOptions(t, r)
	s := start(t, o)
	c := dial(t, o.Path)
	c.lease.TTL = 1     // is taken as MinLease
	began := time.Now() // the lease begins later
	c.hold()
	r.await(t, "withdrawn", none)
	if took := time.Since(began); took < bgpctl.MinLease {
		t.Errorf("withdrawn after %v, want no sooner than %v", took, bgpctl.MinLease)
	}
	if n := s.Stats().Expired; n != 1 {
		t.Errorf("Expired = %d, want 1", n)
	}
}

func TestSidecar_ends_a_connection_that_talks_nonsense(t *testing.T) {
	tests := []struct {
		name     string
		datagram string
	}{
		{"noise", "\x17\x03\x03"},
		{"an unknown version", `{"v":99,"seq":2,"wish":"up"}`},
		{"a datagram that is too long", strings.Repeat("a", bgpctl.MaxDatagram+1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			o := testOptions(t, r)
			s := start(t, o)
			c := dial(t, o.Path)
			c.hold()
			if _, err := c.Write([]byte(tt.datagram)); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("Read = %d octets, want the end of the connection", n)
			}
			r.await(t, "withdrawn", none)
			if n := s.Stats().Garbage; n != 1 {
				t.Errorf("Garbage = %d, want 1", n)
			}
		})
	}
}

func TestSidecar_refuses_leases(t *testing.T) {
	tests := []struct {
		name string
		bend func(c *client)
		want string
	}{
		{"a prefix of no group", func(c *client) { c.lease.Prefixes = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} }, "no group has the prefix 203.0.113.0/24"},
		{"a longer prefix than the group's", func(c *client) { c.lease.Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/25")} }, "no group has"},
		{"no prefixes", func(c *client) { c.lease.Prefixes = nil }, "no prefixes"},
		{"a seq that was used", func(c *client) { c.lease.Seq-- }, "seq 1 after 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			o := testOptions(t, r)
			start(t, o)
			c := dial(t, o.Path)
			c.hold()
			tt.bend(c)
			if reply := c.hold(); !reply.Refused || !strings.Contains(reply.Error, tt.want) || reply.State != bgpctl.Announced {
				t.Errorf("reply = %+v, want a refusal with %q that changes nothing", reply, tt.want)
			}
		})
	}
}

func TestSidecar_replayed_leases_renew_nothing(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	c := dial(t, o.Path)
	c.lease.TTL = bgpctl.MinLease.Milliseconds()
	c.hold()
	deadline := time.Now().Add(patience)
	for !none(r.last()) {
		if time.Now().After(deadline) {
			t.Fatal("announced for as long as the lease was replayed")
		}
		if reply := c.repeat(); !reply.Refused {
			t.Fatalf("reply = %+v, want a refusal", reply)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestSidecar_has_one_holder(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	first, second := dial(t, o.Path), dial(t, o.Path)
	first.hold()
	second.lease.PID = 2
	if reply := second.hold(); !reply.Refused || !strings.Contains(reply.Error, "holds the lease") {
		t.Errorf("reply to the second = %+v, want a refusal", reply)
	}
	if reply := first.hold(); reply.Refused || reply.State != bgpctl.Announced {
		t.Errorf("reply to the first = %+v, want ANNOUNCED", reply)
	}
	first.Close()
	r.await(t, "withdrawn", none)
	if reply := second.hold(); reply.Refused || reply.State != bgpctl.Announced {
		t.Errorf("reply to the second after the first = %+v, want ANNOUNCED", reply)
	}
}

func TestSidecar_a_silent_holder_is_succeeded(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	first, second := dial(t, o.Path), dial(t, o.Path)
	first.lease.TTL = bgpctl.MinLease.Milliseconds()
	first.hold()
	r.await(t, "withdrawn", none)
	second.lease.PID = 2
	if reply := second.hold(); reply.Refused {
		t.Errorf("reply to the second = %+v, want a lease", reply)
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the connection of the first is open, want its end")
	}
	if reply := second.hold(); reply.State != bgpctl.Announced {
		t.Errorf("reply = %+v, want ANNOUNCED: the end of the first is not the second's", reply)
	}
}

func TestSidecar_tells_and_retries_what_the_speaker_refused(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.fail(errors.New("no session"))
	o := testOptions(t, r)
	start(t, o)
	c := dial(t, o.Path)
	if reply := c.hold(); reply.Refused || reply.Error != "no session" || len(reply.Announced) != 0 {
		t.Errorf("reply = %+v, want a lease, no prefix and the error", reply)
	}
	r.fail(nil)
	tried := r.count()
	deadline := time.Now().Add(patience)
	for r.count() == tried && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
		c.hold()
	}
	if reply := c.hold(); reply.Error != "" || len(reply.Announced) != 2 {
		t.Errorf("reply = %+v, want both prefixes", reply)
	}
}

func TestSidecar_asks_the_speaker_for_changes_only(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	start(t, o)
	c := dial(t, o.Path)
	for range 20 {
		c.hold()
	}
	if n := r.count(); n != 2 {
		t.Errorf("Set was called %d times, want 2: at the start and for the announcement", n)
	}
}

func TestSidecar_ends_if_the_speaker_is_stuck(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.block = make(chan struct{})
	defer close(r.block)
	o := testOptions(t, r)
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	c := dial(t, o.Path)
	c.lease.Seq++
	datagram, _ := c.lease.Encode()
	c.Write(datagram)
	select {
	case err := <-done:
		if !errors.Is(err, ErrStuck) {
			t.Errorf("Serve = %v, want %v", err, ErrStuck)
		}
	case <-time.After(patience):
		t.Error("Serve does not return")
	}
}

func TestSidecar_withdraws_at_its_own_end(t *testing.T) {
	r := newRecorder()
	o := testOptions(t, r)
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	dial(t, o.Path).hold()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if !none(r.last()) {
		t.Errorf("routes = %+v, want none", r.last())
	}
	if _, err := os.Lstat(o.Path); err == nil {
		t.Error("the socket is still there")
	}
}
