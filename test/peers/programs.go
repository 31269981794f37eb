//go:build linux

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

// The hosts of the test and their addresses: the Internet, and the host on
// which the resolvers run side by side.
var (
	internetAddrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.253/30"), netip.MustParsePrefix("2001:db8:ff::1/64")}
	resolverAddrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.254/30"), netip.MustParsePrefix("2001:db8:ff::2/64")}
)

// A bench is the two hosts with what runs on them.
type bench struct {
	net                *netns.Net
	internet, resolver *netns.Host
	dir                string
}

// newBench serves the model on the Internet's host.
func newBench(m *model, dir string) (*bench, error) {
	b := &bench{net: netns.New(), dir: dir}
	if err := b.lay(); err != nil {
		b.net.Close()
		return nil, err
	}
	for _, t := range m.tiers {
		if err := b.serve(t); err != nil {
			b.net.Close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) lay() (err error) {
	if b.internet, err = b.net.Host("internet"); err != nil {
		return err
	}
	if b.resolver, err = b.net.Host("resolver"); err != nil {
		return err
	}
	if err := b.net.Link(b.internet, "wire", b.resolver, "wire"); err != nil {
		return err
	}
	if err := b.internet.Addr("wire", internetAddrs...); err != nil {
		return err
	}
	if err := b.resolver.Addr("wire", resolverAddrs...); err != nil {
		return err
	}
	for i, any := range []string{"0.0.0.0/0", "::/0"} {
		if err := b.resolver.Route(netip.MustParsePrefix(any), internetAddrs[i].Addr()); err != nil {
			return err
		}
	}
	return nil
}

// serve starts one NSD for a tier and waits until it answers.
func (b *bench) serve(t *tier) error {
	dir := filepath.Join(b.dir, "nsd-"+t.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n username: \"\"\n zonesdir: %q\n pidfile: \"\"\n database: \"\"\n xfrdfile: \"\"\n zonelistfile: %q\n xfrdir: %q\n server-count: 1\n rrl-ratelimit: 0\n port: 53\n",
		dir, filepath.Join(dir, "list"), dir)
	for _, a := range t.addrs {
		if err := b.internet.Addr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
		fmt.Fprintf(&conf, " ip-address: %s\n", a)
	}
	conf.WriteString("remote-control:\n control-enable: no\n")
	for zone, text := range t.zones {
		file := "zone-" + strings.ReplaceAll(zone, "/", "_")
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text.String()), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n", zone, file)
	}
	file := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
		return err
	}
	if err := b.start(b.internet, "nsd-"+t.name, exec.Command("nsd", "-d", "-c", file)); err != nil {
		return err
	}
	for zone := range t.zones {
		return b.await(b.internet, netip.AddrPortFrom(t.addrs[0], 53), zone)
	}
	return nil
}

// startUnbound starts the peer, without validation as the zones are unsigned.
func (b *bench) startUnbound(at netip.AddrPort) error {
	conf := fmt.Sprintf(`server:
 interface: %s@%d
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 num-threads: 1
 module-config: "iterator"
 qname-minimisation: yes
 minimal-responses: yes
remote-control:
 control-enable: no
`, at.Addr(), at.Port(), b.dir)
	file := filepath.Join(b.dir, "unbound.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	if err := b.start(b.resolver, "unbound", exec.Command("unbound", "-d", "-c", file)); err != nil {
		return err
	}
	return b.await(b.resolver, at, ".")
}

// startProxima builds and starts Proxima with its built-in hints. The zones are
// not signed by the root's keys.
func (b *bench) startProxima(ctx context.Context, at netip.AddrPort) error {
	program := filepath.Join(b.dir, "proxima")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	file := filepath.Join(b.dir, "proxima.yaml")
	conf := fmt.Sprintf("listen: {addresses: [%s], port: %d}\nadmin: {listen: \"\"}\ndnssec: {validate: false}\n", at.Addr(), at.Port())
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	if err := b.start(b.resolver, "proxima", exec.Command(program, "serve", "-c", file)); err != nil {
		return err
	}
	return b.await(b.resolver, at, ".")
}

func (b *bench) start(h *netns.Host, name string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	_, err = h.Start(cmd)
	return err
}

// await asks for a zone's NS until a server answers, for 20 s at most.
func (b *bench) await(h *netns.Host, server netip.AddrPort, zone string) error {
	q := new(dns.Msg).SetQuestion(zone, dns.TypeNS)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		m, err := exchange(ctx, h, server, q)
		cancel()
		if err == nil && m.Rcode == dns.RcodeSuccess {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer for %s after 20 s", server, zone)
}

// exchange asks over UDP, and over TCP if the answer was cut.
func exchange(ctx context.Context, h *netns.Host, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	for _, network := range []string{"udp", "tcp"} {
		m, err := exchangeOver(ctx, h, network, server, q)
		if err != nil || !m.Truncated {
			return m, err
		}
	}
	return nil, fmt.Errorf("%s: truncated over TCP", server)
}

func exchangeOver(ctx context.Context, h *netns.Host, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, err := h.Dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}
