package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"proxima/bgpctl"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/signals"
	"proxima/config"
)

// patience bounds what a test waits for. It is no measure of anything.
const patience = time.Minute

// freePort returns a port of 127.0.0.1 that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// silent is a log that nobody reads.
func silent() *logging.Log { return &logging.Log{Logger: zap.NewNop()} }

// A node is a daemon that serves 127.0.0.1 within the test. Its root is a stub
// zone at a port where nobody answers.
type node struct {
	*daemon
	dns, web string
	signals  chan os.Signal
	ended    chan error
}

func startNode(t *testing.T, more string, changes ...func(*config.Node)) *node {
	t.Helper()
	port, web := freePort(t), freePort(t)
	c := mustParse(t, fmt.Sprintf(`
node: {id: test1}
listen: {addresses: [127.0.0.1], port: %d}
admin: {listen: "127.0.0.1:%d"}
recursion: {stub: [{zone: ., servers: ["127.0.0.1@1"]}]}
health: {every: 100ms, rise: 1}
%s`, port, web, more))
	for _, change := range changes {
		change(c)
	}
	d, err := start(c, silent())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{d, fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", web),
		make(chan os.Signal, 2), make(chan error, 1)}
	go func() { n.ended <- n.run(signals.Signals{Ends: n.signals}) }()
	t.Cleanup(func() { n.stop(t) })
	return n
}

// stop asks the node to end, and hurries it.
func (n *node) stop(t *testing.T) {
	for {
		select {
		case n.signals <- syscall.SIGTERM:
		case err := <-n.ended:
			if err != nil {
				t.Errorf("run = %v", err)
			}
			n.ended <- nil // for whoever asks again
			return
		case <-time.After(patience):
			t.Fatal("the node did not end")
		}
	}
}

// await polls until what is true.
func await(t *testing.T, claim string, what func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if what() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, claim)
}

func get(url string) (status int, body string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(text)
}

func TestServe_answersAndEndsOnASignal(t *testing.T) {
	n := startNode(t, "")
	for _, network := range []string{"udp", "tcp"} {
		q := new(dns.Msg)
		q.SetQuestion("id.server.", dns.TypeTXT)
		q.Question[0].Qclass = dns.ClassCHAOS
		r, _, err := (&dns.Client{Net: network}).Exchange(q, n.dns)
		if err != nil || len(r.Answer) != 1 || r.Answer[0].(*dns.TXT).Txt[0] != "test1" {
			t.Errorf("%s: %v %v", network, r, err)
		}
	}
	await(t, "the node is ready", func() bool { status, _ := get(n.web + "/readyz"); return status == http.StatusOK })
	if status, body := get(n.web + "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	n.stop(t)
	for _, address := range []string{n.dns, strings.TrimPrefix(n.web, "http://")} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("after the end: %v", err)
			continue
		}
		l.Close()
	}
}

func TestServe_asksForWhatItKeepsWarm(t *testing.T) {
	n := startNode(t, "cache: {keep_warm: [www.example., example. MX]}\n")
	await(t, "addresses of both families, and MX, were asked for in vain", func() bool { return n.resolver.Stats().RefreshFailed == 3 })
}

func TestServe_failedStartNamesTheReasonAndLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	free := freePort(t)
	tests := []struct {
		name string
		text string
		want string
	}{
		{"the admin address is taken", fmt.Sprintf(`{listen: {addresses: [127.0.0.1], port: %d}, admin: {listen: "127.0.0.1:%d"}}`, free, port), "admin.listen: "},
		{"the DNS port is taken", fmt.Sprintf(`{listen: {addresses: [127.0.0.1], port: %d}, admin: {listen: "127.0.0.1:%d"}}`, port, free), fmt.Sprintf("127.0.0.1:%d", port)},
		{"a source is not here", fmt.Sprintf(`{listen: {addresses: [127.0.0.1], port: %d}, upstream: {sources: [203.0.113.77]}}`, free), "203.0.113.77 is not on this host"},
		{"the hints cannot be read", fmt.Sprintf(`{listen: {addresses: [127.0.0.1], port: %d}, admin: {listen: ""}, recursion: {root_hints: /nowhere/hints}}`, free), "recursion.root_hints: open /nowhere/hints"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := start(mustParse(t, tt.text), silent()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("start = %v, want %q", err, tt.want)
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", free))
			if err != nil {
				t.Fatalf("left behind: %v", err)
			}
			l.Close()
		})
	}
}

func TestMetrics_passTheLinter(t *testing.T) {
	n := startNode(t, "", withCopy)
	problems, err := testutil.GatherAndLint(n.newRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetrics_namePackages(t *testing.T) {
	n := startNode(t, "", withCopy)
	families, err := n.newRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{"build": true, "netsetup": true, "server": true, "resolver": true, "cache": true,
		"iterate": true, "dialogue": true, "localroot": true, "logging": true, "selection": true, "upstream": true, "bgpctl": true}
	seen := map[string]bool{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "proxima_")
		room, _, _ := strings.Cut(name, "_")
		if ours && !rooms[room] {
			t.Errorf("%s names no package", f.GetName())
		}
		seen[room] = ours
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("no metric of %s", room)
		}
	}
}

func TestMetrics_readAlone(t *testing.T) {
	n := startNode(t, "")
	families, err := n.newRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	neighbour := regexp.MustCompile(`(?i)\b(these|those above|its replies|it is|it was)\b|^(Its|Of) `)
	word := regexp.MustCompile(`^[a-z0-9_.:]+$`)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "proxima_") {
			continue
		}
		if neighbour.MatchString(f.GetHelp()) {
			t.Errorf("%s needs its neighbours to be understood: %s", f.GetName(), f.GetHelp())
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() != "version" && !word.MatchString(l.GetValue()) {
					t.Errorf("%s: label %s=%q is written otherwise than the others", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
}

func TestAdmin_servesMetrics(t *testing.T) {
	n := startNode(t, "")
	status, body := get(n.web + "/metrics")
	for _, want := range []string{"proxima_server_queries_total{transport=\"udp\"}", "go_goroutines", "go_cpu_classes_gc_total_cpu_seconds_total", "process_open_fds"} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics: %d without %s", status, want)
		}
	}
}

func TestAdmin_tellsWhatAFailureMeans(t *testing.T) {
	n := startNode(t, "")
	for _, want := range []string{
		`proxima_bgpctl_check_passing{check="dns_127.0.0.1_udp",class="hard_local"} 1`,
		`proxima_bgpctl_check_passing{check="dns_127.0.0.1_tcp",class="soft_local"} 1`,
		`proxima_bgpctl_fault{class="sound"} 1`,
	} {
		await(t, "/metrics says "+want, func() bool {
			_, body := get(n.web + "/metrics")
			return strings.Contains(body, want)
		})
	}
}

func TestReadiness(t *testing.T) {
	up := bgpctl.Health{Up: true}
	failed := []bgpctl.Result{{Name: "dns", Class: bgpctl.HardLocal, Err: io.EOF}}
	degraded := []bgpctl.Result{
		{Name: "recursion", Class: bgpctl.Upstream, Err: io.EOF, Fault: bgpctl.Upstream, Cause: io.EOF},
		{Name: "not run yet", Class: bgpctl.Shared, Err: io.EOF},
	}
	sessions := func(up, all int) bgpctl.Reply {
		announced := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		return bgpctl.Reply{State: bgpctl.Announced, Reason: "warmed up", Announced: announced, SessionsUp: up, Sessions: all}
	}
	tests := []struct {
		name      string
		status    bgpctl.Status
		announces bool
		ready     bool
		text      string
	}{
		{"checks pass, nothing to announce", bgpctl.Status{Health: up}, false, true, "ok"},
		{"a sidecar without sessions announces", bgpctl.Status{Health: up, Sidecar: sessions(0, 0)}, true, true,
			"ok\nsidecar: ANNOUNCED, warmed up"},
		{"a router has heard of it", bgpctl.Status{Health: up, Sidecar: sessions(1, 2)}, true, true,
			"ok\nsidecar: ANNOUNCED, warmed up; 1 of 2 BGP sessions up"},
		{"no router has", bgpctl.Status{Health: up, Sidecar: sessions(0, 2)}, true, false,
			"sidecar: ANNOUNCED, warmed up; 0 of 2 BGP sessions up"},
		{"the sidecar warms up", bgpctl.Status{Health: up, Sidecar: bgpctl.Reply{State: bgpctl.Warmup, Reason: "the checks pass"}}, true, false,
			"sidecar: WARMUP, the checks pass"},
		{"the sidecar is not there", bgpctl.Status{Health: up, LinkErr: io.ErrUnexpectedEOF}, true, false,
			"sidecar: INIT; unexpected EOF"},
		{"the health is still down", bgpctl.Status{}, false, false, "the checks have not passed for long enough"},
		{"a check fails", bgpctl.Status{Health: up, Checks: failed, Sidecar: sessions(2, 2)}, true, false,
			"check dns: EOF\nsidecar: ANNOUNCED, warmed up; 2 of 2 BGP sessions up"},
		{"a fault that only degrades", bgpctl.Status{Health: up, Checks: degraded, Sidecar: sessions(2, 2)}, true, true,
			"ok\nupstream fault of check recursion: EOF\nsidecar: ANNOUNCED, warmed up; 2 of 2 BGP sessions up"},
		{"a drain", bgpctl.Status{Health: up, Draining: true}, false, false, "draining"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text, ready := readiness(tt.status, tt.announces); text != tt.text || ready != tt.ready {
				t.Errorf("readiness = %q, %t; want %q, %t", text, ready, tt.text, tt.ready)
			}
		})
	}
}

// sidecar stands in for proxima-bgp: it announces what is wished, and drains
// until it is told to have done.
type sidecar struct {
	path   string
	wishes chan bgpctl.Wish // each change
	done   chan struct{}    // close it to end a drain
}

func startSidecar(t *testing.T) *sidecar {
	t.Helper()
	s := &sidecar{filepath.Join(t.TempDir(), "s"), make(chan bgpctl.Wish, 16), make(chan struct{})}
	l, err := net.Listen("unixpacket", s.path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.talk(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return s
}

func (s *sidecar) talk(conn net.Conn) {
	last := bgpctl.Wish(255)
	buf := make([]byte, bgpctl.MaxDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		lease, err := bgpctl.ParseLease(buf[:n])
		if err != nil {
			return
		}
		if lease.Wish != last {
			last = lease.Wish
			s.wishes <- last
		}
		reply := bgpctl.Reply{Version: bgpctl.ProtocolVersion, Seq: lease.Seq}
		switch lease.Wish {
		case bgpctl.Up:
			reply.State, reply.Announced = bgpctl.Announced, lease.Prefixes
		case bgpctl.Drain:
			reply.State, reply.Announced = bgpctl.Draining, lease.Prefixes
			select {
			case <-s.done:
				reply.State, reply.Announced = bgpctl.Withdrawn, nil
			default:
			}
		}
		datagram, err := reply.Encode()
		if err != nil {
			return
		}
		if _, err := conn.Write(datagram); err != nil {
			return
		}
	}
}

// wished waits for the wish w. Others may come before: on a busy host checks fail
// now and then.
func (s *sidecar) wished(t *testing.T, w bgpctl.Wish) {
	t.Helper()
	for end := time.After(patience); ; {
		select {
		case got := <-s.wishes:
			if got == w {
				return
			}
		case <-end:
			t.Fatalf("no wish %v", w)
		}
	}
}

func startAnnounced(t *testing.T, s *sidecar) *node {
	n := startNode(t, "", func(c *config.Node) { // which a file would not be allowed: nobody is in the prefix
		c.BGP.Socket, c.BGP.Prefixes, c.BGP.Lease = s.path, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, time.Second
	})
	s.wished(t, bgpctl.Up)
	await(t, "the node is ready", func() bool { status, _ := get(n.web + "/readyz"); return status == http.StatusOK })
	return n
}

func TestServe_drainsBeforeItEnds(t *testing.T) {
	s := startSidecar(t)
	n := startAnnounced(t, s)
	n.signals <- syscall.SIGTERM
	s.wished(t, bgpctl.Drain)
	await(t, "the node is no longer ready", func() bool {
		status, _ := get(n.web + "/readyz")
		return status == http.StatusServiceUnavailable
	})
	q := new(dns.Msg)
	q.SetQuestion("localhost.", dns.TypeA)
	if r, err := dns.Exchange(q, n.dns); err != nil || len(r.Answer) != 1 {
		t.Errorf("while draining: %v %v", r, err)
	}
	close(s.done)
	s.wished(t, bgpctl.Down)
	select {
	case err := <-n.ended:
		n.ended <- err
		if err != nil {
			t.Errorf("run = %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the node did not end")
	}
}

func TestServe_secondSignalWithdrawsAtOnce(t *testing.T) {
	s := startSidecar(t)
	n := startAnnounced(t, s)
	n.signals <- syscall.SIGTERM
	s.wished(t, bgpctl.Drain)
	n.signals <- syscall.SIGTERM
	s.wished(t, bgpctl.Down)
}
