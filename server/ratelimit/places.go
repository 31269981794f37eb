// Package ratelimit bounds what the clients of one prefix may take.
//
// A query whose answer is not known takes a place of its client, and gives it
// back when it is answered. A client without a place left has to wait until one
// of its own is free, however many others have; what is known is answered all
// the same. Only some of its places are for one question: who sends that again and
// again shares one answer, and is to leave the rest for others.
//
// The places are counters in a fixed block of memory, found by a seeded hash, so that no flood of addresses makes them grow and
// nobody can choose whom he shares one with.
package ratelimit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
)

// Limits of one client: an IPv4 address, or an IPv6 /56 (RFC 6177).
const (
	// defaultUDP bounds its queries by UDP that wait. Default 200, from 1 to
	// 1,048,576: 4,000 misses of 50 ms a second, and no more than that many places
	// for who sends in its name.
	defaultUDP = 200

	// defaultStream bounds its queries on streams that wait. Default 1,000, from
	// 1 to 1,048,576: its address is proven, and may be that of many.
	defaultStream = 1000

	// defaultQuestion bounds its queries for one question that wait, by UDP and on
	// streams together. Default 100, from 1 to 1,048,576: half of what it has by
	// UDP, and as many as BIND lets wait of all clients together
	// (max-clients-per-query). What they wait for comes at one moment, so that it is
	// also the most that one name can be made to send there at once.
	defaultQuestion = 100

	// defaultKept is how many queries by UDP may wait for the network around it,
	// an IPv4 /24 or an IPv6 /48, before replies that are late are dropped.
	// Default 50, from 1 to 1,048,576. Who collects replies to let them all out
	// at once in another's name (DNSBomb, CVE-2024-33655) gets few, and a small
	// network of patient clients gets them all.
	defaultKept = 50

	maxLimit = 1 << 20
)

// Options are the limits. Zero means the default.
type Options struct {
	UDP      int // see defaultUDP
	Stream   int // see defaultStream
	Question int // see defaultQuestion
	Kept     int // see defaultKept
}

// Places count the queries that wait, for each client and network. It may be
// used by many goroutines.
type Places struct {
	o    Options // immutable after New
	seed maphash.Seed

	udp, stream, questions, networks counters
}

// A Query is one that may have to wait.
type Query struct {
	From   netip.Addr
	Stream bool
	Name   []byte // in wire form, 255 octets at most; in any letter case
	Type   uint16
}

// A Verdict is what Take says.
type Verdict uint8

// Verdicts.
const (
	Granted  Verdict = iota
	Crowded          // the client has as many places as one may have
	Repeated         // and of those for this question
)

// New returns places that are all free. An error names the field.
func New(o Options) (*Places, error) {
	err := errors.Join(
		bound("UDP", &o.UDP, defaultUDP),
		bound("Stream", &o.Stream, defaultStream),
		bound("Question", &o.Question, defaultQuestion),
		bound("Kept", &o.Kept, defaultKept))
	if err != nil {
		return nil, err
	}
	return &Places{o: o, seed: maphash.MakeSeed()}, nil
}

// bound sets a limit to def if it is zero, and checks it otherwise.
func bound(name string, limit *int, def int) error {
	if *limit == 0 {
		*limit = def
	}
	if *limit < 1 || *limit > maxLimit {
		return fmt.Errorf("ratelimit: %s: %d is not from 1 to %d", name, *limit, maxLimit)
	}
	return nil
}

// Take takes a place for a query. If it is Granted, Give has to give the place
// back, for the same query.
func (p *Places) Take(q Query) Verdict {
	client, network := p.hashes(q.From)
	ofClient, limit := &p.udp, p.o.UDP
	if q.Stream {
		ofClient, limit = &p.stream, p.o.Stream
	}
	if !ofClient.take(client, limit) {
		return Crowded
	}
	if !p.questions.take(p.question(client, q), p.o.Question) {
		ofClient.add(client, -1)
		return Repeated
	}
	if !q.Stream {
		p.networks.add(network, 1)
	}
	return Granted
}

// Give gives a place back.
func (p *Places) Give(q Query) {
	client, network := p.hashes(q.From)
	p.questions.add(p.question(client, q), -1)
	if q.Stream {
		p.stream.add(client, -1)
		return
	}
	p.udp.add(client, -1)
	p.networks.add(network, -1)
}

// question returns the hash of what a client asks.
func (p *Places) question(client uint64, q Query) uint64 {
	var space [255 + 2 + 8]byte
	octets := append(space[:0], q.Name...)
	for i, c := range octets { // no length octet is a letter: they are at most 63
		if 'A' <= c && c <= 'Z' {
			octets[i] = c + 'a' - 'A'
		}
	}
	octets = binary.BigEndian.AppendUint16(octets, q.Type)
	return maphash.Bytes(p.seed, binary.BigEndian.AppendUint64(octets, client))
}

// Crowded reports whether so many queries by UDP wait for the network around
// from that late replies to it are to be dropped.
func (p *Places) Crowded(from netip.Addr) bool {
	_, network := p.hashes(from)
	return p.networks.add(network, 0) > p.o.Kept
}

// hashes returns those of the prefixes of an address: the client's, and that of
// its network. All of them end on a whole octet.
func (p *Places) hashes(a netip.Addr) (client, network uint64) {
	octets := a.As16()
	clientLen, networkLen := 56/8, 48/8
	if a.Unmap().Is4() {
		clientLen, networkLen = (96+32)/8, (96+24)/8
	}
	return maphash.Bytes(p.seed, octets[:clientLen]), maphash.Bytes(p.seed, octets[:networkLen])
}

// rowLen is the number of counters in a row. 16,384, not configurable: with
// 10,000 queries waiting, 50 clients at most have all 200 places taken, and
// another one is taken for such a client only if both its counters are theirs,
// too: a chance of one in 100,000, anew at each start.
const rowLen = 1 << 14

// counters count by a hash, in a counter of either row. What others count there
// can make the lesser of the two too large, but never too small: whoever is
// wrongly refused, nobody gets more than his share.
type counters [2][rowLen]atomic.Int32

// take adds one, and is true unless that is more than limit.
func (c *counters) take(hash uint64, limit int) bool {
	if c.add(hash, 1) > limit {
		c.add(hash, -1)
		return false
	}
	return true
}

// add adds n and returns the count.
func (c *counters) add(hash uint64, n int32) int {
	a := c[0][hash%rowLen].Add(n)
	b := c[1][hash>>32%rowLen].Add(n)
	return int(min(a, b))
}
