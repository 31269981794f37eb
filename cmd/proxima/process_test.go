package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"proxima/cmd/internal/claim"
	"proxima/cmd/internal/memory"
	"proxima/netsetup"
	"proxima/test/netns"
)

// asProxima makes a run of the test's own binary be the program, and asSquatter
// one that takes so many names of claims.
const (
	asProxima  = "PROXIMA_TEST_AS_PROXIMA"
	asSquatter = "PROXIMA_TEST_AS_SQUATTER"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProxima) != "" {
		main()
		os.Exit(0)
	}
	if names := os.Getenv(asSquatter); names != "" {
		squat(names)
	}
	os.Exit(m.Run())
}

// A host is a namespace with a unicast address of each family on lo and a file
// for a node that holds two anycast ones.
type host struct {
	*netns.Host
	file string
}

func newHost(t *testing.T) *host {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	n := netns.New()
	t.Cleanup(n.Close)
	h, err := n.Host("node")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Addr("lo", netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("2001:db8::10/128")); err != nil {
		t.Fatal(err)
	}
	return &host{h, mustWrite(t, `
node: {id: test1}
listen: {addresses: [198.51.100.1, "2001:db8:53::1"], port: 53}
anycast: {addresses: [198.51.100.1/32, "2001:db8:53::1/128"]}
recursion: {stub: [{zone: ., servers: ["192.0.2.99"]}]}
health: {every: 100ms, rise: 1}
bgp: {prefixes: [198.51.100.0/24, "2001:db8:53::/48"]}
`)}
}

// start runs proxima with what it logs going to log.
func (h *host) start(t *testing.T, log io.Writer) *netns.Program {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "serve", "-c", h.file)
	cmd.Env = append(os.Environ(), asProxima+"=1")
	cmd.Stderr = log
	p, err := h.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// console is where a node logs if somebody watches the test.
func console() io.Writer {
	if testing.Verbose() {
		return os.Stderr
	}
	return io.Discard
}

// answers reports whether both addresses say who they are.
func (h *host) answers() bool {
	for _, to := range []string{"198.51.100.1:53", "[2001:db8:53::1]:53"} {
		conn, err := h.Dial(context.Background(), "udp", to)
		if err != nil {
			return false
		}
		q := new(dns.Msg)
		q.SetQuestion("id.server.", dns.TypeTXT)
		q.Question[0].Qclass = dns.ClassCHAOS
		c := dns.Client{Timeout: time.Second}
		r, _, err := c.ExchangeWithConn(q, &dns.Conn{Conn: conn})
		conn.Close()
		if err != nil || len(r.Answer) != 1 {
			return false
		}
	}
	return true
}

// held lists the anycast addresses and blackhole routes that are in place.
func (h *host) held(t *testing.T) string {
	t.Helper()
	var held []string
	addresses, err := h.Netlink().AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if text := a.IPNet.String(); strings.HasPrefix(text, "198.51.100.") || strings.HasPrefix(text, "2001:db8:53:") {
			held = append(held, text)
		}
	}
	routes, err := h.Netlink().RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Type: syscall.RTN_BLACKHOLE}, netlink.RT_FILTER_TYPE)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		held = append(held, "blackhole "+r.Dst.String())
	}
	return strings.Join(held, ", ")
}

const allHeld = "198.51.100.1/32, 2001:db8:53::1/128, blackhole 198.51.100.0/24, blackhole 2001:db8:53::/48"

// end stops a program and fails unless it ends well.
func end(t *testing.T, p *netns.Program) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
		if p.Err() != nil {
			t.Errorf("proxima ended: %v", p.Err())
		}
	case <-time.After(patience):
		t.Fatal("proxima did not end")
	}
}

func TestServe_holdsAddressesWhileItRuns(t *testing.T) {
	h := newHost(t)
	p := h.start(t, console())
	await(t, "the node answers", h.answers)
	if got := h.held(t); got != allHeld {
		t.Errorf("held: %s", got)
	}
	end(t, p)
	if got := h.held(t); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestServe_warnsOfAnAnchorThatIsIdle(t *testing.T) {
	h := newHost(t)
	text, err := os.ReadFile(h.file)
	if err != nil {
		t.Fatal(err)
	}
	anchor := "dnssec: {trust_anchors: [\"example. IN DS 7 99 2 " + strings.Repeat("AB", 32) + "\"]}\n"
	h.file = mustWrite(t, anchor+string(text))
	var log strings.Builder
	p := h.start(t, &log)
	await(t, "the node answers", h.answers)
	end(t, p)
	want := h.file + ":1: dnssec.trust_anchors[0]: key 7 of example. makes nothing secure: algorithm 99 is not supported"
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("%d times %q in\n%s", n, want, log.String())
	}
}

func TestServe_startsAfterAKillAtAnyMoment(t *testing.T) {
	h := newHost(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 15 {
		p := h.start(t, io.Discard)
		time.Sleep(time.Duration(r.IntN(120)) * time.Millisecond) // the moment, not a wait for anything
		if r.IntN(3) == 0 {
			_ = p.Process.Signal(syscall.SIGTERM)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		p.Kill()
	}
	p := h.start(t, console())
	await(t, "the node answers", h.answers)
	end(t, p)
	if got := h.held(t); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestServe_secondProcessLeavesTheFirstAlone(t *testing.T) {
	tests := []struct {
		name  string
		taken int // names of claims, by another user
	}{
		{"with the names free", 0},
		{"with the first name taken by another user", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			if tt.taken > 0 {
				h.squat(t, tt.taken)
			}
			h.secondLeavesTheFirstAlone(t)
		})
	}
}

func (h *host) secondLeavesTheFirstAlone(t *testing.T) {
	t.Helper()
	p := h.start(t, console())
	await(t, "the node answers", h.answers)
	other := *h
	other.file = mustWrite(t, `
listen: {addresses: [198.51.100.1], port: 5353}
anycast: {addresses: [198.51.100.1/32]}
admin: {listen: ""}
`)
	var log strings.Builder
	second := other.start(t, &log)
	select {
	case <-second.Done():
	case <-time.After(patience):
		t.Fatal("the second did not end")
	}
	if second.Err() == nil || !strings.Contains(log.String(), "another proxima holds the anycast addresses") {
		t.Errorf("the second ended with %v: %s", second.Err(), log.String())
	}
	if got := h.held(t); got != allHeld || !h.answers() {
		t.Errorf("held: %s", got)
	}
	end(t, p)
}

// squat lets a user without privileges take names of claims.
func (h *host) squat(t *testing.T, names int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", asSquatter, names))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, done, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = done
	if _, err := h.Start(cmd); err != nil {
		t.Skip("cannot become another user: ", err)
	}
	done.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skipf("no names were taken: %q, %v", line, err)
	}
}

// squat is the program of that user; it never returns.
func squat(names string) {
	n, err := strconv.Atoi(names)
	if err != nil {
		os.Exit(2)
	}
	for i := range n {
		if _, err := net.Listen("unix", claim.Name(i)); err != nil {
			os.Exit(1)
		}
	}
	fmt.Println("taken")
	select {}
}

func TestServe_nobodyButRootKeepsItFromItsWork(t *testing.T) {
	tests := []struct {
		name  string
		taken int
	}{
		{"who takes a name", 1},
		{"who takes all names", claim.Max},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.squat(t, tt.taken)
			p := h.start(t, console())
			await(t, "the node answers", h.answers)
			end(t, p)
		})
	}
}

func TestCheck_namesWhoHasTheNameOfAClaim(t *testing.T) {
	h := newHost(t)
	h.squat(t, 1)
	var warnings []error
	if err := h.Do(func() error {
		warnings = hostWarnings(mustParse(t, "listen: {addresses: [198.51.100.1]}\nanycast: {addresses: [198.51.100.1/32]}\n"), netsetup.Kernel(), memory.Room{})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "of user 65534 has @proxima/anycast/0") {
		t.Errorf("warnings %q", warnings)
	}
}
