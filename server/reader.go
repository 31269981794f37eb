package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"proxima/crew"
	"proxima/wire"
)

// readPause is how long a reader rests after a read that failed, so that a
// failure that lasts does not take a core. 10 ms, not configurable: the queue
// holds what comes meanwhile.
const readPause = 10 * time.Millisecond

// arenaSize is room for the replies of one batch, in octets: all of them cut
// to size, and the largest message there is before it is cut.
const arenaSize = batchSize*wire.PayloadSize + wire.MaxMessage

// keptFor is the age of a query from which on its reply is dropped if many wait
// for the same network, see ratelimit.Options.Kept. 1.9 s, Unbound's number, not
// configurable: a stale answer comes after 1.8 s.
const keptFor = 1900 * time.Millisecond

// busy is from how many queries in flight on the reply to one of them leaves with
// those of others that are found at the same time: 8, not configurable. To wake
// a client costs more than the reply, and one burst wakes it once; with fewer
// there is time.
const busy = 8

// A reader answers the queries that reach one UDP socket.
type reader struct {
	server *Server
	conn   packetConn
	name   string // for people
	tally  tally

	// When the batch in hand was begun, in nanoseconds since Server.start; 0
	// between batches. Written by run, read by Stuck.
	began atomic.Int64

	waited crew.Burst[*packet] // replies that leave with others

	// Owned by run.
	in    []*packet
	out   []*packet // those of in that have a reply
	arena []byte    // replies stand here, one after the other, until they are sent
}

// newReader returns a reader of conn for s.
func newReader(s *Server, conn packetConn, name string) *reader {
	r := &reader{server: s, conn: conn, name: name}
	r.waited.Send = r.sendWaited
	r.in = make([]*packet, batchSize)
	for i := range r.in {
		r.in[i] = new(packet)
	}
	r.out = make([]*packet, 0, batchSize)
	r.arena = make([]byte, 0, arenaSize)
	return r
}

// run reads until the socket is closed; or, after Wake, until what had arrived
// is answered.
func (r *reader) run() {
	for {
		err := r.batch(true)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			for r.batch(false) == nil {
			}
			return
		default:
			r.tally.readErr.Add(1)
			time.Sleep(readPause)
		}
	}
}

// batch reads one batch and answers it.
func (r *reader) batch(wait bool) error {
	n, err := r.conn.ReadBatch(r.in, wait)
	if err != nil {
		return err
	}
	at := time.Now()
	r.began.Store(max(1, int64(at.Sub(r.server.start))))
	r.tally.queries.Add(uint64(n))
	r.out = r.out[:0]
	free := r.arena
	for i, p := range r.in[:n] {
		reply, done := r.answer(free, p, at)
		switch {
		case !done:
			r.wait(p, at)
			r.in[i] = r.server.packets.Get().(*packet)
		case len(reply) > 0:
			p.reply = reply
			r.out = append(r.out, p)
			free = reply[len(reply):]
		}
	}
	r.send(r.out)
	r.began.Store(0)
	return nil
}

// answer appends the reply to p, ready to send, unless somebody has to wait
// for it.
func (r *reader) answer(dst []byte, p *packet, at time.Time) (reply []byte, done bool) {
	s := r.server
	reply, done = s.answerNow(dst, p, &r.tally, at)
	if !done {
		switch s.takePlace(p, false, &r.tally) {
		case granted:
			return nil, false
		case crowded, repeated: // to reply would be to do so in vain, or in another's name
			return nil, true
		}
		reply = wire.AppendError(dst, &p.query, wire.RcodeServFail, edeDenied[full])
	}
	return r.finish(reply, p), true
}

// wait gives p to a goroutine that waits for its answer and sends it. The
// caller has taken a place for it.
func (r *reader) wait(p *packet, at time.Time) {
	s := r.server
	s.crew.Go(func() {
		p.reply = r.finish(s.answer(s.terms.From(at), p.room[:0], &p.query, &r.tally, at), p)
		late := time.Since(at) > keptFor && s.places.Crowded(p.from)
		s.givePlace(p, false)
		switch {
		case len(p.reply) == 0:
		case late:
			r.tally.late.Add(1)
		case s.inflight.Load() >= busy:
			r.waited.Put(p)
			return
		default:
			r.send([]*packet{p})
		}
		s.packets.Put(p)
	})
}

// sendWaited sends replies that were waited for.
func (r *reader) sendWaited(packets []*packet) {
	r.send(packets)
	for _, p := range packets {
		r.server.packets.Put(p)
	}
}

// finish makes reply one that p's sender can take by UDP.
func (r *reader) finish(reply []byte, p *packet) []byte {
	limit := min(int(p.query.UDPSize), wire.PayloadSize)
	return r.server.finish(reply, 0, &p.query, &r.tally, limit)
}

// send sends the replies of packets. What the kernel does not take is lost, as
// datagrams are: the client asks again.
func (r *reader) send(packets []*packet) {
	if len(packets) == 0 {
		return
	}
	failed := r.conn.WriteBatch(packets)
	r.tally.replies.Add(uint64(len(packets) - failed))
	r.tally.sendErr.Add(uint64(failed))
}

// stuck returns an error if r has been in one batch for longer than limit.
func (r *reader) stuck(now, limit time.Duration) error {
	began := time.Duration(r.began.Load())
	if began == 0 || now-began <= limit {
		return nil
	}
	return fmt.Errorf("server: reader %s has been in one batch for %v", r.name, now-began)
}
