package server

import "sync/atomic"

// Stats are counts since Listen, and what is held at this moment.
type Stats struct {
	UDP, TCP Traffic
	Inflight int    // queries that wait for Handler.Answer
	Panics   uint64 // panics of the Handler, each answered with SERVFAIL

	KernelDrops uint64 // datagrams that the kernel dropped because a socket's queue was full

	Conns       int    // TCP connections open
	Accepted    uint64 // connections admitted
	AcceptError uint64 // accept failed, for lack of files above all
	ConnsFull   uint64 // connections refused: MaxConns reached and none idle
	ClientFull  uint64 // connections refused: MaxConnsPerClient reached
	Evicted     uint64 // idle connections closed to make room for others
	Mute        uint64 // connections closed: no first octet within FirstOctet
	Idle        uint64 // connections closed: no whole query within Idle
	Retired     uint64 // connections closed: MaxQueries or MaxAge reached
	Stalled     uint64 // connections closed: the client did not take its replies
	Paused      uint64 // times a connection was not read, because of MaxPipelined or MaxUnsent
}

// Traffic counts the messages of one transport.
type Traffic struct {
	Queries    uint64 // messages received, whatever they were
	Replies    uint64 // messages handed to the kernel, refusals included
	Truncated  uint64 // replies cut, with TC set
	Garbage    uint64 // messages that deserve no reply: short, replies, from port 0
	FormErr    uint64 // malformed
	NotImp     uint64 // an opcode other than QUERY
	BadVers    uint64 // an EDNS version above 0
	Refused    uint64 // clients that Allow does not name
	Overloaded uint64 // answered SERVFAIL because MaxInflight was reached
	Crowded    uint64 // dropped (UDP) or answered SERVFAIL because their client has as many waiting as it may
	Repeated   uint64 // the same because it has as many waiting for the same question as it may
	Late       uint64 // replies dropped because they were late and many waited for the same network, UDP
	Silent     uint64 // the Handler chose not to reply
	ReadError  uint64 // reads that failed
	SendError  uint64 // replies that the kernel did not take
}

// A tally is a Traffic that is being counted. Each reader has its own, so that
// cores do not share a cache line for it.
type tally struct {
	queries, replies, truncated             atomic.Uint64
	garbage, formErr, notImp, badVers       atomic.Uint64
	refused, silent, readErr, sendErr, late atomic.Uint64
	denied                                  [full + 1]atomic.Uint64 // places, by why
}

// addTo adds the counts to sum.
func (t *tally) addTo(sum *Traffic) {
	sum.Queries += t.queries.Load()
	sum.Replies += t.replies.Load()
	sum.Truncated += t.truncated.Load()
	sum.Garbage += t.garbage.Load()
	sum.FormErr += t.formErr.Load()
	sum.NotImp += t.notImp.Load()
	sum.BadVers += t.badVers.Load()
	sum.Refused += t.refused.Load()
	sum.Overloaded += t.denied[full].Load()
	sum.Crowded += t.denied[crowded].Load()
	sum.Repeated += t.denied[repeated].Load()
	sum.Late += t.late.Load()
	sum.Silent += t.silent.Load()
	sum.ReadError += t.readErr.Load()
	sum.SendError += t.sendErr.Load()
}

// connTally counts what becomes of TCP connections.
type connTally struct {
	accepted, acceptErr, full, clientFull, evicted atomic.Uint64
	mute, idle, retired, stalled, paused           atomic.Uint64
}

// Stats returns the counts up to now. It may be called at any time.
func (s *Server) Stats() Stats {
	sum := Stats{
		Inflight:    int(s.inflight.Load()),
		Panics:      s.panics.Load(),
		Conns:       s.conns.size() + s.own.size(),
		Accepted:    s.streams.accepted.Load(),
		AcceptError: s.streams.acceptErr.Load(),
		ConnsFull:   s.streams.full.Load(),
		ClientFull:  s.streams.clientFull.Load(),
		Evicted:     s.streams.evicted.Load(),
		Mute:        s.streams.mute.Load(),
		Idle:        s.streams.idle.Load(),
		Retired:     s.streams.retired.Load(),
		Stalled:     s.streams.stalled.Load(),
		Paused:      s.streams.paused.Load(),
	}
	for _, r := range s.readers {
		r.tally.addTo(&sum.UDP)
		sum.KernelDrops += r.conn.Drops()
	}
	for _, l := range s.listeners {
		l.tally.addTo(&sum.TCP)
	}
	return sum
}

// Replies returns how many replies have left from the i-th address of Addrs.
func (s *Server) Replies(i int) (udp, tcp uint64) {
	for _, r := range s.readers[i*s.o.Readers : (i+1)*s.o.Readers] {
		udp += r.tally.replies.Load()
	}
	return udp, s.listeners[i].tally.replies.Load()
}
