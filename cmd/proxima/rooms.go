package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"proxima/bgpctl"
	"proxima/cache"
	"proxima/resolver"
	"proxima/resolver/dialogue"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/resolver/upstream"
	"proxima/server"
)

func (d *daemon) daemonRoom() prometheus.Collector {
	return room[*daemon]{func() *daemon { return d }, []metric[*daemon]{
		{prometheus.NewDesc("proxima_build_info", "1, with the version of the program.", []string{"version"}, nil), prometheus.GaugeValue,
			func(_ *daemon, emit emit) { emit(1, self().Release()) }},
		total("netsetup_repairs", "Addresses and routes that went missing and were put back.",
			func(d *daemon) uint64 { return d.repairs.Load() }),
		total("logging_dropped_lines", "Lines of the log that nobody will read.",
			func(d *daemon) uint64 { return d.log.Dropped() }),
	}}
}

func (d *daemon) serverRoom() prometheus.Collector {
	type stats = server.Stats
	both := func(name, help string, of func(server.Traffic) uint64) metric[stats] {
		return totals("server_"+name, help, "transport", func(s stats, emit emit) {
			emit(float64(of(s.UDP)), "udp")
			emit(float64(of(s.TCP)), "tcp")
		})
	}
	return room[stats]{d.server.Stats, []metric[stats]{
		both("queries", "Messages of clients received, whatever they were.", func(t server.Traffic) uint64 { return t.Queries }),
		both("replies", "Messages sent to clients.", func(t server.Traffic) uint64 { return t.Replies }),
		both("truncated", "Replies cut to size, with TC set.", func(t server.Traffic) uint64 { return t.Truncated }),
		both("garbage", "Messages that deserve no reply.", func(t server.Traffic) uint64 { return t.Garbage }),
		both("malformed", "Queries answered FORMERR.", func(t server.Traffic) uint64 { return t.FormErr }),
		both("not_implemented", "Queries answered NOTIMP.", func(t server.Traffic) uint64 { return t.NotImp }),
		both("bad_version", "Queries answered BADVERS.", func(t server.Traffic) uint64 { return t.BadVers }),
		both("refused", "Queries of clients that may not ask.", func(t server.Traffic) uint64 { return t.Refused }),
		both("overloaded", "Queries answered SERVFAIL because too many were in flight.",
			func(t server.Traffic) uint64 { return t.Overloaded }),
		both("crowded", "Queries dropped (UDP) or answered SERVFAIL because too many of their client were in flight.",
			func(t server.Traffic) uint64 { return t.Crowded }),
		both("repeated", "Queries dropped (UDP) or answered SERVFAIL because too many of their client for the same question were in flight.",
			func(t server.Traffic) uint64 { return t.Repeated }),
		both("late", "Replies dropped because they were late and many waited for the same network (UDP).",
			func(t server.Traffic) uint64 { return t.Late }),
		both("silent", "Queries that were not answered on purpose.", func(t server.Traffic) uint64 { return t.Silent }),
		both("read_errors", "Reads that failed.", func(t server.Traffic) uint64 { return t.ReadError }),
		both("send_errors", "Replies that the kernel did not take.", func(t server.Traffic) uint64 { return t.SendError }),
		gauge("server_inflight_queries", "Queries that wait for other servers.", func(s stats) int { return s.Inflight }),
		total("server_panics", "Panics while answering, each answered SERVFAIL.", func(s stats) uint64 { return s.Panics }),
		total("server_kernel_drops", "Datagrams dropped because a socket's queue was full.",
			func(s stats) uint64 { return s.KernelDrops }),
		gauge("server_connections", "TCP connections of clients open.", func(s stats) int { return s.Conns }),
		total("server_connections_accepted", "TCP connections of clients admitted.", func(s stats) uint64 { return s.Accepted }),
		total("server_connections_paused", "Times that a TCP connection of a client was not read because it owed too much.",
			func(s stats) uint64 { return s.Paused }),
		totals("server_connections_refused", "TCP connections of clients not admitted.", "reason", func(s stats, emit emit) {
			emit(float64(s.AcceptError), "error")
			emit(float64(s.ConnsFull), "full")
			emit(float64(s.ClientFull), "client_full")
		}),
		totals("server_connections_closed", "TCP connections of clients closed by the server.", "reason", func(s stats, emit emit) {
			emit(float64(s.Evicted), "evicted")
			emit(float64(s.Mute), "mute")
			emit(float64(s.Idle), "idle")
			emit(float64(s.Retired), "retired")
			emit(float64(s.Stalled), "stalled")
		}),
	}}
}

func (d *daemon) resolverRoom() prometheus.Collector {
	type stats = resolver.Stats
	return room[stats]{d.resolver.Stats, []metric[stats]{
		total("resolver_local", "Replies to special names, the node's own checks included.", func(s stats) uint64 { return s.Local }),
		total("resolver_refused", "Replies that say no by policy.", func(s stats) uint64 { return s.Refused }),
		total("resolver_lookups", "Questions worked on.", func(s stats) uint64 { return s.Flights }),
		total("resolver_lookup_failures", "Questions that ended with an error.", func(s stats) uint64 { return s.Failed }),
		total("resolver_panics", "Questions that ended with a panic, each a fault in this program.", func(s stats) uint64 { return s.Panics }),
		total("resolver_recalled_failures", "Replies that repeat a remembered failure.", func(s stats) uint64 { return s.Recalled }),
		total("resolver_stale", "Replies made of expired answers.", func(s stats) uint64 { return s.Stale }),
		total("resolver_late", "Replies that say no because time ran out.", func(s stats) uint64 { return s.Late }),
		total("resolver_busy", "Replies that say no because too many wait.", func(s stats) uint64 { return s.Busy }),
		total("resolver_jostled", "Questions given up because newer ones wanted their places.", func(s stats) uint64 { return s.Jostled }),
		totals("resolver_refreshes", "Answers that were asked for anew before they end, or should have been.", "outcome",
			func(s stats, emit emit) {
				emit(float64(s.Refreshed), "done")
				emit(float64(s.RefreshFailed), "failed")
				emit(float64(s.RefreshShed), "shed")
			}),
		gauge("resolver_inflight_refreshes", "Questions being worked on to refresh an answer, which no client waits for yet.",
			func(s stats) int { return s.Refreshing }),
		gauge("resolver_inflight_lookups", "Questions being worked on.", func(s stats) int { return s.Flying }),
		gauge("resolver_waiting_clients", "Clients that wait for questions being worked on.", func(s stats) int { return s.Waiters }),
	}}
}

// cacheRoom has the answers, the remembered failures and what is unproven, apart.
func (d *daemon) cacheRoom() prometheus.Collector {
	type stats = [3]cache.Stats
	each := func(of func(cache.Stats) float64) func(stats, emit) {
		return func(s stats, emit emit) {
			emit(of(s[0]), "answers")
			emit(of(s[1]), "failures")
			emit(of(s[2]), "unproven")
		}
	}
	take := func() stats { return stats{d.answers.Stats(), d.failures.Stats(), d.unproven.Stats()} }
	return room[stats]{take, []metric[stats]{
		gauges("cache_entries", "Answers stored.", "cache", each(func(s cache.Stats) float64 { return float64(s.Entries) })),
		gauges("cache_used_bytes", "Memory in use.", "cache", each(func(s cache.Stats) float64 { return float64(s.Bytes) })),
		gauges("cache_limit_bytes", "Memory that may be in use.", "cache", each(func(s cache.Stats) float64 { return float64(s.Memory) })),
		totals("cache_puts", "Answers handed over to be stored.", "cache", each(func(s cache.Stats) float64 { return float64(s.Puts) })),
		totals("cache_evictions", "Answers that made room for others.", "cache",
			each(func(s cache.Stats) float64 { return float64(s.Evictions) })),
		totals("cache_refused", "Answers not stored: too large, or without life.", "cache",
			each(func(s cache.Stats) float64 { return float64(s.Refused) })),
	}}
}

func (d *daemon) iterateRoom() prometheus.Collector {
	type stats = iterate.Stats
	return room[stats]{d.walker.Stats, []metric[stats]{
		total("iterate_lookups", "Walks begun.", func(s stats) uint64 { return s.Lookups }),
		total("iterate_failures", "Walks that ended with an error.", func(s stats) uint64 { return s.Failures }),
		total("iterate_bogus", "Walks that ended with an error because something could not be proven.", func(s stats) uint64 { return s.Bogus }),
		total("iterate_secure", "Walks whose answer is proven, all of it.", func(s stats) uint64 { return s.Secure }),
		total("iterate_proofs", "Proofs of DNSSEC computed.", func(s stats) uint64 { return s.Proofs }),
		total("iterate_known_denials", "Questions answered by what zones have proven before, RFC 8198.", func(s stats) uint64 { return s.Known }),
		total("iterate_lame", "Replies of authoritative servers worth nothing.", func(s stats) uint64 { return s.Lame }),
		total("iterate_referrals", "Referrals followed.", func(s stats) uint64 { return s.Referrals }),
		total("iterate_aliases", "CNAME and DNAME steps followed.", func(s stats) uint64 { return s.Aliases }),
		total("iterate_server_lookups", "Lookups of name servers' addresses.", func(s stats) uint64 { return s.Servers }),
		total("iterate_recalled_failures", "Questions of walks that had just failed, and were not asked again, RFC 9520.",
			func(s stats) uint64 { return s.Recalled }),
		total("iterate_local_root", "Questions that the copy of the root answered, RFC 8806.", func(s stats) uint64 { return s.Local }),
		total("iterate_local_root_unfit", "Replies of the copy of the root that proved nothing, so that a server was asked.", func(s stats) uint64 { return s.Unfit }),
		total("iterate_primes", "Times that the root's servers were learned.", func(s stats) uint64 { return s.Primes }),
		gauge("iterate_primed_timestamp_seconds", "When the root's servers were learned last, in Unix time; 0: never.",
			func(stats) int64 { return d.roots.at.Load() }),
		total("iterate_crowded_servers", "Times that a server was passed by because too many questions were under way at it.",
			func(s stats) uint64 { return s.Crowded }),
		gauge("iterate_cuts", "Delegations (cuts) known.", func(s stats) int { return s.Cuts }),
		totals("iterate_limited", "Questions that a limit ended.", "limit", func(s stats, emit emit) {
			for name, n := range s.Limits {
				emit(float64(n), name)
			}
		}),
	}}
}

func (d *daemon) dialogueRoom() prometheus.Collector {
	type stats = dialogue.Stats
	take := func() stats { return d.walker.Stats().Stats }
	return room[stats]{take, []metric[stats]{
		total("dialogue_exchanges", "Queries to authoritative servers.", func(s stats) uint64 { return s.Exchanges }),
		total("dialogue_stream_exchanges", "Queries to authoritative servers over TCP.", func(s stats) uint64 { return s.Streams }),
		total("dialogue_plain_exchanges", "Queries to authoritative servers without EDNS.", func(s stats) uint64 { return s.Plain }),
		total("dialogue_timeouts", "Exchanges with authoritative servers without a reply in time.", func(s stats) uint64 { return s.Timeouts }),
		total("dialogue_faults", "Exchanges with authoritative servers that the network refused.", func(s stats) uint64 { return s.Faults }),
		total("dialogue_suspicious", "Exchanges over UDP in which something came that looked forged.",
			func(s stats) uint64 { return s.Suspicious }),
		total("dialogue_limited", "Questions that a server was not asked once more because a limit forbade.",
			func(s stats) uint64 { return s.Limited }),
		totals("dialogue_learned", "Times that an authoritative server was found to need to be asked in another manner.", "manner", func(s stats, emit emit) {
			emit(float64(s.LearnedPlain), "no_edns")
			emit(float64(s.LearnedCase), "lower_case")
			emit(float64(s.LearnedDeaf), "tcp")
		}),
		gauge("dialogue_servers", "Authoritative servers of which is remembered how they want to be asked.", func(s stats) int { return s.Remembered }),
	}}
}

func (d *daemon) selectionRoom() prometheus.Collector {
	type stats = selection.Stats
	return room[stats]{d.servers.Stats, []metric[stats]{
		gauge("selection_servers", "Authoritative servers whose round trips and faults are remembered.", func(s stats) int { return s.Servers }),
		total("selection_offers", "Times that an authoritative server was chosen.", func(s stats) uint64 { return s.Offers }),
		total("selection_explored", "Unknown servers tried although a better known one was there.",
			func(s stats) uint64 { return s.Explored }),
		total("selection_exhausted", "Times that no authoritative server was left to choose.", func(s stats) uint64 { return s.Exhausted }),
		total("selection_family_rests", "Times that IPv4 or IPv6 was found not to work.", func(s stats) uint64 { return s.FamilyRests }),
		totals("selection_outcomes", "Questions to authoritative servers, by what came of them.", "outcome", func(s stats, emit emit) {
			for o, n := range s.Noted {
				emit(float64(n), selection.Outcome(o).String())
			}
		}),
	}}
}

func (d *daemon) upstreamRoom() prometheus.Collector {
	type stats = upstream.Stats
	return room[stats]{d.upstream.Stats, []metric[stats]{
		gauge("upstream_inflight_exchanges", "Questions to authoritative servers under way.", func(s stats) int { return s.InFlight }),
		gauge("upstream_known_cookies", "Authoritative servers whose cookie is known.", func(s stats) int { return s.Cookies }),
		totals("upstream_queries", "Questions sent to authoritative servers.", "transport", func(s stats, emit emit) {
			emit(float64(s.Datagrams), "udp")
			emit(float64(s.Streams), "tcp")
		}),
		gauge("upstream_connections", "TCP connections to authoritative servers open.", func(s stats) int { return s.Connections }),
		total("upstream_connects", "TCP connections to authoritative servers begun.", func(s stats) uint64 { return s.Connects }),
		total("upstream_reused_connections", "Questions that joined a TCP connection to an authoritative server that was there.", func(s stats) uint64 { return s.Reused }),
		total("upstream_resent", "Questions that met the end of a TCP connection they had joined, and were sent again.", func(s stats) uint64 { return s.Resent }),
		total("upstream_evicted", "TCP connections ended without a reply because all were in use.", func(s stats) uint64 { return s.Evicted }),
		total("upstream_crowded", "TCP connections not begun because their server had too many.", func(s stats) uint64 { return s.Crowded }),
		total("upstream_replies", "Replies of authoritative servers accepted.", func(s stats) uint64 { return s.Replies }),
		total("upstream_truncated", "Replies accepted that were truncated.", func(s stats) uint64 { return s.Truncated }),
		totals("upstream_failures", "Exchanges with authoritative servers without a reply.", "reason", func(s stats, emit emit) {
			emit(float64(s.Timeouts), "timeout")
			emit(float64(s.Cancelled), "cancelled")
			emit(float64(s.Failed), "network")
			emit(float64(s.Busy), "busy")
			emit(float64(s.Suspicious), "suspicious")
		}),
		totals("upstream_ignored", "Packets that were no reply to what was asked.", "reason", func(s stats, emit emit) {
			emit(float64(s.WrongAddress), "address")
			emit(float64(s.WrongID), "id")
			emit(float64(s.WrongCase), "case")
			emit(float64(s.WrongQuestion), "question")
			emit(float64(s.WrongCookie), "cookie")
			emit(float64(s.NoCookie), "no_cookie")
			emit(float64(s.Malformed), "malformed")
			emit(float64(s.ICMP), "icmp")
		}),
	}}
}

// keeperStats are what a Keeper counts and what it knows.
type keeperStats struct {
	bgpctl.Stats
	bgpctl.Status
}

func (d *daemon) keeperRoom() prometheus.Collector {
	type stats = keeperStats
	take := func() stats { return stats{d.keeper.Stats(), d.keeper.Status()} }
	return room[stats]{take, []metric[stats]{
		total("bgpctl_rounds", "Rounds of checks.", func(s stats) uint64 { return s.Rounds }),
		total("bgpctl_rounds_failed", "Rounds in which a hard check failed.", func(s stats) uint64 { return s.RoundsFailed }),
		total("bgpctl_renewals", "Leases that the sidecar took.", func(s stats) uint64 { return s.Renewals }),
		total("bgpctl_link_errors", "Leases that the sidecar did not take.", func(s stats) uint64 { return s.LinkErrors }),
		gauge("bgpctl_healthy", "1 if the checks have passed for long enough.", func(s stats) int { return truth(s.Health.Up) }),
		gauge("bgpctl_draining", "1 while the node takes its leave.", func(s stats) int { return truth(s.Draining) }),
		gauge("bgpctl_announced_prefixes", "Prefixes that the sidecar announces.", func(s stats) int { return len(s.Sidecar.Announced) }),
		gauges("bgpctl_state", "1 for the sidecar's state as last heard.", "state", func(s stats, emit emit) {
			for _, state := range bgpctl.States() {
				emit(float64(truth(d.link != nil && s.Sidecar.State == state)), state.String())
			}
		}),
		gauges("bgpctl_fault", "1 for the class of the fault that the sidecar was last told of.", "class", func(s stats, emit emit) {
			for _, class := range bgpctl.Classes() {
				emit(float64(truth(s.Class == class)), class.String())
			}
		}),
		{prometheus.NewDesc("proxima_bgpctl_check_passing", "1 if the check passed in its last run; with what its failure means.",
			[]string{"check", "class"}, nil), prometheus.GaugeValue, plainly(func(s stats, emit emit) {
			for _, c := range s.Checks {
				if !c.At.IsZero() {
					emit(float64(truth(c.Err == nil)), c.Name, c.Class.String())
				}
			}
		})},
		totals("bgpctl_check_failures", "Runs of the check that failed.", "check", func(s stats, emit emit) {
			for _, c := range s.Checks {
				emit(float64(c.Failures), c.Name)
			}
		}),
	}}
}
