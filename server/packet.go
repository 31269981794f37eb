package server

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"proxima/wire"
)

// maxQuery bounds the octets of a query. 4,096, not configurable: a question
// takes 300, and cookies, padding and the options to come fit many times.
// Longer ones are read so far, and answered FORMERR.
const maxQuery = 4096

// batchSize is the number of datagrams that one system call moves at most. 64,
// not configurable: the call's price is then below a fiftieth of the rest, the
// first reply of a full batch waits some 20 µs for the last, and the garbage
// collector, which no call is interrupted for, some 200 µs for the call, see ADR 17.
const batchSize = 64

// A packet is one query and what is needed to answer it. It has one owner at a
// time: the goroutine that reads, or the one that waits for its answer.
type packet struct {
	query wire.Query // borrows buffer
	from  netip.Addr // the client, without zone
	reply []byte     // what to send; not owned

	n        int  // octets in buffer
	cut      bool // the query was longer than maxQuery
	portZero bool // nothing can be sent to its sender

	// For the socket alone: the sender, and the control message that makes the
	// address it asked the source of the reply. Both are sent as they came.
	name    [unix.SizeofSockaddrInet6]byte
	control [controlSize]byte
	nameLen uint32
	ctrlLen int

	buffer [maxQuery]byte
	room   [wire.PayloadSize]byte // for a reply that was waited for
}

// controlSize is room for one IP_PKTINFO or IPV6_PKTINFO message: a header of
// 16 octets at most and 20 octets of data, aligned.
const controlSize = 40

// message returns the octets that were received.
func (p *packet) message() []byte { return p.buffer[:p.n] }

// A packetConn moves datagrams in batches. A real one is a socket; in tests,
// it is a slice in and a slice out.
type packetConn interface {
	// ReadBatch fills packets and returns how many it filled. If wait is true
	// it waits for the first; otherwise it fails if none has arrived. For one
	// reader.
	ReadBatch(packets []*packet, wait bool) (n int, err error)

	// WriteBatch sends the reply of each packet to its sender, never waits,
	// and returns how many the kernel did not take. Any goroutine may call it.
	WriteBatch(packets []*packet) (failed int)

	// Wake makes ReadBatch fail with os.ErrDeadlineExceeded when it waits, now
	// and from now on.
	Wake()

	// Drops returns how many datagrams were lost in a full queue.
	Drops() uint64

	Close() error
}
