//go:build linux

package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"proxima/test/netns"
)

const (
	// startLimit bounds the wait for a program to serve, or to do what it
	// should, stopLimit for it to end. Both take a small part of a second on an
	// idle machine; they are there to end what never comes, not to judge.
	startLimit = time.Minute
	stopLimit  = time.Minute
	// tries is how often a measure is taken that a machine which stands still
	// for a moment spoils: a packet sent again, a check that came too late.
	// What the node does wrong it does each time.
	tries = 3
	// pollPause lies between two looks at something that is awaited.
	pollPause = 5 * time.Millisecond
)

// The addresses of the service under test, two of each family, and the
// prefixes that cover them.
var (
	service = []netip.Addr{
		netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2"),
		netip.MustParseAddr("2001:db8:53::1"), netip.MustParseAddr("2001:db8:53::2"),
	}
	covering = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}
)

// own are addresses that the operator has put on lo: the node asks from them,
// and they must outlive whatever happens to it.
var own = []netip.Prefix{netip.MustParsePrefix("192.0.2.99/32"), netip.MustParsePrefix("2001:db8:99::99/128")}

// programs is the folder of the compiled programs; TestMain makes it.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "proxima-node")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // other users start them, too
	}
	if err == nil {
		cmd := exec.Command("go", "build", "-o", dir, "proxima/cmd/...")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Nodes mostly wait: more of them than cores live at once.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = dir
	return m.Run()
}

// full reports whether the tests take their full measure.
func full() bool { return os.Getenv("PROXIMA_FULL") == "1" }

// alone reports whether the machine has nothing else to do, so that figures of
// time may be judged; else they are only told.
func alone() bool { return os.Getenv("PROXIMA_ALONE") == "1" }

// A node is a host with the files of the two programs.
type node struct {
	*netns.Host
	id  string
	dir string // of configuration files, logs and sockets; readable by everybody

	proxima, sidecar *netns.Program
	log              *output // of proxima's last start
}

// mustNode gives a host the files of a node.
func mustNode(t *testing.T, h *netns.Host) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxima-node")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &node{Host: h, id: "node1", dir: dir}
}

// mustAlone returns a node that is alone in the world, with the operator's
// addresses.
func mustAlone(t *testing.T) *node {
	t.Helper()
	net := mustNet(t)
	h, err := net.Host("alone")
	if err == nil {
		err = h.Addr("lo", own...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return mustNode(t, h)
}

// quiet keeps a node from asking its own questions, where questions are counted.
const quiet = "health: {recursion: {targets: []}, validation: {good: [], bogus: []}}\n"

// mustNet returns an empty net, or skips where there cannot be one.
func mustNet(t *testing.T) *netns.Net {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	net := netns.New()
	t.Cleanup(net.Close)
	return net
}

// file returns the path of a file of the node.
func (n *node) file(name string) string { return filepath.Join(n.dir, name) }

// mustWrite writes a file of the node and returns its path.
func (n *node) mustWrite(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(n.file(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return n.file(name)
}

// anycastFile is a configuration that serves all service addresses on port 53
// and holds them; it does not validate, since the root here is not signed. More
// lines may follow it. Without addresses to listen on,
// each service address is one.
func anycastFile(listen ...string) string {
	if len(listen) == 0 {
		listen = words(service)
	}
	var held []netip.Prefix
	for _, a := range service {
		held = append(held, netip.PrefixFrom(a, a.BitLen()))
	}
	return fmt.Sprintf(`node: {id: node1}
listen: {addresses: %s, port: 53}
anycast: {addresses: %s}
access: {allow: [0.0.0.0/0, "::/0"]}
cache: {memory: 16MiB}
dnssec: {validate: false}
`, list(listen), list(words(held)))
}

// list writes a list for a configuration file.
func list(entries []string) string { return `["` + strings.Join(entries, `", "`) + `"]` }

func words[T fmt.Stringer](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.String()
	}
	return all
}

// blackholes is the line that gives the covering prefixes blackhole routes.
func blackholes() string { return fmt.Sprintf("bgp: {prefixes: %s}\n", list(words(covering))) }

// command returns a command line of one of the programs.
func command(program string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(programs, program), args...)
}

// mustStart starts proxima and waits until it answers on each of the addresses.
func (n *node) mustStart(t *testing.T, cmd *exec.Cmd, at ...netip.AddrPort) {
	t.Helper()
	n.mustLaunch(t, cmd)
	await(t, startLimit, "an answer from "+n.id, func() error {
		select {
		case <-n.proxima.Done():
			t.Fatalf("proxima ended: %v\n%s", n.proxima.Err(), n.log)
		default:
		}
		for _, a := range at {
			if err := n.canary(n.Host, "udp", a, 500*time.Millisecond); err != nil {
				return fmt.Errorf("%w\n%s", err, n.log)
			}
		}
		return nil
	})
}

// mustLaunch starts proxima and does not wait.
func (n *node) mustLaunch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	n.log = &output{}
	cmd.Stdout, cmd.Stderr = n.log, n.log
	var err error
	if n.proxima, err = n.Start(cmd); err != nil {
		t.Fatal(err)
	}
}

// mustStop asks proxima to leave in order and waits until it has.
func (n *node) mustStop(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	select {
	case <-n.proxima.Done():
		if err := n.proxima.Err(); err != nil {
			t.Errorf("proxima ended with %v after SIGTERM, want status 0\n%s", err, n.log)
		}
	case <-time.After(stopLimit):
		n.signal(t, syscall.SIGQUIT) // it prints its goroutines
		<-n.proxima.Done()
		t.Fatalf("proxima did not end within %v of SIGTERM\n%s", stopLimit, n.log)
	}
}

func (n *node) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.proxima.Process.Signal(s); err != nil {
		t.Fatalf("%v: %v\n%s", s, err, n.log)
	}
}

// mustSidecar starts proxima-bgp and waits for its socket.
func (n *node) mustSidecar(t *testing.T, file string) {
	t.Helper()
	log := &output{}
	cmd := command("proxima-bgp", "serve", "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	var err error
	if n.sidecar, err = n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	await(t, startLimit, "the sidecar's socket", func() error {
		select {
		case <-n.sidecar.Done():
			t.Fatalf("proxima-bgp ended: %v\n%s", n.sidecar.Err(), log)
		default:
		}
		conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(conn)
		return unix.Connect(conn, &unix.SockaddrUnix{Name: n.file("bgp.sock")})
	})
}

// at53 returns the service addresses with their port.
func at53() []netip.AddrPort {
	all := make([]netip.AddrPort, len(service))
	for i, a := range service {
		all[i] = netip.AddrPortFrom(a, 53)
	}
	return all
}

// missing says which of the addresses and blackholes is not there, or nil.
func (n *node) missing() error {
	state := n.state()
	for _, a := range service {
		if !slices.ContainsFunc(state, func(s string) bool { return strings.HasPrefix(s, "address "+a.String()+"/") }) {
			return fmt.Errorf("%s is not there", a)
		}
	}
	for _, p := range covering {
		if !slices.Contains(state, blackhole(p)) {
			return fmt.Errorf("blackhole %s is not there", p)
		}
	}
	return nil
}

// state lists the host's addresses and routes, for comparison.
func (n *node) state() []string {
	var all []string
	addrs, err := n.Netlink().AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		panic("node: " + err.Error())
	}
	for _, a := range addrs {
		all = append(all, "address "+a.IPNet.String())
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := n.Netlink().RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			panic("node: " + err.Error())
		}
		for _, r := range routes {
			if r.Type == unix.RTN_BLACKHOLE {
				all = append(all, fmt.Sprintf("blackhole %s", r.Dst))
			}
		}
	}
	slices.Sort(all)
	return all
}

func blackhole(p netip.Prefix) string { return "blackhole " + p.String() }

// await looks again and again until look returns nil, and fails the test if
// that takes longer than limit. It returns how long it took.
func await(t *testing.T, limit time.Duration, what string, look func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := look()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > limit {
			t.Fatalf("%s did not come within %v: %v", what, limit, err)
		}
		time.Sleep(pollPause)
	}
}

// end runs a command on the host to its end, and returns its exit status and
// what it printed.
func (n *node) end(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	p, err := n.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		t.Fatalf("%v did not end within %v\n%s", cmd.Args, startLimit, out)
	}
	var exit *exec.ExitError
	if err := p.Err(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// asNobody makes a command run without any privilege, or skips where this user
// cannot become another.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	const nobody = 65534
	become := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	try := exec.Command("true")
	try.SysProcAttr = become()
	if err := try.Run(); err != nil {
		t.Skipf("cannot start a program as user %d: %v", nobody, err)
	}
	cmd.SysProcAttr = become()
	return cmd
}
