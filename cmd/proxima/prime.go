package main

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"proxima/clock"
	"proxima/resolver/iterate"
)

// primeLimit bounds how long the start waits for the root servers. 3 s, not
// configurable. Without them the node serves all the same: the Internet behind
// it is not its fault, and cached or local names need none.
const primeLimit = 3 * time.Second

// prime learns the root's servers, so that the first client need not wait for
// that. A root that is silent is only a warning.
func (d *daemon) prime(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, primeLimit)
	defer cancel()
	if err := d.walker.Prime(ctx); err != nil {
		d.log.Warn("root could not be primed", zap.Error(err))
	}
}

// roots are what is remembered of the root's servers to tell of.
type roots struct {
	told []string     // owned by the walk that primes
	at   atomic.Int64 // when they were learned last, in seconds of Unix; 0: never
}

// noteRoot notes that the root's servers were learned, and tells which they are
// if they are others than before.
func (d *daemon) noteRoot(servers []iterate.Server) {
	d.roots.at.Store(clock.Now().Unix())
	var list []string
	for _, s := range servers {
		var addrs []string
		for _, a := range s.Addrs {
			addrs = append(addrs, a.Addr().String())
		}
		slices.Sort(addrs)
		list = append(list, strings.Join(append([]string{s.Name}, addrs...), " "))
	}
	slices.Sort(list)
	if !slices.Equal(list, d.roots.told) {
		d.roots.told = list
		d.log.Info("root was primed", zap.Strings("servers", list))
	}
}
