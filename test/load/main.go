//go:build linux

// Command load measures what a query costs Proxima and other resolvers, one
// after the other on the same core of the same machine.
//
// It makes one network namespace. In it NSD serves a root and one zone, and
// each resolver in turn is started on a core of its own, while dnsperf and NSD
// have the others. The figure to compare is the CPU time of the server's
// process, kernel included, per query that dnsperf got an answer to: it depends
// little on how fast the generator is. A bare echo, which sends datagrams back
// with recvmmsg and sendmmsg, shows how much of it nobody can save.
//
//	go run ./test/load                                     everything, five runs
//	go run ./test/load -only hit-udp -peers unbound,proxima   one figure, in a minute
//	go run ./test/load -peers proxima,proxima=/tmp/other   two builds
//	go run ./test/load -config unbound                     the file a resolver gets
//
// It needs root, NSD and dnsperf; resolvers that are not installed are left out.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"proxima/test/netns"
)

// options are what the command line says.
type options struct {
	Peers    string
	Only     string
	Runs     int
	Duration time.Duration // of one load
	Names    int           // in the mix
	Entries  int           // names that differ, for misses and memory
	Flood    int           // names of the flood
	Rate     float64       // load for latency; 0 for half of what the first server reaches
	Nice     int           // of everything that is started
	List     string        // file of names for the mix
	JSON     string
	Picture  string
}

func main() {
	echoIfAsked()
	o := options{}
	var config string
	var limit time.Duration
	flag.StringVar(&o.Peers, "peers", "unbound,proxima,echo,powerdns,knot,bind", "comma-separated servers; the first is what the others are compared with; name=path for another program of that kind")
	flag.StringVar(&o.Only, "only", strings.Join(measureNames(), ","), "comma-separated measures")
	flag.IntVar(&o.Runs, "runs", 5, "runs, of which the table shows the median; memory and flood have one")
	flag.DurationVar(&o.Duration, "duration", 3*time.Second, "how long one load lasts")
	flag.IntVar(&o.Names, "names", 10_000, "names in the mix")
	flag.IntVar(&o.Entries, "entries", 1_000_000, "names for misses and memory")
	flag.IntVar(&o.Flood, "flood", 2_000_000, "names of the flood")
	flag.Float64Var(&o.Rate, "rate", 0, "queries a second for latency; 0 for half of what the first server reaches")
	flag.IntVar(&o.Nice, "nice", 0, "niceness of servers, authority and generator, such as -10 on a machine with other work")
	flag.StringVar(&o.List, "list", filepath.Join("..", "shared", "data", "opendns-top-domains.txt"), "file with names for the mix, a line each; made up where it is missing")
	flag.StringVar(&o.JSON, "json", "", "file for the figures of every run")
	flag.StringVar(&o.Picture, "picture", "", "file for a picture of the medians, as SVG")
	flag.StringVar(&config, "config", "", "print the file that a server gets, and end")
	flag.DurationVar(&limit, "limit", 90*time.Minute, "end after this time, with what there is")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := printConfig(config)
	if config == "" {
		err = play(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measureNames() []string {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

// printConfig prints the file that a kind of server gets.
func printConfig(name string) error {
	if name == "" {
		return nil
	}
	k := kindOf(name)
	if k == nil || k.config == nil {
		return fmt.Errorf("-config: %q has no file", name)
	}
	return k.config.Execute(os.Stdout, settings{
		Dir: "DIR", Hints: "HINTS", Address: serverAddr.String(), Source: sourceAddr.String(), Admin: adminAddr, Threads: 1, MiB: usualRoom,
	})
}

// play finds out what is here, measures it and prints the table.
func play(ctx context.Context, o options) error {
	chosen, err := choose(o.Only)
	if err != nil {
		return err
	}
	if err := available(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "proxima-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peers, missing, err := find(ctx, o.Peers, dir)
	if err != nil {
		return err
	}
	for _, why := range missing {
		fmt.Fprintln(os.Stderr, "left out:", why)
	}
	if len(peers) == 0 {
		return errors.New("no server is here")
	}
	r := &report{machine: machine(), peers: peers, values: map[string]map[string][]float64{}}
	b, err := newBed(o, dir)
	if err != nil {
		return err
	}
	defer b.net.Close()
	err = b.measure(ctx, chosen, r)
	for _, p := range peers {
		if p.version != "" {
			fmt.Printf("%s: %s\n", p.name, p.version)
		}
	}
	r.print(os.Stdout)
	if o.JSON != "" {
		err = errors.Join(err, r.save(o.JSON))
	}
	if o.Picture != "" {
		err = errors.Join(err, r.draw(o.Picture))
	}
	return err
}

// available says what is missing here, or nil.
func available() error {
	for _, program := range []string{"nsd", "dnsperf", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	if _, err := newCores(); err != nil {
		return err
	}
	return netns.Available()
}

// choose returns the measures of a comma-separated list.
func choose(list string) ([]measure, error) {
	var chosen []measure
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no %q; there are %s", name, strings.Join(measureNames(), ", "))
		}
		chosen = append(chosen, measures[i])
	}
	return chosen, nil
}

// measure takes each measure of each server, the servers one after the other
// in each run, so that what drifts meets all of them. What fails is told at the
// end, and the others go on.
func (b *bed) measure(ctx context.Context, chosen []measure, r *report) error {
	var failures []error
	for _, m := range chosen {
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.name, m.about)
		runs := b.Runs
		if m.once {
			runs = 1
		}
		for run := range runs {
			for _, p := range r.peers {
				if p.kind.name == "echo" && !m.echo {
					continue
				}
				values, err := m.take(ctx, b, p)
				if err != nil {
					failures = append(failures, fmt.Errorf("%s: %s: %w", m.name, p.name, err))
				}
				if err := cmp.Or(context.Cause(ctx), b.intact()); err != nil {
					return errors.Join(append(failures, err)...)
				}
				if err != nil {
					continue
				}
				fmt.Fprintf(os.Stderr, " %d/%d %-10s", run+1, runs, p.name)
				for i, f := range m.figures {
					r.add(f, p, values[i])
					fmt.Fprintf(os.Stderr, " %s", number(values[i], f.digits))
				}
				fmt.Fprintln(os.Stderr)
			}
		}
	}
	return errors.Join(failures...)
}
