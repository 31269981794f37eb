//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Rooms for the cache, in MiB: with usualRoom the flood does not fit, with
// wideRoom a million entries do.
const (
	usualRoom = 256
	wideRoom  = 1024
)

// A figure is a row of the table.
type figure struct {
	name   string
	digits int // after the point
	ratio  bool
}

// Figures that not everybody, or not every machine, has.
const (
	collectedUDP = "hit, UDP: garbage collection, % of CPU"
	throughput   = "two cores: throughput, of one core's"
)

// A measure is what one start of a server is good for.
type measure struct {
	name    string
	about   string
	figures []figure
	once    bool // it takes long and is steady: one run is enough
	echo    bool // the echo takes part
	take    func(ctx context.Context, b *bed, p *peer) ([]float64, error)
}

var measures = []measure{
	{
		name: "hit-udp", about: "the mix out of a warm cache, as fast as it goes", echo: true,
		figures: []figure{{"hit, UDP: CPU per query, µs", 2, true}, {"hit, UDP: queries a second", 0, false}, {collectedUDP, 2, false}},
		take: func(ctx context.Context, b *bed, p *peer) ([]float64, error) {
			a, err := b.hit(ctx, p, 1, load{clients: 20})
			return []float64{a.cpu, a.qps, a.collected}, err
		},
	},
	{
		name: "hit-tcp", about: "the same over 100 connections of 4 clients",
		figures: []figure{{"hit, TCP: CPU per query, µs", 2, true}, {"hit, TCP: queries a second", 0, false}},
		take: func(ctx context.Context, b *bed, p *peer) ([]float64, error) {
			a, err := b.hit(ctx, p, 1, load{clients: 100, tcp: true, from: len(clientAddrs())})
			return []float64{a.cpu, a.qps}, err
		},
	},
	{
		name: "miss", about: "names that differ below one zone whose servers are known",
		figures: []figure{
			{"miss: CPU per query, µs", 1, true}, {"miss: queries a second", 0, false},
			{"miss: exchanges per query", 2, false}, {"miss: garbage collection, % of CPU", 2, false},
		},
		take: miss,
	},
	{
		name: "cores", about: "the mix with two threads on two cores, beside one on one", echo: true,
		figures: []figure{
			{"two cores: CPU per query, µs", 2, true},
			{"two cores: throughput by CPU, of one core's", 2, false}, {throughput, 2, false},
		},
		take: twoCores,
	},
	{
		name: "latency", about: "how long hits take under half of the load that the first server reached", echo: true,
		figures: []figure{
			{"half load: queries a second", 0, false}, {"half load: p50, µs", 0, true},
			{"half load: p99, µs", 0, true}, {"half load: p99.9, µs", 0, true},
		},
		take: latency,
	},
	{
		name: "memory", about: "a million names in a cache of 1 GiB", once: true,
		figures: []figure{
			{"memory: at start, MiB", 0, false}, {"memory: full, MiB", 0, false},
			{"memory: kept, % of the names", 1, false}, {"memory: octets an entry", 0, true},
			{"memory: garbage collection, % of CPU", 2, false},
		},
		take: memory,
	},
	{
		name: "flood", about: "two million names once each through a cache of 256 MiB, while a thousand are asked once a second", once: true,
		figures: []figure{
			{"flood: hits of what is asked often, %", 1, false}, {"flood: its unanswered, %", 2, false},
			{"flood: CPU per query, µs", 1, true}, {"flood: memory, MiB", 0, false},
			{"flood: garbage collection, % of CPU", 2, false},
		},
		take: flood,
	},
}

// startWarm runs a server and puts every question of the mix into its cache.
func (b *bed) startWarm(ctx context.Context, p *peer, threads int) (*running, error) {
	r, err := b.run(p, threads, usualRoom)
	if err != nil || p.config == nil {
		return r, err
	}
	// A second time, so that whoever keeps what was asked twice has it.
	for range 2 {
		if _, err = b.perf(ctx, load{file: b.warm, seconds: 20, once: true}); err != nil {
			r.stop()
			return nil, fmt.Errorf("%s: warm up: %w", p.name, err)
		}
	}
	return r, nil
}

// hit drives a warm server with the mix.
func (b *bed) hit(ctx context.Context, p *peer, threads int, l load) (account, error) {
	r, err := b.startWarm(ctx, p, threads)
	if err != nil {
		return account{}, err
	}
	defer r.stop()
	l.file, l.seconds = b.mix, b.Duration.Seconds()
	return r.drive(ctx, l)
}

func miss(ctx context.Context, b *bed, p *peer) ([]float64, error) {
	file, err := b.unique(b.Entries)
	if err != nil {
		return nil, err
	}
	r, err := b.run(p, 1, usualRoom)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	a, err := r.drive(ctx, load{file: file, seconds: b.Duration.Seconds(), once: true, clients: 20})
	return []float64{a.cpu, a.qps, a.exchanges, a.collected}, err
}

func twoCores(ctx context.Context, b *bed, p *peer) ([]float64, error) {
	const clients = 60 // sockets, which the kernel shares out among the server's by their ports
	one, err := b.hit(ctx, p, 1, load{clients: clients})
	if err != nil {
		return nil, err
	}
	two, err := b.hit(ctx, p, 2, load{clients: clients})
	if err != nil {
		return nil, err
	}
	more := math.NaN() // where the generator has one of the cores
	if b.cores.apart() {
		more = two.qps / one.qps
	}
	return []float64{two.cpu, 2 * one.cpu / two.cpu, more}, nil
}

// probeInterval is the time between the probe's questions: small beside the
// load, and enough for the last of a thousand.
const probeInterval = 500 * time.Microsecond

func latency(ctx context.Context, b *bed, p *peer) ([]float64, error) {
	r, err := b.startWarm(ctx, p, 1)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	l := load{file: b.mix, seconds: b.Duration.Seconds(), clients: 20}
	if b.rate == 0 {
		a, err := b.perf(ctx, l)
		if err != nil {
			return nil, err
		}
		b.rate = a.qps / 2
	}
	probe, err := b.newProbe()
	if err != nil {
		return nil, err
	}
	loaded := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.rate, l.seconds = b.rate, l.seconds+0.5
	var a account
	go func() {
		var err error
		a, err = b.perf(ctx, l)
		loaded <- err
	}()
	time.Sleep(200 * time.Millisecond) // until dnsperf has read its file
	asked, err := probe.run(ctx, b.cores.generator, int(b.Duration/probeInterval), probeInterval, b.questions)
	if failed := <-loaded; failed != nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return append([]float64{a.qps}, probe.quantiles(asked, 0.5, 0.99, 0.999)...), nil
}

// fillLimit bounds what fills a cache, in seconds: 3,000 misses a second.
func fillLimit(names int) float64 { return 5 + float64(names)/3000 }

func memory(ctx context.Context, b *bed, p *peer) ([]float64, error) {
	file, err := b.unique(b.Entries)
	if err != nil {
		return nil, err
	}
	r, err := b.run(p, 1, wideRoom)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	before, err := r.rss()
	if err != nil {
		return nil, err
	}
	a, err := r.drive(ctx, load{file: file, seconds: fillLimit(b.Entries), once: true, clients: 20})
	if err != nil {
		return nil, err
	}
	time.Sleep(1100 * time.Millisecond) // so that what is kept shows its age
	after, err := r.rss()
	if err != nil {
		return nil, err
	}
	probe, err := b.newProbe()
	if err != nil {
		return nil, err
	}
	sample := make([]string, min(b.Entries, 2000))
	for i := range sample {
		sample[i] = uniqueName(i*(b.Entries/len(sample))) + " A"
	}
	asked, err := probe.run(ctx, b.cores.generator, len(sample), time.Millisecond, sample)
	if err != nil {
		return nil, err
	}
	kept := probe.kept(0, asked)
	return []float64{before / (1 << 20), after / (1 << 20), kept, after / (float64(b.Entries) * kept / 100), a.collected}, nil
}

// Of the names that are asked often during the flood, each is asked once in
// this time, and so often before.
const (
	oftenEvery = time.Second
	oftenFirst = 3
)

func flood(ctx context.Context, b *bed, p *peer) ([]float64, error) {
	file, err := b.unique(b.Flood)
	if err != nil {
		return nil, err
	}
	r, err := b.run(p, 1, usualRoom)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	probe, err := b.newProbe()
	if err != nil {
		return nil, err
	}
	often := make([]string, min(b.Entries, 1000))
	for i := range often {
		often[i] = fmt.Sprintf("often%04d.example. A", i)
	}
	var a account
	flooded := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asking, enough := context.WithCancel(ctx)
	go func() {
		defer enough()
		time.Sleep(oftenFirst * oftenEvery)
		var err error
		a, err = r.drive(ctx, load{file: file, seconds: fillLimit(b.Flood), once: true, clients: 20})
		flooded <- err
	}()
	asked, err := probe.run(asking, b.cores.generator, math.MaxInt, oftenEvery/time.Duration(len(often)), often)
	if failed := <-flooded; failed != nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	rss, err := r.rss()
	first := oftenFirst * len(often)
	return []float64{probe.kept(first, asked), probe.unanswered(first, asked), a.cpu, rss / (1 << 20), a.collected}, err
}
