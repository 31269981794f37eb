package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/gobgp"
	"proxima/bgpctl/sidecar/guard"
	"proxima/cmd/internal/admin"
)

// A room is the collector of this process. It keeps nothing: the sidecar counts,
// and is asked when somebody wants to know.
type room struct {
	sidecar *sidecar.Sidecar
	guard   *guard.Guard              // nil = none
	peers   func() []gobgp.PeerStatus // nil = the speaker has no sessions
	dropped func() uint64             // lines of the log
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("proxima_sidecar_"+name, help, labels, nil)
}

var (
	stateDesc       = desc("state", "1 for the state in which the announcement is, 0 for the others.", "state")
	announcedDesc   = desc("announced_prefixes", "Prefixes that the speaker has confirmed.")
	leasedDesc      = desc("leased", "1 while a node holds the lease.")
	ageDesc         = desc("lease_age_seconds", "Time since the lease was last renewed; 0 without one.")
	holdDownDesc    = desc("hold_down_seconds", "Time until anything may be announced again.")
	failedDesc      = desc("speaker_failed", "1 if the speaker failed at the last change of routes.")
	transitionsDesc = desc("transitions_total", "Changes of the announcement into the state.", "state")
	expiredDesc     = desc("lease_expired_total", "Leases that ran out.")
	refusedDesc     = desc("lease_refused_total", "Leases of nodes that were not taken.")
	rejectedDesc    = desc("connections_rejected_total", "Connections to the socket that were not let in.")
	garbageDesc     = desc("connections_garbage_total", "Connections to the socket ended for what they sent.")
	meritDesc       = desc("merit", "Figure of merit of the announcement, as routers that damp would count it, RFC 2439.")
	knownDesc       = desc("others_known", "1 while it is known what other nodes announce.")
	othersDesc      = desc("others", "Other nodes, by whether they announce what this one does.", "state")
	guardDesc       = desc("guard_datagrams_total", "Datagrams between this node and others, by what became of them.", "result")
	errorsDesc      = desc("speaker_errors_total", "Calls of the speaker that failed.")
	peerDesc        = desc("peer_up", "1 if the BGP session with the router is up.", "peer")
	droppedDesc     = prometheus.NewDesc("proxima_logging_dropped_lines_total", "Lines of the log that nobody will read.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r room) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		stateDesc, announcedDesc, leasedDesc, ageDesc, holdDownDesc, failedDesc, transitionsDesc,
		expiredDesc, refusedDesc, rejectedDesc, garbageDesc, errorsDesc, peerDesc, droppedDesc,
		meritDesc, knownDesc, othersDesc, guardDesc,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (r room) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	total := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	s, n := r.sidecar.Status(), r.sidecar.Stats()
	for i, count := range n.Transitions {
		state := bgpctl.State(i)
		gauge(stateDesc, truth(s.State == state), admin.Label(state.String()))
		total(transitionsDesc, count, admin.Label(state.String()))
	}
	gauge(announcedDesc, float64(len(s.Announced)))
	gauge(leasedDesc, truth(s.Leased))
	gauge(ageDesc, s.LeaseAge.Seconds())
	gauge(holdDownDesc, s.HoldDown.Seconds())
	gauge(failedDesc, truth(s.SpeakerErr != nil))
	total(expiredDesc, n.Expired)
	total(refusedDesc, n.Refused)
	total(rejectedDesc, n.Rejected)
	total(garbageDesc, n.Garbage)
	total(errorsDesc, n.SpeakerErrors)
	total(droppedDesc, r.dropped())
	gauge(meritDesc, s.Merit)
	gauge(knownDesc, truth(s.Others.Known))
	gauge(othersDesc, float64(s.Others.Announcing), "announcing")
	gauge(othersDesc, float64(s.Others.Withdrawn), "withdrawn")
	if r.guard != nil {
		g := r.guard.Stats()
		total(guardDesc, g.Asked.Load(), "asked")
		total(guardDesc, g.Replied.Load(), "replied")
		total(guardDesc, g.Answered.Load(), "answered")
		total(guardDesc, g.Refused.Load(), "refused")
	}
	if r.peers == nil {
		return
	}
	for _, p := range r.peers() {
		gauge(peerDesc, truth(p.Up), p.Address.String())
	}
}

// truth is 1 or 0.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// newRegistry holds the collectors of this process.
func newRegistry(r room) *prometheus.Registry {
	all := prometheus.NewRegistry()
	all.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		r,
	)
	return all
}
