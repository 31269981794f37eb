//go:build linux

// Package netns builds small networks out of network namespaces for tests and
// for the lab.
//
// A test makes a Net, gives it Hosts, joins them with Links (a cable: a veth
// pair), and adds addresses and routes. Programs started in a Host, and
// sockets opened within Do, live on that host. Nothing is given a name in the
// file system: a namespace lives as long as this process holds it or a program
// runs in it, and every program started here dies with this process. So
// nothing is left behind, not even after a kill -9.
package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Net is a set of hosts. Its methods are safe for one goroutine.
type Net struct {
	hosts []*Host
}

// A Host is one network namespace with its own links, addresses, routes and
// programs.
type Host struct {
	// Name is for messages only.
	Name string

	ns     netns.NsHandle
	handle *netlink.Handle

	mu       sync.Mutex // guards programs
	programs []*Program
}

// Available says why namespaces cannot be made here, or nil.
func Available() error {
	err := away(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err != nil {
		return fmt.Errorf("network namespaces cannot be made here (%w): run as root", err)
	}
	return nil
}

// New returns an empty net.
func New() *Net { return &Net{} }

// Close ends every program and gives up every namespace.
func (n *Net) Close() {
	for _, h := range n.hosts {
		h.close()
	}
	n.hosts = nil
}

// Host adds a host, with lo up, no duplicate address detection and forwarding
// off.
func (n *Net) Host(name string) (*Host, error) {
	h := &Host{Name: name, ns: netns.None()}
	err := away(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		h.ns, err = netns.Get()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netns: %s: %w", name, err)
	}
	return h, n.add(h)
}

// Adopt makes a host of the namespace that a process lives in, such as a
// container's. Close gives it up, too, but the process stays.
func (n *Net) Adopt(name string, pid int) (*Host, error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, fmt.Errorf("netns: %s: %w", name, err)
	}
	h := &Host{Name: name, ns: ns}
	return h, n.add(h)
}

// add makes h a host that is ready for use.
func (n *Net) add(h *Host) (err error) {
	n.hosts = append(n.hosts, h)
	if h.handle, err = netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netns: %s: %w", h.Name, err)
	}
	for _, key := range []string{"net/ipv6/conf/default/accept_dad", "net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/router_solicitations"} {
		if err := h.Sysctl(key, "0"); err != nil {
			return err
		}
	}
	return h.SetUp("lo", true)
}

// Link joins two hosts by a cable whose ends have the given names, and sets
// both ends up.
func (n *Net) Link(a *Host, endA string, b *Host, endB string) error {
	// Born in a, one end is then moved to b: names cannot clash on the way.
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: endA, TxQLen: 1000},
		PeerName:      endB,
		PeerNamespace: netlink.NsFd(int(b.ns)),
	}
	if err := a.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("netns: link %s/%s to %s/%s: %w", a.Name, endA, b.Name, endB, err)
	}
	if err := a.SetUp(endA, true); err != nil {
		return err
	}
	return b.SetUp(endB, true)
}

// SetUp sets a link up, or down as if its cable had been pulled.
func (h *Host) SetUp(link string, up bool) error {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return fmt.Errorf("netns: %s/%s: %w", h.Name, link, err)
	}
	if up {
		err = h.handle.LinkSetUp(l)
	} else {
		err = h.handle.LinkSetDown(l)
	}
	if err != nil {
		return fmt.Errorf("netns: %s/%s: %w", h.Name, link, err)
	}
	return nil
}

// Addr adds addresses with their prefix lengths to a link.
func (h *Host) Addr(link string, addrs ...netip.Prefix) error {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return fmt.Errorf("netns: %s/%s: %w", h.Name, link, err)
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.handle.AddrReplace(l, addr); err != nil {
			return fmt.Errorf("netns: %s/%s: %s: %w", h.Name, link, a, err)
		}
	}
	return nil
}

// DelAddr removes an address from a link.
func (h *Host) DelAddr(link string, addr netip.Prefix) error {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return fmt.Errorf("netns: %s/%s: %w", h.Name, link, err)
	}
	if err := h.handle.AddrDel(l, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return fmt.Errorf("netns: %s/%s: %s: %w", h.Name, link, addr, err)
	}
	return nil
}

// Route adds or replaces the route to dst by a next hop.
func (h *Host) Route(dst netip.Prefix, via netip.Addr) error {
	r := &netlink.Route{Dst: ipNet(dst), Gw: via.AsSlice()}
	if err := h.handle.RouteReplace(r); err != nil {
		return fmt.Errorf("netns: %s: route %s via %s: %w", h.Name, dst, via, err)
	}
	return nil
}

// RouteOver adds or replaces the route to dst over one link, by a next hop that
// need not share a prefix with it: a link-local one, or the other end of an
// unnumbered link. Without a next hop, dst is on the link itself.
func (h *Host) RouteOver(link string, dst netip.Prefix, via netip.Addr) error {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return fmt.Errorf("netns: %s/%s: %w", h.Name, link, err)
	}
	r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(dst), Scope: netlink.SCOPE_LINK}
	if via.IsValid() {
		r.Gw, r.Flags, r.Scope = via.AsSlice(), int(netlink.FLAG_ONLINK), netlink.SCOPE_UNIVERSE
	}
	if err := h.handle.RouteReplace(r); err != nil {
		return fmt.Errorf("netns: %s: route %s over %s: %w", h.Name, dst, link, err)
	}
	return nil
}

// Forward makes the host a router.
func (h *Host) Forward() error {
	return errors.Join(
		h.Sysctl("net/ipv4/ip_forward", "1"),
		h.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		h.Sysctl("net/ipv4/conf/all/send_redirects", "0"),
	)
}

// Sysctl sets one of the namespace's own settings, such as
// "net/ipv4/ip_forward".
func (h *Host) Sysctl(key, value string) error {
	err := h.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
	})
	if err != nil {
		return fmt.Errorf("netns: %s: sysctl %s: %w", h.Name, key, err)
	}
	return nil
}

// Netlink returns a handle to the host's links, addresses and routes.
func (h *Host) Netlink() *netlink.Handle { return h.handle }

// Namespace returns the namespace, for subscriptions.
func (h *Host) Namespace() netns.NsHandle { return h.ns }

// Enter returns the words before a command that run it on this host from
// another shell, for as long as this process lives.
func (h *Host) Enter() string {
	user := ""
	if own, err := os.Readlink("/proc/self/ns/user"); err == nil {
		if first, err := os.Readlink("/proc/1/ns/user"); err != nil || own != first {
			user = fmt.Sprintf("-t %d -U --preserve-credentials ", os.Getpid())
		}
	}
	return fmt.Sprintf("nsenter %s--net=/proc/%d/fd/%d", user, os.Getpid(), int(h.ns))
}

// Do runs f on the host: sockets that f opens and programs that it starts
// belong there for ever. f must not start goroutines that do so.
func (h *Host) Do(f func() error) error {
	return away(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("netns: %s: %w", h.Name, err)
		}
		return f()
	})
}

// Dial opens a socket on the host.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		var d net.Dialer
		// One address, no fallback: the socket is made on this very thread.
		d.FallbackDelay = -1
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// A Program is a process on a host.
type Program struct {
	*exec.Cmd
	done chan struct{} // closed when Wait has returned
	err  error         // set before done is closed
}

// Listen gives the host an address on lo, and listens there for datagrams and
// for streams on a port.
func (h *Host) Listen(at netip.AddrPort) (datagrams net.PacketConn, streams net.Listener, err error) {
	if err := h.Addr("lo", netip.PrefixFrom(at.Addr(), at.Addr().BitLen())); err != nil {
		return nil, nil, err
	}
	err = h.Do(func() (err error) {
		if datagrams, err = net.ListenPacket("udp", at.String()); err != nil {
			return err
		}
		if streams, err = net.Listen("tcp", at.String()); err != nil {
			datagrams.Close()
		}
		return err
	})
	return datagrams, streams, err
}

// Start starts a program on the host. It dies with this process, or with the
// Net.
func (h *Host) Start(cmd *exec.Cmd) (*Program, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := h.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("netns: %s: start %s: %w", h.Name, cmd.Path, err)
	}
	p := &Program{Cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	h.programs = append(h.programs, p)
	h.mu.Unlock()
	return p, nil
}

// Run runs a command on the host to its end and returns what it printed.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := h.Start(cmd)
	if err != nil {
		return "", err
	}
	<-p.done
	if p.err != nil {
		return out.String(), fmt.Errorf("netns: %s: %s: %w", h.Name, name, p.err)
	}
	return out.String(), nil
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Err returns how the program ended; it may be asked after Done only.
func (p *Program) Err() error { return p.err }

// Kill ends the program at once, also a stopped one, and waits for its end.
func (p *Program) Kill() {
	_ = p.Process.Kill()
	<-p.done
}

func (h *Host) close() {
	h.mu.Lock()
	programs := h.programs
	h.programs = nil
	h.mu.Unlock()
	for _, p := range programs {
		p.Kill()
	}
	if h.handle != nil {
		h.handle.Close()
	}
	if h.ns.IsOpen() {
		_ = h.ns.Close()
	}
}

// away runs f, which may move its thread to another namespace, and brings the
// thread home. The thread must not end instead: with it the kernel would end the
// programs that were started from it (PR_SET_PDEATHSIG is about threads).
func away(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := netns.Set(home); err != nil { // who may not do this now could not come back later
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if err := netns.Set(home); err != nil {
			panic("netns: a thread cannot return to its namespace: " + err.Error())
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
