package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"proxima/wire"
)

// NewAnswer makes an answer of msg: a complete reply with one question and no
// OPT record. It keeps no part of msg. The answer lives as long as the least TTL
// among its answer and authority records, or m.TTL if there are none. A life of
// nothing is for the transaction in progress only (RFC 2181 section 8), so such
// an answer is never stale either.
func NewAnswer(msg []byte, m Meta) (*Answer, error) {
	c := copiers.Get().(*copier)
	defer c.free()
	if err := c.read(msg); err != nil {
		return nil, err
	}
	end, _ := wire.SkipName(msg, wire.HeaderLen)
	life, stale := secondsOf(m.TTL), secondsOf(m.Stale)
	if ttl, ok := leastTTL(msg, c.records); ok {
		life = ttl
	}
	if life == 0 {
		stale = 0
	}
	if !c.copy(binary.BigEndian.Uint16(msg[end:])) {
		return nil, fmt.Errorf("cache: message of %d octets has malformed data", len(msg))
	}
	a := c.write(m.EDE)
	a.at, a.life, a.stale = instantOf(m.At), life, stale
	a.name, a.security = uint8(end-wire.HeaderLen), m.Security
	return a, nil
}

// read indexes the records of a message, if it is one that can be kept.
func (c *copier) read(msg []byte) error {
	var ok bool
	if c.records, ok = wire.AppendRecords(c.records[:0], msg); !ok {
		return fmt.Errorf("cache: message of %d octets is malformed", len(msg))
	}
	if n := binary.BigEndian.Uint16(msg[4:]); n != 1 {
		return fmt.Errorf("cache: message has %d questions, want 1", n)
	}
	if slices.ContainsFunc(c.records, func(r wire.Record) bool { return r.Type == wire.TypeOPT }) {
		return errors.New("cache: message has an OPT record")
	}
	c.from = msg
	return nil
}

// free gives the copier's memory to the next one.
func (c *copier) free() {
	c.from = nil
	copiers.Put(c)
}

// authenticates tells whether records of this type are only for clients that
// set DO: the types of RFC 4035 section 3.2.1, except the one asked for.
func authenticates(typ, asked uint16) bool {
	switch typ {
	case wire.TypeRRSIG, wire.TypeNSEC, wire.TypeNSEC3:
		return typ != asked
	}
	return false
}

// leastTTL is the least TTL, in seconds, among the answer and authority
// records, if there are any.
func leastTTL(msg []byte, records []wire.Record) (least uint32, ok bool) {
	for _, r := range records {
		if r.Section == wire.Additional {
			continue
		}
		ttl := readTTL(msg[r.TTL:])
		if !ok || ttl < least {
			least, ok = ttl, true
		}
	}
	return least, ok
}

// readTTL reads a TTL field. One with its top bit set counts as 0, RFC 2181
// section 8.
func readTTL(field []byte) uint32 {
	ttl := binary.BigEndian.Uint32(field)
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}
