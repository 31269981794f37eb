//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"proxima/test/netns"
	"proxima/test/sim"
)

const (
	// lease is what the nodes hold: how long a hang may go unnoticed.
	lease = 3 * time.Second
	// startLimit bounds the wait for a node to announce after its start, 20 s
	// where nothing holds it up, and for all else.
	startLimit = 2 * time.Minute
)

// A node runs the two programs of Proxima on a site's host.
type node struct {
	*site
	dir      string // of the configuration files, sockets and logs
	programs string // directory of the two programs
	verbose  bool

	proxima, sidecar *netns.Program
}

// nodeFile is proxima's configuration at a site.
var nodeFile = template.Must(template.New("node").Parse(`node: {id: {{.ID}}}
listen: {addresses: [{{range $i, $a := .Service}}{{if $i}}, {{end}}"{{$a}}"{{end}}], port: 53}
anycast: {addresses: [{{range $i, $a := .Service}}{{if $i}}, {{end}}"{{$a}}/{{$a.BitLen}}"{{end}}]}
upstream: {sources: [{{range $i, $a := .Sources}}{{if $i}}, {{end}}"{{$a}}"{{end}}]}
access: {allow: ["0.0.0.0/0", "::/0"]}
dnssec: {trust_anchors: ["{{.Anchor}}"]}
bgp:
  socket: {{.Socket}}
  prefixes: [{{range $i, $p := .Prefixes}}{{if $i}}, {{end}}"{{$p}}"{{end}}]
  lease: {{.Lease}}
`))

// sidecarFile is proxima-bgp's. The waits are a demonstration's: a real
// network wants the defaults.
var sidecarFile = template.Must(template.New("sidecar").Parse(`socket: {{.Socket}}
speaker: gobgp
gobgp:
  asn: {{.ASN}}
  router_id: {{index .Sources 0}}
  peers: [{address: {{index .Routers 0}}, asn: {{.RouterASN}}}]
groups:
  - name: anycast
    prefixes: [{{range $i, $p := .Prefixes}}{{if $i}}, {{end}}"{{$p}}"{{end}}]
    next_hop: {ipv4: {{index .Sources 0}}, ipv6: "{{index .Sources 1}}"}
warmup: {min: 1s, rise: 3, jitter: 0s}
damping: {limit: 0}
hold_down: {base: 5s, max: 10s}
drain: {wait: 3s, quiet: 2s}
state_file: {{.Control}}.state
control: {socket: {{.Control}}}
`))

// configure writes both files.
func (n *node) configure() error {
	v := map[string]any{
		"ID": n.ID, "Service": service, "Prefixes": prefixes, "Lease": lease,
		"Sources": addrs(n.uplink.far), "Routers": addrs(n.uplink.near),
		"ASN": nodeASN, "RouterASN": n.ASN, "Socket": n.file("sock"), "Control": n.file("bgp.sock"), "Anchor": anchorOf(sim.New(seed)),
	}
	for file, t := range map[string]*template.Template{n.file("yaml"): nodeFile, n.file("bgp.yaml"): sidecarFile} {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := errors.Join(t.Execute(f, v), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) file(ending string) string { return filepath.Join(n.dir, n.ID+"."+ending) }

// startProxima starts the resolver.
func (n *node) startProxima() (err error) {
	n.proxima, err = n.start("proxima", n.file("yaml"))
	return err
}

// startSidecar starts the BGP controller.
func (n *node) startSidecar() (err error) {
	n.sidecar, err = n.start("proxima-bgp", n.file("bgp.yaml"))
	return err
}

func (n *node) start(program, config string) (*netns.Program, error) {
	log, err := os.OpenFile(filepath.Join(n.dir, n.ID+"."+program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(n.programs, program), "serve", "-c", config)
	cmd.Stdout, cmd.Stderr = log, log
	if n.verbose {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	return n.node.Start(cmd)
}

// ask puts one question to a service address from the node's own host, and
// returns the node's id: whether it answers directly, whatever routes say.
func (n *node) ask(ctx context.Context) (string, error) {
	r, err := ask(ctx, n.node, "udp", netip.AddrPortFrom(service[0], 53), probeName, probeType)
	return r.node, err
}

// stop asks the resolver to leave in order and waits until it has.
func (n *node) stop(ctx context.Context) error {
	if err := n.proxima.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.proxima.Done():
		return n.proxima.Err()
	case <-ctx.Done():
		return fmt.Errorf("%s: proxima did not end after SIGTERM: %w", n.ID, ctx.Err())
	}
}

// build compiles both programs into dir, with this module's own go command.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir, "proxima/cmd/proxima", "proxima/cmd/proxima-bgp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
