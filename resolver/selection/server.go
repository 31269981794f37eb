package selection

import (
	"net/netip"
	"time"
)

const (
	// unknownTimeout is how long a server that nobody has measured may take.
	// Most of the world answers within 300 ms of any place; 376 ms is Unbound's
	// guess, 400 ms Knot Resolver's.
	unknownTimeout = 400 * time.Millisecond

	// minTimeout leaves a near server time for a cache miss of its own or a
	// busy moment.
	minTimeout = 50 * time.Millisecond

	// maxTimeout bounds one try, so that three tries fit into the 4.5 s after
	// which the client gets its reply.
	maxTimeout = 1500 * time.Millisecond

	// unknownRTT ranks a server that nobody has measured among the known: it is
	// asked before servers slower than this.
	unknownRTT = 150 * time.Millisecond

	// memory is how long a measured round trip is believed. Routes change and
	// servers move; Unbound's host cache keeps 15 min too.
	memory = 15 * time.Minute

	// restAfter is how many timeouts in a row lay a server to rest. One packet
	// in a hundred is lost on good paths; two in a row seldom.
	restAfter = 2

	// firstRest is the first rest of a silent server. It doubles with each
	// further timeout up to maxRest.
	firstRest = time.Second
	maxRest   = 60 * time.Second

	// markLife is how long a server that was lame, broken or refused stands
	// behind the others. It is short, and it bars nobody, because the mark is
	// the address's, not the zone's: anybody may delegate a zone to servers of
	// a stranger, who then rightly refuse it.
	markLife = 10 * time.Second

	// familyFaults is how many refusals by different servers in a row, with no
	// reply in between, say that this host cannot reach the family at all.
	familyFaults = 3

	// firstFamilyRest is the first rest of a family. It doubles with each probe
	// up to maxFamilyRest, and ends with the first reply. A probe costs one
	// question a refusal by this host, which takes no time; so a family that works
	// again is found within 40 s, and in use within a minute.
	firstFamilyRest = 10 * time.Second
	maxFamilyRest   = 40 * time.Second
)

// A server is what is known of one address.
type server struct {
	srtt, rttvar time.Duration // smoothed round trip and its deviation, RFC 6298 section 2
	measured     time.Time     // when the last round trip was; zero = never
	timeouts     int           // in a row
	restUntil    time.Time     // silent: left alone until then
	markedUntil  time.Time     // lame, broken or refused: behind others until then
}

// note takes in one outcome.
func (s *server) note(o Outcome, rtt time.Duration, at time.Time) {
	switch o {
	case TimedOut:
		s.timeouts++
		if s.timeouts >= restAfter {
			s.restUntil = at.Add(doubled(firstRest, s.timeouts-restAfter, maxRest))
		}
		return
	case Refused:
		s.markedUntil = at.Add(markLife)
		return
	case Lame, Broken:
		s.markedUntil = at.Add(markLife)
	case Answered:
		s.markedUntil = time.Time{}
	}
	s.timeouts, s.restUntil = 0, time.Time{}
	if rtt > 0 {
		s.measure(rtt, at)
	}
}

// measure smooths one round trip into the estimate, with the gains of RFC 6298
// section 2. After a long silence the estimate starts anew.
func (s *server) measure(rtt time.Duration, at time.Time) {
	if s.known(at) {
		s.rttvar += ((s.srtt - rtt).Abs() - s.rttvar) / 4
		s.srtt += (rtt - s.srtt) / 8
	} else {
		s.srtt, s.rttvar = rtt, rtt/2
	}
	s.measured = at
}

// known reports whether the round trip was measured lately.
func (s *server) known(at time.Time) bool {
	return !s.measured.IsZero() && at.Sub(s.measured) < memory
}

// resting reports whether the server is left alone after timeouts.
func (s *server) resting(at time.Time) bool { return at.Before(s.restUntil) }

// marked reports whether the server was lame, broken or refused lately.
func (s *server) marked(at time.Time) bool { return at.Before(s.markedUntil) }

// expected is the round trip to reckon with when servers are compared: the
// measured one, doubled by each timeout since.
func (s *server) expected(at time.Time) time.Duration {
	rtt := unknownRTT
	if s.known(at) {
		rtt = s.srtt
	}
	return doubled(rtt, s.timeouts, maxTimeout)
}

// timeout is how long to wait for the reply when the server has been offered
// for this question offers times before. The first try of a near server is
// short, so that a lost packet costs little; further tries give a slow one time.
func (s *server) timeout(offers int, at time.Time) time.Duration {
	first := unknownTimeout
	if s.known(at) {
		first = max(s.srtt+4*s.rttvar, minTimeout)
	}
	if offers == 0 {
		return doubled(first, s.timeouts, maxTimeout)
	}
	return max(doubled(first, offers, maxTimeout), doubled(unknownTimeout, offers-1, maxTimeout))
}

// A family is what is known of this host's way to all IPv4 or all IPv6 servers.
type family struct {
	faults    int        // refusals in a row by different servers
	last      netip.Addr // the server that was refused last
	rests     int        // in a row
	restUntil time.Time
}

// familyOf returns the index of the address's family in Table.families.
func familyOf(a netip.Addr) int {
	if a.Unmap().Is4() {
		return 0
	}
	return 1
}

// note takes in one outcome and reports whether it laid the family to rest. A
// timeout says nothing: it may be the server's fault as well as the path's.
func (f *family) note(from netip.Addr, o Outcome, at time.Time) bool {
	switch o {
	case Answered, Lame, Broken:
		*f = family{}
	case Refused:
		if from == f.last && f.faults < familyFaults {
			return false
		}
		f.last = from
		f.faults = min(f.faults+1, familyFaults)
		if f.faults < familyFaults || f.resting(at) {
			return false
		}
		f.rest(at)
		return true
	}
	return false
}

// rest lays the family to rest, longer each time.
func (f *family) rest(at time.Time) {
	f.restUntil = at.Add(doubled(firstFamilyRest, f.rests, maxFamilyRest))
	f.rests++
}

// due reports whether a rest is over and nobody knows yet whether the family works.
func (f *family) due(at time.Time) bool { return f.rests > 0 && !f.resting(at) }

// resting reports whether the family is left alone.
func (f *family) resting(at time.Time) bool { return at.Before(f.restUntil) }

// doubled returns d doubled n times, but not more than limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
