package main

import (
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"proxima/cmd/internal/admin"
)

// A metric is one figure, or one for each value of its label, taken from the
// Stats of a package.
type metric[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	take func(s S, emit emit)
}

// emit hands over one figure, with a value for each label of the metric.
type emit func(value float64, label ...string)

// A room is the collector of one package. It keeps nothing: the package counts,
// and is asked when somebody wants to know.
type room[S any] struct {
	stats   func() S
	metrics []metric[S]
}

// Describe implements prometheus.Collector.
func (r room[S]) Describe(to chan<- *prometheus.Desc) {
	for _, m := range r.metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (r room[S]) Collect(to chan<- prometheus.Metric) {
	s := r.stats()
	for _, m := range r.metrics {
		m.take(s, func(value float64, label ...string) {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, label...)
		})
	}
}

// figure is any number that a Stats has.
type figure interface{ ~int | ~int64 | ~uint64 }

// total is a counter.
func total[S any, N figure](name, help string, of func(S) N) metric[S] {
	return metric[S]{prometheus.NewDesc("proxima_"+name+"_total", help, nil, nil), prometheus.CounterValue,
		func(s S, emit emit) { emit(float64(of(s))) }}
}

// gauge is what is the case at this moment.
func gauge[S any, N figure](name, help string, of func(S) N) metric[S] {
	return metric[S]{prometheus.NewDesc("proxima_"+name, help, nil, nil), prometheus.GaugeValue,
		func(s S, emit emit) { emit(float64(of(s))) }}
}

// totals is a counter for each value of a label.
func totals[S any](name, help, label string, take func(s S, emit emit)) metric[S] {
	return metric[S]{prometheus.NewDesc("proxima_"+name+"_total", help, []string{label}, nil), prometheus.CounterValue, plainly(take)}
}

// gauges is a gauge for each value of a label.
func gauges[S any](name, help, label string, take func(s S, emit emit)) metric[S] {
	return metric[S]{prometheus.NewDesc("proxima_"+name, help, []string{label}, nil), prometheus.GaugeValue, plainly(take)}
}

// plainly is take with labels that are written as all are.
func plainly[S any](take func(S, emit)) func(S, emit) {
	return func(s S, to emit) {
		take(s, func(value float64, label ...string) {
			for i := range label {
				label[i] = admin.Label(label[i])
			}
			to(value, label...)
		})
	}
}

// truth is 1 or 0.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// collecting is the CPU time of the garbage collector, and what of it was on
// cores that had nothing else to do.
var collecting = regexp.MustCompile(`^/cpu/classes/gc/(total|mark/idle):cpu-seconds$`)

// newRegistry holds the collectors of this daemon, of the Go runtime and of the
// process.
func (d *daemon) newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: collecting})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		d.daemonRoom(), d.serverRoom(), d.resolverRoom(), d.cacheRoom(), d.iterateRoom(), d.dialogueRoom(),
		d.selectionRoom(), d.upstreamRoom(), d.keeperRoom(),
	)
	if hasLocalRoot(d.c) {
		r.MustRegister(d.localRootRoom())
	}
	return r
}
