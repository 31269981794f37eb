package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"proxima/bgpctl"
)

// asSidecar makes a run of the test's own binary be the program.
const asSidecar = "PROXIMA_TEST_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// patience bounds every wait of these tests. It is only reached by a failure.
const patience = time.Minute

var prefix = netip.MustParsePrefix("198.51.100.0/24")

// A process is a sidecar in a process of its own.
type process struct {
	*exec.Cmd
	socket  string
	control string
	admin   string
	ended   chan error
}

// newProgram starts a sidecar with a speaker: the lines of its file.
func newProgram(t *testing.T, speaker string, changes ...func(*exec.Cmd)) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &process{socket: filepath.Join(dir, "run", "bgp.sock"), control: filepath.Join(dir, "run", "control.sock"), admin: freePort(t, "127.0.0.1"), ended: make(chan error, 1)}
	file := filepath.Join(dir, "proxima-bgp.yaml")
	text := fmt.Sprintf("%s\nsocket: %s\nadmin: {listen: %s}\ngroups: [{name: main, prefixes: [%s]}]\nwarmup: {min: 0s, rise: 1, jitter: 0s}\ndamping: {limit: 0}\nstate_file: %s\ncontrol: {socket: %s}\n",
		speaker, p.socket, p.admin, prefix, filepath.Join(dir, "state"), p.control)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Cmd = exec.Command("/proc/self/exe", "serve", "-c", file)
	p.Env = append(os.Environ(), asSidecar+"=1")
	if testing.Verbose() {
		p.Stderr = os.Stderr
	}
	for _, change := range changes {
		change(p.Cmd)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
	return p
}

// await returns how the program ended, for once.
func (p *process) await(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- nil
		return err
	case <-time.After(patience):
		t.Fatal("the program does not end")
		return nil
	}
}

func freePort(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skip("no loopback address: ", err)
	}
	defer l.Close()
	return l.Addr().String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not ", what)
		}
	}
}

// hold takes a lease of 10 s as soon as the program listens.
func (p *process) hold(t *testing.T) *bgpctl.Socket {
	t.Helper()
	link := bgpctl.Dial(p.socket)
	t.Cleanup(func() { link.Close() })
	eventually(t, "announced", func() bool {
		r, err := link.Hold(t.Context(), bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: []netip.Prefix{prefix}}, bgpctl.MaxLease)
		return err == nil && r.State == bgpctl.Announced && len(r.Announced) == 1
	})
	return link
}

func (p *process) get(t *testing.T, path string) string {
	t.Helper()
	r, err := http.Get("http://" + p.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestServe_tells_what_it_does(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "speaker: dry-run")
	p.hold(t)
	if got := p.get(t, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz = %q, want ok", got)
	}
	var metrics string
	eventually(t, "told", func() bool { // the status is renewed ten times a second
		metrics = p.get(t, "/metrics")
		return strings.Contains(metrics, "proxima_sidecar_leased 1\n")
	})
	for _, want := range []string{
		`proxima_sidecar_state{state="announced"} 1`,
		`proxima_sidecar_state{state="withdrawn"} 0`,
		`proxima_sidecar_transitions_total{state="announced"} 1`,
		"proxima_sidecar_announced_prefixes 1",
		"proxima_sidecar_leased 1",
		"proxima_sidecar_lease_expired_total 0",
		"proxima_logging_dropped_lines_total 0",
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

func TestServe_needs_nobody_who_reads_its_log(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		reader func(r, w *os.File) error
	}{
		{"the reader has gone", func(r, _ *os.File) error { return r.Close() }},
		{"the reader hangs", func(_, w *os.File) error { return fill(w) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := tt.reader(r, w); err != nil {
				t.Fatal(err)
			}
			p := newProgram(t, "speaker: dry-run", func(cmd *exec.Cmd) { cmd.Stderr = w })
			w.Close()
			p.hold(t)
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.await(t); err != nil {
				t.Errorf("the program ended with %v, want nil", err)
			}
		})
	}
}

// fill writes into a pipe until it takes no more.
func fill(w *os.File) error {
	for {
		_ = w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := w.Write(make([]byte, 4096)); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestServe_ignores_a_hangup(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "speaker: dry-run")
	link := p.hold(t)
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		time.Sleep(20 * time.Millisecond) // a program that dies needs a moment
		r, err := link.Hold(t.Context(), bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: []netip.Prefix{prefix}}, bgpctl.MaxLease)
		if err != nil || r.State != bgpctl.Announced {
			t.Fatalf("after SIGHUP: %v, %v", r.State, err)
		}
	}
}

func TestServe_ends_with_a_signal(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "speaker: dry-run")
	p.hold(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.await(t); err != nil {
		t.Errorf("the program ended with %v, want nil", err)
	}
	if _, err := os.Lstat(p.socket); err == nil {
		t.Error("the socket is still there")
	}
}

func TestServe_starts_after_a_kill(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "speaker: dry-run")
	p.hold(t)
	p.Process.Kill()
	p.await(t)
	if _, err := os.Lstat(p.socket); err != nil {
		t.Fatal("the socket is gone: this proves nothing")
	}
	again := exec.Command("/proc/self/exe", p.Args[1:]...)
	again.Env = p.Env
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer again.Wait()
	defer again.Process.Kill()
	p.hold(t)
}

func TestWithdraw_takesAwayWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	said := filepath.Join(t.TempDir(), "said")
	p := newProgram(t, fmt.Sprintf("speaker: exec\nexec: {asn: 64511, command: [/usr/bin/tee, %s]}", said))
	p.hold(t)
	withdraw := func() error {
		cmd := exec.Command("/proc/self/exe", "withdraw", "-c", p.Args[len(p.Args)-1])
		cmd.Env = p.Env
		return cmd.Run()
	}
	read := func() string {
		text, err := os.ReadFile(said)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := withdraw(); err == nil || !strings.HasPrefix(read(), "announce") {
		t.Errorf("beside a live sidecar: %v, and the last line is %q", err, read())
	}
	p.Process.Kill()
	p.await(t)
	if err := withdraw(); err != nil {
		t.Error(err)
	}
	if want := "withdraw route 198.51.100.0/24 next-hop self\n"; read() != want {
		t.Errorf("the last line is %q, want %q", read(), want)
	}
}

// A router is a GoBGP in this process that waits for the sidecar.
type router struct {
	*server.BgpServer
	addr netip.AddrPort
}

func newRouter(t *testing.T) *router {
	t.Helper()
	const address = "127.0.0.6"
	r := &router{
		BgpServer: server.NewBgpServer(server.LoggerOption(slog.New(slog.DiscardHandler), new(slog.LevelVar))),
		addr:      netip.MustParseAddrPort(freePort(t, address)),
	}
	go r.Serve()
	t.Cleanup(func() { r.StopBgp(context.Background(), &api.StopBgpRequest{}) })
	if err := r.StartBgp(t.Context(), &api.StartBgpRequest{Global: &api.Global{
		Asn: 64500, RouterId: "203.0.113.1", ListenPort: int32(r.addr.Port()), ListenAddresses: []string{address},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := r.AddPeer(t.Context(), &api.AddPeerRequest{Peer: &api.Peer{
		Conf:            &api.PeerConf{NeighborAddress: "127.0.0.1", PeerAsn: 64511},
		Transport:       &api.Transport{PassiveMode: true},
		TtlSecurity:     &api.TtlSecurity{Enabled: true, TtlMin: 255},
		GracefulRestart: &api.GracefulRestart{Enabled: true, RestartTime: 120},
	}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *router) knows(t *testing.T) bool {
	t.Helper()
	found := false
	if err := r.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: bgp.RF_IPv4_UC},
		func(nlri bgp.NLRI, _ []*apiutil.Path) { found = found || nlri.String() == prefix.String() }); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestServe_route_goes_with_the_sidecar(t *testing.T) {
	tests := []struct {
		name   string
		signal syscall.Signal
	}{
		{"SIGTERM withdraws", syscall.SIGTERM},
		{"SIGKILL ends the connection", syscall.SIGKILL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRouter(t)
			p := newProgram(t, fmt.Sprintf("gobgp: {asn: 64511, router_id: 203.0.113.2, peers: [{address: %s, port: %d, asn: 64500}]}",
				r.addr.Addr(), r.addr.Port()))
			link := p.hold(t)
			eventually(t, "announced", func() bool { return r.knows(t) })
			want := bgpctl.Wanted{Wish: bgpctl.Up, Prefixes: []netip.Prefix{prefix}}
			if reply, err := link.Hold(t.Context(), want, bgpctl.MaxLease); err != nil || reply.SessionsUp != 1 || reply.Sessions != 1 {
				t.Errorf("%d of %d sessions up, %v; want 1 of 1", reply.SessionsUp, reply.Sessions, err)
			}
			if want := `proxima_sidecar_peer_up{peer="127.0.0.6"} 1`; !strings.Contains(p.get(t, "/metrics"), want+"\n") {
				t.Errorf("/metrics lacks %q", want)
			}
			began := time.Now()
			p.Process.Signal(tt.signal)
			eventually(t, "withdrawn", func() bool { return !r.knows(t) })
			t.Logf("withdrawn after %v", time.Since(began))
			p.await(t)
		})
	}
}
