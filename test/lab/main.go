//go:build linux

// Command lab shows the idea of Proxima on one machine: an anycast Internet.
//
// It builds Proxima and starts it on three nodes, Tokyo, London and New York,
// each a network namespace with the same two service addresses. Transit
// routers, one beside each node, speak BGP with it and with each other and put
// what they learn into their kernels' tables. Clients in Japan, Germany and
// Brazil ask without pause, while a small signed Internet (root, two top-level
// domains, twenty zones) stands behind the nodes to be resolved. Then the lab
// kills, hangs, cuts and drains nodes one after another, and tells as it
// happens who answered whom, what was lost and when routes moved.
//
//	go run ./test/lab                 all drills, routers made of GoBGP
//	go run ./test/lab -router bird    the same with BIRD (or frr) as routers
//	go run ./test/lab -keep           leaves the network up to play with
//
// It needs Go, and root or unprivileged user namespaces. All of it lives in
// namespaces held by this process: whatever ends it, no namespace, route or
// process is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"proxima/test/router"
)

func main() {
	router.RunIfAsked()
	var o options
	var drillNames string
	flag.StringVar(&o.Router, "router", "gobgp", "what the transit routers run: "+strings.Join(router.Kinds, ", "))
	flag.StringVar(&drillNames, "drills", "all", "comma-separated drills to run: "+strings.Join(names(drills), ", "))
	flag.BoolVar(&o.Keep, "keep", false, "leave the network up after the drills, until ctrl-C")
	flag.BoolVar(&o.Shared, "shared", false, "the machine has other work to do: tell losses and times, and judge the rest")
	flag.BoolVar(&o.Verbose, "v", false, "show the log lines of the nodes")
	flag.Parse()

	var err error
	if o.Drills, err = pick(drillNames); err != nil {
		exit(err)
	}
	if !slices.Contains(router.Kinds, o.Router) {
		exit(fmt.Errorf("-router: %q is not one of %s", o.Router, strings.Join(router.Kinds, ", ")))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	err = play(ctx, o)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing was left behind")
	}
	exit(err)
}

// play builds the programs and runs the lab, in a user namespace of its own
// where network namespaces cannot be made otherwise. The programs are built
// before: inside, there is no Internet to load modules from.
func play(ctx context.Context, o options) error {
	if o.Programs = os.Getenv(programsEnv); o.Programs == "" {
		dir, err := newDir()
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.Programs = dir
		fmt.Println("Building Proxima")
		if err := build(ctx, dir); err != nil {
			return err
		}
		if entered, err := enterUserNamespace(ctx, dir); entered || err != nil {
			return err
		}
	}
	results, err := run(ctx, o, newTimeline(os.Stdout, term.IsTerminal(int(os.Stdout.Fd()))))
	if err != nil {
		return err
	}
	return verdict(results)
}

// exit ends the program: 0 without an error, else 1 and the error on stderr.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// pick returns the drills of a comma-separated list.
func pick(list string) ([]drill, error) {
	if list == "all" {
		return drills, nil
	}
	var picked []drill
	for name := range strings.SplitSeq(list, ",") {
		i := indexDrill(name)
		if i < 0 {
			return nil, fmt.Errorf("-drills: no drill %q; there are %s", name, strings.Join(names(drills), ", "))
		}
		picked = append(picked, drills[i])
	}
	return picked, nil
}
