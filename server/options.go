package server

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"go.uber.org/zap"

	"proxima/server/ratelimit"
)

// Options say where to listen, whom to answer and what a client may hold.
// Zero means the default.
type Options struct {
	Addresses []netip.Addr   // one at least; may be a wildcard, which then is alone in its family
	Port      uint16         // of all addresses, UDP and TCP; 0 takes a free one, for tests
	Readers   int            // UDP sockets per address; default GOMAXPROCS
	Allow     []netip.Prefix // who may ask; others get REFUSED with EDE 18. Empty means everybody
	Own       []netip.Addr   // this node's own, from which its checks of itself ask; see ownConns
	NSID      string         // identity of this node for those who ask, RFC 5001; empty means none
	Log       *zap.Logger    // nil means none

	Waiting ratelimit.Options // what of MaxInflight one client may hold

	MaxInflight       int           // see defaultInflight
	Timeout           time.Duration // see defaultTimeout
	MaxConns          int           // see defaultConns
	MaxConnsPerClient int           // see defaultConnsPerClient
	MaxPipelined      int           // see defaultPipelined
	MaxQueries        int           // see defaultQueries
	MaxAge            time.Duration // see defaultAge
	FirstOctet        time.Duration // see defaultFirstOctet
	Idle              time.Duration // see defaultIdle
	IdlePressed       time.Duration // see defaultIdlePressed
	MaxUnsent         int           // see defaultUnsent
	Stall             time.Duration // see defaultStall
}

// defaultInflight bounds the queries, by any transport, that wait for
// Handler.Answer. Default 10,000, from 1 to 1,048,576; what comes above gets
// SERVFAIL at once. A place costs some 20 KiB while it is held. It is more than
// the 4,096 questions that the resolver works on at once, or those that hope in
// vain for 4.4 s would keep all others from its door.
const defaultInflight = 10_000

// defaultTimeout bounds Handler.Answer, counted from the arrival of the query.
// Default 4.5 s, from 1 ms to 1 min: less than the 5 s after which the usual
// stub resolver gives up, so that it hears of a failure.
const defaultTimeout = 4500 * time.Millisecond

// defaultConns bounds the TCP connections in all. Default 4,096, from 1 to
// 1,048,576, and fewer if files are few, see filesShare. Each holds one file and
// some 10 KiB (RFC 7766 section 10).
const defaultConns = 4096

// defaultConnsPerClient bounds the TCP connections of one client, a /32 or a
// /56. Default 32, from 1 to 1,048,576: many hosts may share the address, yet
// a hundred such clients cannot fill the table (RFC 7766 section 6.2.2).
const defaultConnsPerClient = 32

// ownConns bounds the TCP connections from Options.Own, which are counted apart
// from all others: neither a full table nor a busy program on this host keeps
// the node's checks of itself from their answer. Among themselves they are
// treated as the others are, so that the one that has rested longest makes
// room for a check. 64, not configurable, on top of MaxConns: twice what one
// client may hold.
const ownConns = 64

// defaultPipelined bounds the queries in flight on one connection. Default 64,
// from 1 to 65,536. Above it the connection is not read until one is answered,
// which the client sees as a full window (RFC 7766 section 6.2.1.1).
const defaultPipelined = 64

// defaultQueries and defaultAge bound the life of a connection. Default 10,000
// queries and 10 min; from 1, and from 10 ms to 24 h. A client that stays for
// ever would keep its node after the network found it a nearer one.
const (
	defaultQueries = 10000
	defaultAge     = 10 * time.Minute
)

// defaultFirstOctet bounds the time from accepting a connection to its first
// octet. Default 3 s, from 10 ms to 1 min: who connects has a question ready,
// and one retransmission takes 1 s (RFC 6298).
const defaultFirstOctet = 3 * time.Second

// defaultIdle bounds the time that a connection without a query in flight may
// take for its next whole query, so a query sent octet by octet ends too.
// Default 10 s, from 10 ms to 1 h; RFC 7766 section 6.2.3 wants "a few
// seconds".
const defaultIdle = 10 * time.Second

// defaultIdlePressed replaces defaultIdle while more than three quarters of
// MaxConns are in use. Default 1 s, from 10 ms to Idle (RFC 7766 section 6.2.3
// allows adapting it).
const defaultIdlePressed = time.Second

// defaultUnsent bounds the octets of replies that wait in this process for one
// connection to take them. Default 256 KiB, from that to 64 MiB. From half of it
// on the connection is not read; who exceeds it does not read and is cut off.
const defaultUnsent = 256 << 10

// defaultStall bounds the time in which a client takes writeChunk octets, and
// acknowledges what was sent (TCP_USER_TIMEOUT, RFC 5482). Default 5 s, from
// 10 ms to 1 min.
const defaultStall = 5 * time.Second

// maxNSID bounds Options.NSID, in octets, so that it fits beside an answer.
// RFC 5001 names no limit.
const maxNSID = 128

// filesShare is the divisor that leaves TCP connections their share of the files
// that this process may have open (RLIMIT_NOFILE). 2, not configurable: the
// other half is for questions to other servers, the sockets, and the checks.
const filesShare = 2

// fitInto lowers MaxConns to what the process may hold in so many files.
func (o *Options) fitInto(files uint64) {
	most := max(1, int(min(files/filesShare, many+ownConns))-ownConns)
	if most < o.MaxConns {
		o.Log.Warn("files are few, so that fewer TCP connections are held",
			zap.Uint64("files", files), zap.Int("wanted", o.MaxConns), zap.Int("held", most))
		o.MaxConns = most
	}
}

// many is the upper bound of what costs memory only.
const many = 1 << 20

// withDefaults returns o with its zeros replaced, or an error that names every
// field out of bounds.
func (o Options) withDefaults() (Options, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	err := errors.Join(
		checkAddresses(o.Addresses),
		bound("Readers", &o.Readers, runtime.GOMAXPROCS(0), 1, 1024),
		bound("MaxInflight", &o.MaxInflight, defaultInflight, 1, many),
		bound("Timeout", &o.Timeout, defaultTimeout, time.Millisecond, time.Minute),
		bound("MaxConns", &o.MaxConns, defaultConns, 1, many),
		bound("MaxConnsPerClient", &o.MaxConnsPerClient, defaultConnsPerClient, 1, many),
		bound("MaxPipelined", &o.MaxPipelined, defaultPipelined, 1, 1<<16),
		bound("MaxQueries", &o.MaxQueries, defaultQueries, 1, 1<<30),
		bound("MaxAge", &o.MaxAge, defaultAge, 10*time.Millisecond, 24*time.Hour),
		bound("FirstOctet", &o.FirstOctet, defaultFirstOctet, 10*time.Millisecond, time.Minute),
		bound("Idle", &o.Idle, defaultIdle, 10*time.Millisecond, time.Hour),
		bound("IdlePressed", &o.IdlePressed, min(defaultIdlePressed, o.Idle), 10*time.Millisecond, o.Idle),
		bound("MaxUnsent", &o.MaxUnsent, defaultUnsent, defaultUnsent, 64<<20),
		bound("Stall", &o.Stall, defaultStall, 10*time.Millisecond, time.Minute),
	)
	if len(o.NSID) > maxNSID {
		err = errors.Join(err, fmt.Errorf("server: NSID: %d octets, at most %d", len(o.NSID), maxNSID))
	}
	for _, p := range o.Allow {
		if !p.IsValid() || p.Addr().Is4In6() {
			err = errors.Join(err, fmt.Errorf("server: Allow: %v is not an IPv4 or IPv6 prefix", p))
		}
	}
	return o, err
}

// bound sets value to def if it is zero, and checks it otherwise.
func bound[T int | time.Duration](name string, value *T, def, low, high T) error {
	if *value == 0 {
		*value = def
	}
	if *value < low || *value > high {
		return fmt.Errorf("server: %s: %v is not from %v to %v", name, *value, low, high)
	}
	return nil
}

// checkAddresses wants each address once, and a wildcard alone in its family:
// two TCP listeners cannot share what both would cover.
func checkAddresses(addresses []netip.Addr) error {
	if len(addresses) == 0 {
		return errors.New("server: Addresses: none given")
	}
	for i, a := range addresses {
		if !a.IsValid() || a.Is4In6() {
			return fmt.Errorf("server: Addresses: %v is not an IPv4 or IPv6 address", a)
		}
		for _, b := range addresses[:i] {
			switch {
			case a == b:
				return fmt.Errorf("server: Addresses: %v is given twice", a)
			case a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified()):
				return fmt.Errorf("server: Addresses: %v and %v overlap", b, a)
			}
		}
	}
	return nil
}
