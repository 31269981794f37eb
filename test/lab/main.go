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
// namespaces held by this process: whatever ends it, nothing is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	flag.BoolVar(&o.Verbose, "v", false, "show the log lines of the nodes")
	flag.Parse()

	if err := enterUserNamespace(); err != nil {
		exit(err)
	}
	var err error
	if o.Drills, err = pick(drillNames); err != nil {
		exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	screen := newTimeline(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())))
	results, err := run(ctx, o, screen)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted; nothing was left behind")
	}
	if err == nil {
		err = verdict(results)
	}
	stop()
	exit(err)
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
