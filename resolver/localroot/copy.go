package localroot

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

const (
	// minRefresh and minRetry bound what the SOA says of when to ask for a newer
	// zone: a zero must not make a loop. 1 s; the root says 30 and 15 minutes.
	minRefresh = time.Second
	minRetry   = time.Second

	// maxRefresh bounds it upwards. A day: a copy that is asked for once in its life
	// ends by one packet lost.
	maxRefresh = 24 * time.Hour

	// FirstRetry is when a copy is tried for again while there is none. A minute,
	// not configurable: meanwhile the servers are asked, as without a copy.
	FirstRetry = time.Minute

	// slowest is how often that doubles. 4 times, to 16 minutes, as often as the
	// root's SOA has it tried for while there is one: each try may be a whole zone,
	// of a server that owes nobody any.
	slowest = 4
)

// A Copy is the copy of the root in use, if there is one. Any goroutine may ask
// it; one at a time may change it.
type Copy struct {
	held atomic.Pointer[held]

	loads, failures, expired, answers atomic.Uint64
}

// held is a zone in use. It never changes.
type held struct {
	zone      *Zone
	confirmed time.Time // when it was known last to be the newest
	expires   time.Time // what its SOA says
	signed    time.Time // when its signatures end
}

// left returns how long the zone may be used yet: until one of its ends comes by
// the clock on the wall, which may be set, or by the one that counts from the
// start of the host, and halts while it sleeps, whichever is sooner.
func (h *held) left(at time.Time) time.Duration {
	wall := at.Round(0)
	return min(h.expires.Sub(at), h.expires.Round(0).Sub(wall), h.signed.Sub(at), h.signed.Round(0).Sub(wall))
}

// over reports whether the zone's time is over.
func (h *held) over(at time.Time) bool { return h.left(at) <= 0 }

// Answer returns what a server of the root replies to q, or nil if there is no
// copy that says. The caller owns it.
func (c *Copy) Answer(q dns.Question) *dns.Msg {
	h := c.held.Load()
	if h == nil || h.over(clock.Now()) {
		return nil
	}
	m := h.zone.Answer(q)
	if m != nil {
		c.answers.Add(1)
	}
	return m
}

// ErrOlder says that a zone was older than the one in use.
var ErrOlder = errors.New("older")

// Take puts a verified zone in use, which was the newest at a time confirmed and
// whose signatures end at a time signed. It reports whether that changes
// anything. It is an error if the zone is older than the one in use, or expired.
func (c *Copy) Take(z *Zone, confirmed, signed time.Time) (changed bool, err error) {
	changed, err = c.Wants(z.Serial())
	if err != nil {
		return false, err
	}
	if !changed && !confirmed.After(c.held.Load().confirmed) {
		return false, nil
	}
	at := clock.Now()
	h := &held{zone: z, confirmed: confirmed, expires: confirmed.Add(seconds(z.soa.Expire)), signed: signed}
	h.expires = at.Add(h.expires.Sub(at)) // by both clocks, though a file has the time of only one
	if left := h.left(at); left <= 0 {
		return false, fmt.Errorf("localroot: serial %d expired at %s", z.Serial(), at.Add(left).UTC().Format(time.RFC3339))
	}
	c.held.Store(h)
	if changed {
		c.loads.Add(1)
	}
	return changed, nil
}

// Wants reports whether a zone of this serial would be another one than that in
// use, or the first. It is an error if it would be an older one, RFC 1982.
func (c *Copy) Wants(serial uint32) (bool, error) {
	z := c.Zone()
	switch {
	case z == nil:
		return true, nil
	case newer(z.Serial(), serial):
		return false, fmt.Errorf("localroot: serial %d is %w than %d, which is in use", serial, ErrOlder, z.Serial())
	}
	return serial != z.Serial(), nil
}

// Confirm notes that at a time the zone of this serial was the newest still, if
// it is in use.
func (c *Copy) Confirm(serial uint32, at time.Time) {
	if h := c.held.Load(); h != nil && h.zone.Serial() == serial {
		_, _ = c.Take(h.zone, at, h.signed) // at worst it goes on to expire
	}
}

// Fail counts that a zone could not be had or used.
func (c *Copy) Fail() { c.failures.Add(1) }

// Expire throws the zone away if its time is over, and reports whether it did.
func (c *Copy) Expire(at time.Time) bool {
	h := c.held.Load()
	if h == nil || !h.over(at) {
		return false
	}
	c.held.Store(nil)
	c.expired.Add(1)
	return true
}

// Zone returns the zone in use, nil if there is none.
func (c *Copy) Zone() *Zone {
	if h := c.held.Load(); h != nil {
		return h.zone
	}
	return nil
}

// Left returns how long the zone in use may be used yet, having read the clock at
// a time; 0 if there is none.
func (c *Copy) Left(at time.Time) time.Duration {
	if h := c.held.Load(); h != nil {
		return max(h.left(at), 0)
	}
	return 0
}

// Aging reports whether the zone in use has lived half of its time.
func (c *Copy) Aging(at time.Time) bool {
	h := c.held.Load()
	return h != nil && h.left(at) < h.left(h.confirmed)/2
}

// Next returns when to ask for a newer zone, having asked at a time and failed
// so many times in a row.
func (c *Copy) Next(asked time.Time, failed int) time.Time {
	z := c.Zone()
	switch {
	case z == nil:
		return asked.Add(FirstRetry << min(max(failed-1, 0), slowest))
	case failed > 0:
		return asked.Add(min(max(seconds(z.soa.Retry), minRetry), maxRefresh))
	}
	return asked.Add(min(max(seconds(z.soa.Refresh), minRefresh), maxRefresh))
}

// Stats are what a Copy counts and what it is.
type Stats struct {
	Held    bool // a zone is in use; what follows is zero without
	Serial  uint32
	Records int
	Age     time.Duration // since it was known to be the newest
	Left    time.Duration // until it is thrown away

	Loads    uint64 // zones put in use
	Failures uint64 // zones that could not be had or used
	Expired  uint64 // zones thrown away because their time was over
	Answers  uint64 // replies given
}

// Stats returns the counters.
func (c *Copy) Stats() Stats {
	s := Stats{Loads: c.loads.Load(), Failures: c.failures.Load(), Expired: c.expired.Load(), Answers: c.answers.Load()}
	at := clock.Now()
	if h := c.held.Load(); h != nil && !h.over(at) { // though it may not be thrown away yet
		s.Held, s.Serial, s.Records = true, h.zone.Serial(), h.zone.Records()
		s.Age, s.Left = at.Sub(h.confirmed), h.left(at)
	}
	return s
}

// seconds is a duration of an SOA record.
func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
