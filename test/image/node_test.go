//go:build linux

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/vishvananda/netlink"

	"proxima/test/netns"
	"proxima/test/router"
)

// The service that both nodes offer, and the prefixes that carry it.
var (
	service  = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:53::1")}
	covering = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}
)

const (
	nodeASN, routerASN = 64511, 64500

	// lease is the longest there is, so that what the end of a process does
	// cannot be mistaken for the end of its lease.
	lease = 10 * time.Second
)

// A node is two containers in one network namespace, with a cable to the router.
type node struct {
	*netns.Host
	id              string
	daemon, sidecar string // names of the containers
	local, remote   [2]netip.Addr
}

// A world is two nodes and the router between them and their clients, who ask
// from the router's own host.
//
//	ams1 ── router ── fra1
type world struct {
	router *netns.Host
	nodes  []*node
}

// nodeFile and sidecarFile are the two programs' configurations. The waits are
// a test's.
var (
	nodeFile = template.Must(template.New("node").Parse(`node: {id: {{.ID}}}
listen: {addresses: [198.51.100.1, "2001:db8:53::1"], port: 53}
anycast: {addresses: [198.51.100.1/32, "2001:db8:53::1/128"]}
upstream: {sources: [{{index .Local 0}}, "{{index .Local 1}}"]}
access: {allow: [0.0.0.0/0, "::/0"]}
dnssec: {validate: false}
bgp:
  socket: /run/proxima/bgp.sock
  prefixes: [198.51.100.0/24, "2001:db8:53::/48"]
  lease: {{.Lease}}
admin: {listen: 127.0.0.1:9155}
`))
	sidecarFile = template.Must(template.New("sidecar").Parse(`gobgp:
  asn: {{.ASN}}
  router_id: {{index .Local 0}}
  peers: [{address: {{index .Remote 0}}, asn: {{.RouterASN}}}]
groups:
  - name: anycast
    prefixes: [198.51.100.0/24, "2001:db8:53::/48"]
    next_hop: {ipv4: {{index .Local 0}}, ipv6: "{{index .Local 1}}"}
warmup: {min: 1s, rise: 3, jitter: 0s}
damping: {limit: 0}
state_file: ""
control: {socket: ""}
hold_down: {base: 1s, max: 1s}
drain: {wait: 4s, quiet: 0s}
`))
)

// mustWorld starts both nodes and the router.
func mustWorld(t *testing.T) *world {
	t.Helper()
	net := netns.New()
	t.Cleanup(net.Close)
	w := &world{}
	var err error
	w.router, err = net.Host("router")
	mustDo(t, err)
	// No filter by reverse path: an answer may come by another cable than the
	// question left by, while a route moves.
	mustDo(t, errors.Join(w.router.Forward(),
		w.router.Sysctl("net/ipv4/conf/all/rp_filter", "0"), w.router.Sysctl("net/ipv4/conf/default/rp_filter", "0")))
	plan := router.Plan{Name: "router", ASN: routerASN, ID: netip.MustParseAddr("203.0.113.1")}
	for i, id := range []string{"ams1", "fra1"} {
		n := mustNode(t, net, w.router, i, id)
		w.nodes = append(w.nodes, n)
		plan.Neighbors = append(plan.Neighbors, router.Neighbor{Name: id, Link: id, ASN: nodeASN, Local: n.remote, Remote: n.local})
	}
	mustDo(t, router.Start("gobgp", t.TempDir(), w.router, plan))
	t.Cleanup(func() { w.explain(t) })
	for _, n := range w.nodes {
		mustDocker(t, "start", n.daemon)
	}
	return w
}

// explain shows what the programs said if the test has failed.
func (w *world) explain(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, n := range w.nodes {
		for _, c := range []string{n.daemon, n.sidecar} {
			log, err := docker(context.Background(), "logs", "--tail", "40", c)
			t.Logf("%s: %v\n%s", c, err, log)
		}
	}
}

// mustNode runs a node's sidecar, wires the namespace that the engine has made
// for it, and creates the daemon.
func mustNode(t *testing.T, net *netns.Net, router *netns.Host, i int, id string) *node {
	t.Helper()
	near4, near6 := netip.AddrFrom4([4]byte{203, 0, 113, byte(4*i + 1)}), netip.MustParseAddr(fmt.Sprintf("2001:db8:ffff:%d::1", i))
	n := &node{id: id, daemon: name(id), sidecar: name(id + "-bgp"),
		local: [2]netip.Addr{near4.Next(), near6.Next()}, remote: [2]netip.Addr{near4, near6}}
	files := mustConfigure(t, n)
	socket := name(id + "-socket")
	mustDocker(t, "volume", "create", "--label", label(), socket)
	common := []string{"--label", label(), "--read-only", "--cap-drop", "ALL",
		"--volume", files + ":/etc/proxima:ro", "--volume", socket + ":/run/proxima"}

	args := append([]string{"run", "--detach", "--name", n.sidecar, "--network", "none", "--no-healthcheck",
		"--entrypoint", "/proxima-bgp"}, common...)
	mustDocker(t, append(args, imageTag(), "serve", "-c", "/etc/proxima/proxima-bgp.yaml")...)
	var err error
	n.Host, err = net.Adopt(id, mustPID(t, n.sidecar))
	mustDo(t, err)
	for _, link := range []string{"all", "default", "lo"} { // the engine has none
		mustDo(t, n.Sysctl("net/ipv6/conf/"+link+"/disable_ipv6", "0"))
	}
	mustDo(t, net.Link(router, id, n.Host, "up"))
	mustDo(t, router.Addr(id, netip.PrefixFrom(n.remote[0], 30), netip.PrefixFrom(n.remote[1], 64)))
	mustDo(t, n.Addr("up", netip.PrefixFrom(n.local[0], 30), netip.PrefixFrom(n.local[1], 64)))

	args = append([]string{"create", "--name", n.daemon, "--network", "container:" + n.sidecar,
		"--cap-add", "NET_ADMIN", "--cap-add", "NET_BIND_SERVICE", "--health-interval", "1s"}, common...)
	mustDocker(t, append(args, imageTag())...)
	return n
}

// mustConfigure writes the files of both programs into one folder.
func mustConfigure(t *testing.T, n *node) (dir string) {
	t.Helper()
	dir = t.TempDir()
	v := map[string]any{"ID": n.id, "Local": n.local, "Remote": n.remote, "Lease": lease, "ASN": nodeASN, "RouterASN": routerASN}
	for file, text := range map[string]*template.Template{"proxima.yaml": nodeFile, "proxima-bgp.yaml": sidecarFile} {
		var b bytes.Buffer
		mustDo(t, text.Execute(&b, v))
		mustDo(t, os.WriteFile(filepath.Join(dir, file), b.Bytes(), 0o644))
	}
	return dir
}

// mustPID is the process of a container as this host knows it.
func mustPID(t *testing.T, container string) int {
	t.Helper()
	pid, err := strconv.Atoi(mustDocker(t, "inspect", "--format", "{{.State.Pid}}", container))
	if err != nil || pid == 0 {
		t.Fatalf("%s does not run: %v\n%s", container, err, mustDocker(t, "logs", container))
	}
	return pid
}

// serving names the node that the router sends each family to; empty if none.
func (w *world) serving() [2]string {
	var ids [2]string
	for i, prefix := range covering {
		routes, err := w.router.Netlink().RouteList(nil, []int{netlink.FAMILY_V4, netlink.FAMILY_V6}[i])
		if err != nil {
			continue // the table changed while it was read
		}
		for _, r := range routes {
			gateway, _ := netip.AddrFromSlice(r.Gw)
			for _, n := range w.nodes {
				if r.Dst != nil && r.Dst.String() == prefix.String() && gateway.Unmap() == n.local[i] {
					ids[i] = n.id
				}
			}
		}
	}
	return ids
}

// held lists what a node has in place of the service's addresses and routes.
func (n *node) held(t *testing.T) string {
	t.Helper()
	var held []string
	addresses, err := n.Netlink().AddrList(nil, netlink.FAMILY_ALL)
	mustDo(t, err)
	for _, a := range addresses {
		if addr, _ := netip.AddrFromSlice(a.IP); addr.Unmap() == service[0] || addr == service[1] {
			held = append(held, a.IPNet.String())
		}
	}
	routes, err := n.Netlink().RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Type: syscall.RTN_BLACKHOLE}, netlink.RT_FILTER_TYPE)
	mustDo(t, err)
	for _, r := range routes {
		held = append(held, "blackhole "+r.Dst.String())
	}
	return strings.Join(held, ", ")
}

// announces reports whether a node's sidecar announces, as it says itself.
func announces(t *testing.T, n *node) bool {
	return logged(t, n.sidecar, "announcement made").After(logged(t, n.sidecar, "announcement withdrawn"))
}

// logged is when a container last logged a message; the zero time = never.
func logged(t *testing.T, container, message string) (last time.Time) {
	t.Helper()
	for line := range strings.Lines(mustDocker(t, "logs", container)) {
		var entry struct {
			Time time.Time
			Msg  string
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == message {
			last = entry.Time
		}
	}
	return last
}
