package localroot

import (
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

	// FirstRetry is when a copy is tried for again while there is none. A minute,
	// not configurable: meanwhile the servers are asked, as without a copy.
	FirstRetry = time.Minute
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
	until     time.Time // when it is thrown away
	signed    time.Time // when its signatures end
}

// Answer returns what a server of the root replies to q, or nil if there is no
// copy that says. The caller owns it.
func (c *Copy) Answer(q dns.Question) *dns.Msg {
	h := c.held.Load()
	if h == nil || !clock.Now().Before(h.until) {
		return nil
	}
	m := h.zone.Answer(q)
	if m != nil {
		c.answers.Add(1)
	}
	return m
}

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
	h := &held{zone: z, confirmed: confirmed, until: confirmed.Add(seconds(z.soa.Expire)), signed: signed}
	if signed.Before(h.until) {
		h.until = signed
	}
	if !clock.Now().Before(h.until) {
		return false, fmt.Errorf("localroot: serial %d expired at %s", z.Serial(), h.until.UTC().Format(time.RFC3339))
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
		return false, fmt.Errorf("localroot: serial %d is older than %d, which is in use", serial, z.Serial())
	}
	return serial != z.Serial(), nil
}

// Confirm notes that the zone in use is still the newest.
func (c *Copy) Confirm(at time.Time) {
	if h := c.held.Load(); h != nil {
		_, _ = c.Take(h.zone, at, h.signed) // at worst it goes on to expire
	}
}

// Fail counts that a zone could not be had or used.
func (c *Copy) Fail() { c.failures.Add(1) }

// Expire throws the zone away if its time is over, and reports whether it did.
func (c *Copy) Expire(at time.Time) bool {
	h := c.held.Load()
	if h == nil || at.Before(h.until) {
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

// Until returns when the zone in use is thrown away; zero if there is none.
func (c *Copy) Until() time.Time {
	if h := c.held.Load(); h != nil {
		return h.until
	}
	return time.Time{}
}

// Aging reports whether the zone in use has lived half of its time.
func (c *Copy) Aging(at time.Time) bool {
	h := c.held.Load()
	return h != nil && at.After(h.confirmed.Add(h.until.Sub(h.confirmed)/2))
}

// Next returns when to ask for a newer zone, having asked at a time and failed
// or not.
func (c *Copy) Next(asked time.Time, failed bool) time.Time {
	z := c.Zone()
	switch {
	case z == nil:
		return asked.Add(FirstRetry)
	case failed:
		return asked.Add(max(seconds(z.soa.Retry), minRetry))
	}
	return asked.Add(max(seconds(z.soa.Refresh), minRefresh))
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
	if h := c.held.Load(); h != nil {
		s.Held, s.Serial, s.Records = true, h.zone.Serial(), h.zone.Records()
		s.Age, s.Left = clock.Since(h.confirmed), clock.Until(h.until)
	}
	return s
}

// seconds is a duration of an SOA record.
func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
