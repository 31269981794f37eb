//go:build linux

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"proxima/test/internet"
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
		if err := t.Serve(b.internet, dir); err != nil {
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
	if _, err := internet.Start(b.resolver, b.dir, "unbound", exec.Command("unbound", "-d", "-c", file)); err != nil {
		return err
	}
	return internet.Await(b.resolver, at, ".")
}

// startProxima builds and starts Proxima with its built-in hints. The zones are
// not signed by the root's keys.
func (b *bench) startProxima(ctx context.Context, at netip.AddrPort) error {
	program := filepath.Join(b.dir, "proxima")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "proxima/cmd/proxima").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	file := filepath.Join(b.dir, "proxima.yaml")
	conf := fmt.Sprintf("listen: {addresses: [%s], port: %d}\nadmin: {listen: \"\"}\ndnssec: {validate: false}\nhealth: {recursion: {targets: []}}\n", at.Addr(), at.Port())
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	if _, err := internet.Start(b.resolver, b.dir, "proxima", exec.Command(program, "serve", "-c", file)); err != nil {
		return err
	}
	return internet.Await(b.resolver, at, ".")
}
