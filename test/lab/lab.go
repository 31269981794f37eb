//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"

	"proxima/test/router"
)

// options are what the user may choose.
type options struct {
	Router   string // one of router.Kinds
	Drills   []drill
	Keep     bool
	Verbose  bool
	Programs string // directory of the built programs
	Shared   bool   // other work on this machine: figures are told, not judged
}

// A lab is the running world: programs started, clients asking.
type lab struct {
	*world
	options
	*timeline
	dir     string
	nodes   []*node
	askers  []*asker
	routes  *routeWatch
	drilled []result
}

// run builds the world, drills it and returns what the drills found.
func run(ctx context.Context, o options, t *timeline) (_ []result, err error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t.title("Laying out the world")
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	defer w.net.Close()
	internet, err := startInternet(w.internet)
	if err != nil {
		return nil, err
	}
	defer internet.close()
	t.event(plain, "internet", "root, %d top-level domains, %d zones, all signed", len(tlds), len(tlds)*len(zones))

	l := &lab{world: w, options: o, timeline: t, dir: dir}
	done := make(chan struct{})
	defer close(done)
	l.routes = &routeWatch{world: w, onMove: l.routeMoved}
	if err := l.routes.watch(done); err != nil {
		return nil, err
	}
	for i, s := range w.sites {
		if err := router.Start(o.Router, dir, s.router, w.plan(i)); err != nil {
			return nil, err
		}
	}
	t.event(plain, "routers", "three transit routers run %s", o.Router)
	return l.live(ctx)
}

// newDir makes the directory of all files. Daemons that give up root must be
// able to pass through it.
func newDir() (string, error) {
	dir, err := os.MkdirTemp("", "proxima-lab-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// live starts the nodes, shows who reaches whom, and runs the drills while
// the clients ask.
func (l *lab) live(ctx context.Context) ([]result, error) {
	if err := l.startNodes(ctx); err != nil {
		return nil, l.withLogs(err)
	}
	if err := l.showAnswers(ctx); err != nil {
		return nil, l.withLogs(err)
	}
	clients, stop := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer stop()
	for _, s := range l.sites {
		a := &asker{site: s, onMove: l.answererMoved}
		l.askers = append(l.askers, a)
		asking.Go(func() { a.run(clients) })
	}
	if l.color {
		asking.Go(func() { l.count(clients) })
	}
	for _, d := range l.Drills {
		if err := l.drill(ctx, d); err != nil {
			return l.drilled, l.withLogs(fmt.Errorf("drill %s: %w", d.name, err))
		}
	}
	stop()
	asking.Wait()
	l.table()
	if l.Keep {
		l.explain()
		<-ctx.Done()
	}
	return l.drilled, nil
}

func (l *lab) startNodes(ctx context.Context) error {
	l.title("Starting the nodes")
	for _, s := range l.sites {
		n := &node{site: s, dir: l.dir, programs: l.Programs, verbose: l.Verbose}
		l.nodes = append(l.nodes, n)
		if err := errors.Join(n.configure(), n.startSidecar(), n.startProxima()); err != nil {
			return err
		}
		l.event(plain, s.Name, "proxima and proxima-bgp started")
	}
	for _, s := range l.sites {
		if err := l.awaitRoute(ctx, s, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// awaitRoute waits until a site's router sends both prefixes to the place.
func (l *lab) awaitRoute(ctx context.Context, s *site, place string) error {
	return l.await(ctx, fmt.Sprintf("the routes of %s to lead to %s", s.Name, place), func() bool {
		return l.routes.to(s, prefixes[0]) == place && l.routes.to(s, prefixes[1]) == place
	})
}

// await waits, within startLimit, until a condition holds.
func (l *lab) await(ctx context.Context, what string, holds func() bool) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("waited %v in vain for %s", startLimit, what)
		case <-tick.C:
		}
	}
	return nil
}

// showAnswers asks real names from every client, over UDP and TCP.
func (l *lab) showAnswers(ctx context.Context) error {
	l.title("Who answers whom")
	questions := []struct {
		network string
		to      int
		name    string
		typ     uint16
	}{
		{"udp", 0, "www.bee.example.", dns.TypeA},
		{"udp", 1, "www.cat.lab.", dns.TypeAAAA},
		{"udp", 0, "far.dog.example.", dns.TypeA},
		{"tcp", 0, "long.elk.lab.", dns.TypeTXT},
		{"tcp", 1, "fox.example.", dns.TypeMX},
	}
	for _, s := range l.sites {
		for _, q := range questions {
			var r reply
			var err error
			waited := l.await(ctx, "an answer", func() bool {
				limited, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				r, err = ask(limited, s.client, q.network, netip.AddrPortFrom(service[q.to], 53), q.name, q.typ)
				if err == nil && len(r.msg.Answer) == 0 {
					err = errors.New("no answer records")
				}
				return err == nil
			})
			if waited != nil {
				return fmt.Errorf("%s asks %s for %s: %w", s.Region, service[q.to], q.name, errors.Join(waited, err))
			}
			l.event(green, s.Region, "%s %-17s %-4s @%s: %d records in %.1f ms from %s", q.network, q.name,
				dns.TypeToString[q.typ], service[q.to], len(r.msg.Answer), float64(r.spent.Microseconds())/1000, r.node)
		}
	}
	return nil
}

// routeMoved and answererMoved tell what the drills cause.
func (l *lab) routeMoved(s *site, prefix netip.Prefix, from, to string) {
	switch {
	case to == "":
		l.event(yellow, "r-"+s.ID, "%s has no route (was %s)", prefix, from)
	case from == "":
		l.event(cyan, "r-"+s.ID, "%s leads to %s", prefix, to)
	default:
		l.event(cyan, "r-"+s.ID, "%s leads to %s (was %s)", prefix, to, from)
	}
}

func (l *lab) answererMoved(s *site, from, to string) {
	l.event(green, s.Region, "answered by %s (was %s)", to, from)
}

// count keeps the terminal's last line up to date.
func (l *lab) count(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			line := ""
			for _, a := range l.askers {
				sent, lost := a.between(time.Time{}, time.Now())
				line += fmt.Sprintf("  %s <- %s: %d asked, %d lost ", a.Region, a.served(), sent, lost)
			}
			l.setStatus("%s", line)
		}
	}
}

// explain says how to play with what was left up.
func (l *lab) explain() {
	l.title("The network stays up until ctrl-C. From another shell:")
	s := l.sites[0]
	l.print("  a client    %s dig @%s %s +nsid\n", s.client.Enter(), service[0], probeName)
	for _, n := range l.nodes {
		l.print("  %-11s %s sh    (proxima is process %d, proxima-bgp %d; files in %s)\n", n.Name, n.node.Enter(), n.proxima.Process.Pid, n.sidecar.Process.Pid, l.dir)
		l.print("  its router  %s ip route show 198.51.100.0/24\n", n.router.Enter())
	}
}

// withLogs adds the last lines that the programs wrote, which vanish with the
// directory.
func (l *lab) withLogs(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w\n%s", err, lastLines(l.dir, 12))
}
