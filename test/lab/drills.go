//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// settle is how long clients go on asking after a drill's last step, so
	// that late losses are counted.
	settle = time.Second
	// watched is the least time that a drill observes the world, so that at
	// least 1,500 questions at 5 ms spacing are asked in it, and answered or
	// lost.
	watched = 7600*time.Millisecond + patience
)

// A drill is one thing that goes wrong at a node, and what must hold of it.
type drill struct {
	name string
	what string
	// run does it to a node; what it measures, it notes in the result.
	run func(*lab, context.Context, *node, *result) error
	// site is the index of the node that suffers.
	site int
	// most is how many of the questions asked may be lost, -1 for any number.
	most int
	// within is how soon the routes must have moved; 0 for no claim.
	within time.Duration
}

// A result is what a drill found.
type result struct {
	drill
	node       string
	sent, lost int
	moved      time.Duration // until the last route had moved away; 0 if none had to
	returns    int           // times the node was announced again
	notes      []string
	failures   []string
	missed     int // failures that are figures
}

// drills are in the order in which they run.
var drills = []drill{
	{name: "calm", what: "nothing happens", run: (*lab).calm, most: 0},
	{name: "kill", what: "kill -9 of proxima, then a restart", run: (*lab).kill, site: 0, most: 5, within: 500 * time.Millisecond},
	{name: "hang", what: "kill -STOP of proxima, later -CONT", run: (*lab).hang, site: 1, most: -1, within: lease + 500*time.Millisecond},
	{name: "sidecar", what: "kill -9 of proxima-bgp, then a restart", run: (*lab).killSidecar, site: 2, most: 5, within: 500 * time.Millisecond},
	{name: "cut", what: "the cable to the node is pulled, then put back", run: (*lab).cut, site: 0, most: 15, within: time.Second},
	{name: "address", what: "a service address is removed behind Proxima's back", run: (*lab).removeAddress, site: 1, most: -1},
	{name: "drain", what: "SIGTERM to proxima, then a start", run: (*lab).drain, site: 2, most: 0},
}

func names(ds []drill) []string {
	var all []string
	for _, d := range ds {
		all = append(all, d.name)
	}
	return all
}

func indexDrill(name string) int {
	return slices.IndexFunc(drills, func(d drill) bool { return d.name == name })
}

// tries is how often a drill is played whose figures were missed: a machine
// that stands still for a moment loses answers and time by itself.
const tries = 3

// drill plays one drill, and again if only its figures were missed.
func (l *lab) drill(ctx context.Context, d drill) error {
	for try := 1; ; try++ {
		r, err := l.play(ctx, d)
		if err != nil {
			return err
		}
		if r.missed == 0 || r.missed < len(r.failures) || try == tries {
			l.drilled = append(l.drilled, r)
			return nil
		}
	}
}

// play runs one drill, counts what clients lost of it and judges.
func (l *lab) play(ctx context.Context, d drill) (result, error) {
	n := l.nodes[d.site]
	l.title("Drill %s: %s (%s)", d.name, d.what, n.Name)
	r := result{drill: d, node: n.Name}
	began := time.Now()
	if err := d.run(l, ctx, n, &r); err != nil {
		return r, err
	}
	if err := pause(ctx, max(settle, watched-time.Since(began))); err != nil {
		return r, err
	}
	until := time.Now().Add(-patience)
	for _, a := range l.askers {
		sent, lost := a.between(began, until)
		r.sent, r.lost = r.sent+sent, r.lost+lost
	}
	l.judge(&r)
	return r, nil
}

func (l *lab) judge(r *result) {
	if r.most >= 0 && r.lost > r.most {
		l.missed(r, "%d of %d lost, at most %d may be", r.lost, r.sent, r.most)
	}
	if r.within > 0 && (r.moved == 0 || r.moved > r.within) {
		l.missed(r, "routes moved after %v, must within %v", r.moved, r.within)
	}
	color, word := green, "held"
	if len(r.failures) > 0 {
		color, word = red, "FAILED: "+strings.Join(r.failures, "; ")
	}
	l.event(color, "drill", "%s: %d asked, %d lost; %s", r.name, r.sent, r.lost, word)
}

// missed notes a figure that was not reached: a failure, unless the machine is
// shared with other work and its figures are only told.
func (l *lab) missed(r *result, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.Shared {
		r.notes = append(r.notes, text)
		return
	}
	r.failures = append(r.failures, text)
	r.missed++
}

func (l *lab) calm(context.Context, *node, *result) error {
	return nil
}

func (l *lab) kill(ctx context.Context, n *node, r *result) error {
	at := time.Now()
	l.event(red, n.Name, "proxima is killed (SIGKILL)")
	n.proxima.Kill()
	if err := l.awaitGone(ctx, n, at, r); err != nil {
		return err
	}
	if err := n.startProxima(); err != nil {
		return err
	}
	l.event(plain, n.Name, "proxima started again")
	return l.awaitBack(ctx, n, at, r)
}

func (l *lab) hang(ctx context.Context, n *node, r *result) error {
	at := time.Now()
	l.event(red, n.Name, "proxima is stopped (SIGSTOP): its sockets stay open, nobody reads them")
	if err := n.proxima.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := l.awaitGone(ctx, n, at, r); err != nil {
		return err
	}
	l.event(plain, n.Name, "proxima goes on (SIGCONT)")
	if err := n.proxima.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return l.awaitBack(ctx, n, at, r)
}

func (l *lab) killSidecar(ctx context.Context, n *node, r *result) error {
	at := time.Now()
	l.event(red, n.Name, "proxima-bgp is killed (SIGKILL)")
	n.sidecar.Kill()
	if err := l.awaitGone(ctx, n, at, r); err != nil {
		return err
	}
	if err := l.answersDirectly(ctx, n, r); err != nil {
		return err
	}
	if err := n.startSidecar(); err != nil {
		return err
	}
	l.event(plain, n.Name, "proxima-bgp started again")
	return l.awaitBack(ctx, n, at, r)
}

func (l *lab) cut(ctx context.Context, n *node, r *result) error {
	at := time.Now()
	l.event(red, n.Name, "the cable to its router is pulled")
	if err := n.router.SetUp("node", false); err != nil {
		return err
	}
	if err := l.awaitGone(ctx, n, at, r); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if err := n.router.SetUp("node", true); err != nil {
		return err
	}
	// The kernel took IPv6 addresses and static routes away with the carrier.
	if err := errors.Join(n.router.Addr("node", n.uplink.near[:]...), n.node.Addr("up", n.uplink.far[:]...)); err != nil {
		return err
	}
	for family, any := range []string{"0.0.0.0/0", "::/0"} {
		if err := n.node.Route(netip.MustParsePrefix(any), n.uplink.near[family].Addr()); err != nil {
			return err
		}
	}
	l.event(plain, n.Name, "the cable is put back")
	return l.awaitBack(ctx, n, at, r)
}

func (l *lab) removeAddress(ctx context.Context, n *node, r *result) error {
	addr := netip.PrefixFrom(service[0], service[0].BitLen())
	at := time.Now()
	l.event(red, n.Name, "%s is removed from lo", addr)
	if err := n.node.DelAddr("lo", addr); err != nil {
		return err
	}
	if err := l.await(ctx, "the address to come back", func() bool { return hasAddr(n, addr) }); err != nil {
		return err
	}
	took := time.Since(at)
	l.event(plain, n.Name, "%s is back after %.0f ms", addr, took.Seconds()*1000)
	if took > time.Second {
		l.missed(r, "repaired after %v, must be within a second", took)
	}
	r.notes = append(r.notes, fmt.Sprintf("repaired in %.0f ms", took.Seconds()*1000))
	return nil
}

func (l *lab) drain(ctx context.Context, n *node, r *result) error {
	at := time.Now()
	l.event(yellow, n.Name, "SIGTERM to proxima: it drains")
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := n.stop(limited); err != nil {
		return err
	}
	took := time.Since(at)
	l.event(plain, n.Name, "proxima has left in order after %.1f s", took.Seconds())
	r.notes = append(r.notes, fmt.Sprintf("left in %.1f s", took.Seconds()))
	r.moved, _ = l.routes.left(n.Name, at)
	if hasAddr(n, netip.PrefixFrom(service[0], service[0].BitLen())) {
		r.failures = append(r.failures, "the service address was not released")
	}
	if err := n.startProxima(); err != nil {
		return err
	}
	l.event(plain, n.Name, "proxima started again")
	return l.awaitBack(ctx, n, at, r)
}

// awaitGone waits until no router leads to the node, and notes how long that
// took.
func (l *lab) awaitGone(ctx context.Context, n *node, since time.Time, r *result) error {
	err := l.await(ctx, "the routes to leave "+n.Name, func() bool {
		for _, s := range l.sites {
			for _, p := range prefixes {
				if l.routes.to(s, p) == n.Name {
					return false
				}
			}
		}
		return true
	})
	r.moved, _ = l.routes.left(n.Name, since)
	return err
}

// awaitBack waits until the node is announced again, and counts how often.
func (l *lab) awaitBack(ctx context.Context, n *node, since time.Time, r *result) error {
	if err := l.awaitRoute(ctx, n.site, n.Name); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	_, back := l.routes.left(n.Name, since)
	if r.returns = back / len(prefixes); back != len(prefixes) {
		l.missed(r, "announced again %d times for %d prefixes, must be once each", back, len(prefixes))
	}
	return nil
}

// answersDirectly asks the node on its own host, where no route is needed.
func (l *lab) answersDirectly(ctx context.Context, n *node, r *result) error {
	var id string
	err := l.await(ctx, "a direct answer", func() bool {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var err error
		id, err = n.ask(limited)
		return err == nil
	})
	if err != nil || id != n.ID {
		r.failures = append(r.failures, fmt.Sprintf("no direct answer: %q, %v", id, err))
		return nil
	}
	l.event(green, n.Name, "still answers when asked directly")
	r.notes = append(r.notes, "still answered directly")
	return nil
}

// table prints what the drills found.
func (l *lab) table() {
	l.setStatus("")
	l.title("Drills, with %s routers", l.Router)
	l.print("%-8s  %-9s  %-52s  %6s  %5s  %12s  %s\n", "drill", "node", "what happened", "asked", "lost", "routes moved", "verdict")
	for _, r := range l.drilled {
		moved, verdict, color := "-", "held", green
		if r.moved > 0 {
			moved = fmt.Sprintf("%.3f s", r.moved.Seconds())
		}
		if len(r.failures) > 0 {
			verdict, color = "FAILED: "+strings.Join(r.failures, "; "), red
		} else if len(r.notes) > 0 {
			verdict += ", " + strings.Join(r.notes, ", ")
		}
		l.print("%-8s  %-9s  %-52s  %6d  %5d  %12s  %s\n", r.name, r.node, r.what, r.sent, r.lost, moved, l.paint(color, verdict))
	}
}

// verdict returns an error if a drill failed.
func verdict(results []result) error {
	var failed []string
	for _, r := range results {
		if len(r.failures) > 0 {
			failed = append(failed, r.name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("drills failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func hasAddr(n *node, want netip.Prefix) bool {
	addrs, err := n.node.Netlink().AddrList(nil, 0)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if a.IPNet.String() == want.String() {
			return true
		}
	}
	return false
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// lastLines returns the last lines of every log file in dir.
func lastLines(dir string, lines int) string {
	var b strings.Builder
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil || len(text) == 0 {
			continue
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(log), strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return b.String()
}
