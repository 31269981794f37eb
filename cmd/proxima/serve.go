package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"proxima/bgpctl"
	"proxima/cache"
	"proxima/cmd/internal/admin"
	"proxima/cmd/internal/checks"
	"proxima/cmd/internal/claim"
	"proxima/cmd/internal/control"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/memory"
	"proxima/cmd/internal/program"
	"proxima/cmd/internal/signals"
	"proxima/cmd/internal/snapshot"
	"proxima/cmd/internal/systemd"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/localroot"
	"proxima/resolver/localroot/fetch"
	"proxima/resolver/selection"
	"proxima/resolver/upstream"
	"proxima/resolver/upstream/ports"
	"proxima/server"
)

// failureMemory is the room for remembered failures, in octets. 4 MiB, not
// configurable: some ten thousand, each gone after a minute at most.
const failureMemory = 4 << 20

// unprovenMemory is the room for answers that could not be proven, in octets. 4
// MiB, not configurable: only those who mend a zone ask for them.
const unprovenMemory = 4 << 20

// A daemon is everything that serve holds. It is built in the order of its
// fields and taken apart in the other.
type daemon struct {
	c       *config.Node
	log     *logging.Log
	plan    memory.Plan
	links   netsetup.Links
	listen  []netip.Addr
	sources []netip.Addr
	hints   []anchor.Server

	admin    *admin.Server
	control  *control.Server
	failures *cache.Cache
	unproven *cache.Cache // for clients that set CD
	answers  *cache.Cache
	kept     snapshot.File // of the answers
	servers  *selection.Table
	upstream *upstream.Client
	walker   *iterate.Walker
	resolver *resolver.Resolver
	roots    roots
	root     localroot.Copy
	rootKeep *fetch.Keeper   // of root
	upkeep   *anchor.Upkeep  // of the root's keys; nil if they are not kept up to date
	claim    *claim.Claim    // nil without anycast addresses
	setup    *netsetup.Setup // nil without anycast addresses
	repairs  atomic.Uint64
	server   *server.Server
	link     *bgpctl.Socket // nil = nothing is announced
	keeper   *bgpctl.Keeper
}

// serve is the daemon, from reading its file to its last log line.
func serve(file string, caught signals.Signals) error {
	c, lines, err := load(file)
	if err != nil {
		return err
	}
	log, err := logging.New(c.Log.Level, zap.String("node", c.Node.ID))
	if err != nil {
		return err
	}
	defer log.Close()
	plan := memory.NewPlan(c.Cache.Memory, memory.Find())
	plan.Set(log.Logger)
	for _, idle := range idleAnchors(c) {
		log.Warn("trust anchor makes nothing secure", zap.String("reason", program.Locate(idle, lines)))
	}
	d, err := start(c, log)
	if p, ok := program.Find(err, lines); ok {
		return config.Problems{p}
	}
	if err != nil {
		return err
	}
	d.plan = plan
	return d.run(caught)
}

// start builds a daemon whose sockets are bound. If a step fails, those before
// it are undone.
func start(c *config.Node, log *logging.Log) (*daemon, error) {
	d := &daemon{c: c, log: log, links: netsetup.Kernel()}
	for _, step := range []func() error{
		d.findAddresses, d.openAdmin, d.openControl, d.buildResolver, d.holdAddresses, d.openServer, d.buildKeeper,
	} {
		if err := step(); err != nil {
			if d.admin != nil {
				d.admin.Close()
			}
			if d.control != nil {
				d.control.Close()
			}
			return nil, errors.Join(err, d.takeApart(), d.release())
		}
	}
	return d, nil
}

func (d *daemon) findAddresses() error {
	present, err := hostAddresses(d.links)
	if err != nil {
		return err
	}
	d.listen = listenAddresses(d.c, present)
	d.sources, err = findSources(d.c, d.links)
	return err
}

func (d *daemon) buildResolver() (err error) {
	if d.answers, err = cache.New(cache.Options{Memory: d.c.Cache.Memory}); err != nil {
		return err
	}
	if d.failures, err = cache.New(cache.Options{Memory: failureMemory}); err != nil {
		return err
	}
	if d.unproven, err = cache.New(cache.Options{Memory: unprovenMemory}); err != nil {
		return err
	}
	if d.upstream, err = upstream.New(upstream.Options{Sources: d.sources}); err != nil {
		return err
	}
	if err := ports.Check(); err != nil {
		d.log.Warn("source ports are few", zap.Error(err))
	}
	if d.kept, err = keptAnswers(d.c, d.answers, d.log.Logger); err != nil {
		return err
	}
	if d.hints, err = readHints(d.c.Recursion.RootHints); err != nil {
		return err
	}
	d.servers = selection.New(0)
	o := walkerOptions(d.c, d.hints, d.sources)
	o.Exchanger, o.Selection, o.Cache = d.upstream, d.servers, d.answers
	o.LocalRoot, o.OnPrime = d.root.Answer, d.noteRoot
	if o.Trust, err = trustOptions(d.c); err != nil {
		return err
	}
	anew := func(why error) { d.log.Warn("trust anchors were begun anew", zap.Error(why)) }
	if d.upkeep, err = loadUpkeep(d.c, anew); err != nil {
		return err
	}
	o.Trust.Anchors = kept(o.Trust.Anchors, d.upkeep)
	if d.walker, err = iterate.New(o); err != nil {
		return err
	}
	if d.upkeep != nil {
		d.walker.Trust(d.upkeep.Trusted())
	}
	d.openLocalRoot(o.Trust)
	d.resolver, err = resolver.New(resolver.Options{
		Walker: d.walker, Cache: d.answers, Failures: d.failures, Unproven: d.unproven, ID: d.c.Node.ID,
		Warm: warmQuestions(d.c),
	})
	return err
}

// holdAddresses puts the anycast addresses in place. From here on the node may
// be reached, but nothing is announced before the checks pass.
func (d *daemon) holdAddresses() (err error) {
	if len(d.c.Anycast.Addresses) == 0 {
		return nil
	}
	if d.claim, err = claim.Take(); err != nil {
		return err
	}
	if d.claim == nil {
		d.log.Warn("anycast addresses were not claimed: others have every name", zap.Stringers("holders", claim.Holders()))
	}
	setup, err := netsetup.New(netsetup.Options{
		Addresses: d.c.Anycast.Addresses, Interface: d.c.Anycast.Interface, Blackholes: d.c.BGP.Prefixes, Links: d.links,
		OnRepair: func(what string) {
			d.repairs.Add(1)
			d.log.Warn("repaired what went missing", zap.String("what", what))
		},
		OnFault: func(err error) { d.log.Error("could not repair the addresses", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	d.setup = setup
	return setup.Ensure()
}

func (d *daemon) openServer() (err error) {
	d.server, err = server.Listen(serverOptions(d.c, d.listen, d.sources, d.log.Logger))
	return err
}

func (d *daemon) buildKeeper() (err error) {
	present, err := hostAddresses(d.links)
	all := checks.All(checks.Parts{
		Config: d.c, Server: d.server, Setup: d.setup, Sources: d.sources, Walker: d.walker, Hints: d.hints,
		IPv6: err != nil || slices.Contains(present, netip.IPv6Loopback()),
	})
	o := keeperOptions(d.c, all, d.asked, d.log.Logger)
	if d.c.BGP.Socket != "" {
		d.link = bgpctl.Dial(d.c.BGP.Socket)
		o.Link = d.link
	}
	d.keeper, err = bgpctl.NewKeeper(o)
	return err
}

// asked is how many questions came so far, without those for local names:
// among these are the checks' own, and a drain would never go quiet.
func (d *daemon) asked() uint64 {
	local := d.resolver.Stats().Local // read first, so that it is not the larger
	s := d.server.Stats()
	return max(s.UDP.Queries+s.TCP.Queries, local) - local
}

// run serves until a signal comes or a part fails, and then stops in order.
func (d *daemon) run(caught signals.Signals) error {
	tasks, failed := errgroup.WithContext(context.Background())
	keeping, endKeeping := context.WithCancel(context.Background())
	watching, endWatching := context.WithCancel(context.Background())
	defer endKeeping()
	defer endWatching()
	p := parts{endKeeping: endKeeping, kept: make(chan error, 1), endWatching: endWatching, watched: make(chan struct{}),
		restored: make(chan struct{})}

	tasks.Go(func() error { return d.server.Serve(context.Background(), d.resolver) })
	tasks.Go(func() error {
		defer close(p.watched)
		if d.setup == nil {
			return nil
		}
		return d.setup.Watch(watching)
	})
	d.fillAdmin()
	tasks.Go(func() error {
		d.admin.Serve(d.log.Logger)
		return nil
	})
	d.fillControl()
	tasks.Go(func() error {
		d.control.Serve(d.log.Logger)
		return nil
	})
	tasks.Go(func() error {
		d.prime(keeping)
		p.kept <- d.keeper.Run(keeping)
		return nil
	})
	tasks.Go(func() error {
		defer close(p.restored)
		d.kept.Restore()
		return nil
	})
	live := func() int64 { return d.answers.Stats().Bytes }
	follow := func(ctx context.Context) { d.plan.Follow(ctx, live) }
	for _, task := range []func(context.Context){d.keepAnchors, d.rootKeep.Run, d.resolver.KeepWarm, follow} {
		tasks.Go(func() error {
			task(keeping)
			return nil
		})
	}
	d.log.Info("started", zap.String("version", self().Release()), zap.Stringers("listen", d.server.Addrs()),
		zap.Stringers("sources", d.sources), zap.Stringers("anycast", d.c.Anycast.Addresses))
	systemd.Ready(d.log.Logger)

	p.failed = d.awaitEnd(caught, failed)
	systemd.Stopping(d.log.Logger)
	d.control.Close()
	err := d.stop(p, caught)
	d.admin.Close()
	return errors.Join(tasks.Wait(), err)
}

// awaitEnd returns when the daemon is asked to end or, with true, when a part of
// it has failed.
func (d *daemon) awaitEnd(caught signals.Signals, failed context.Context) bool {
	for {
		select {
		case <-caught.Hangups:
			signals.IgnoreHangup(d.log.Logger)
		case s := <-caught.Ends:
			d.log.Info("stop was asked for", zap.Stringer("signal", s))
			return false
		case <-failed.Done():
			d.log.Error("a part failed")
			return true
		}
	}
}
