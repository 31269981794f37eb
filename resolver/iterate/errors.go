package iterate

import (
	"errors"
	"fmt"
	"time"

	"proxima/resolver/limit"
	"proxima/wire"

	"github.com/miekg/dns"
)

// An Error says why a question has no answer. It becomes SERVFAIL at the reply.
type Error struct {
	Name   string   // what was asked when it failed, which may be a server's name
	Code   uint16   // RFC 8914 INFO-CODE
	Reason string   // for the client
	Chain  []dns.RR // the aliases that were followed until it failed
	Bogus  bool     // what came could not be proven: who does not mind may still have it
	Unsure bool     // Bogus for want of a reply: soon there may be one, and what is stale is no worse
	Silent bool     // nobody said anything: it may be the way there that is broken, and mended any moment
	Local  bool     // it is this host that lacks something, or has no seat left: not to be remembered

	spent   bool // the Budget or the time is gone: asking otherwise is no use
	lasting bool // servers were asked in vain, and would be again
}

// Error names the question and the reason.
func (e *Error) Error() string {
	return fmt.Sprintf("iterate: %s: %s", e.Name, e.Reason)
}

// EDE returns what the client is told.
func (e *Error) EDE() (code uint16, text string) {
	return e.Code, e.Name + ": " + e.Reason
}

// owned returns err as one that a walk may add to, if it is an Error that others
// may have been given, too: a link that is broken is remembered for all.
func owned(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	own := *e
	return &own
}

// strike counts that l ended the question for name, and returns the error.
func (t *task) strike(l limit.Limit, name string) *Error {
	t.touch(l)
	code := uint16(wire.EDEOther)
	if l == limit.ZoneSeats || l == limit.Cycle || l == limit.Referrals || l == limit.Faults {
		code = wire.EDENoReachableAuthority
	}
	return &Error{Name: name, Code: code, Reason: "work limit: " + l.String(), Local: l.Ours(), spent: l.Final()}
}

// touch counts that l ended something.
func (t *task) touch(l limit.Limit) {
	t.w.counts.limits[l].Add(1)
	t.note.Struck(l.String())
}

// A tally counts what came of asking the servers of one cut.
type tally struct {
	timeouts, faults int    // silent; refused by the network
	barred           int    // of the faults: by this host
	full             int    // had no seat left
	local            bool   // addresses could not be looked up for want of something on this host
	starved          bool   // more might have been tried, had the Budget had it
	lame             int    // replied, but not with an answer
	reason           string // of the last lame reply
}

// failed is how many tries were in vain. They count in the Budget too.
func (t *tally) failed() int { return t.timeouts + t.faults + t.lame }

// failure is the error when nobody at the servers of zone answered for name;
// dead says that the zone was given up.
func (t *tally) failure(name, zone string, dead bool) *Error {
	e := &Error{Name: name, Code: wire.EDENoReachableAuthority, lasting: t.failed() > t.barred && !t.starved, Silent: t.lame == 0}
	e.Local = t.failed() > 0 && t.failed() == t.barred
	switch {
	case t.failed() == 0 && t.full > 0:
		e.Reason, e.Local = fmt.Sprintf("too many questions at the servers of %s", zone), true
	case t.failed() == 0 && dead:
		e.Reason = fmt.Sprintf("the servers of %s were given up", zone)
	case t.failed() == 0 && t.local:
		e.Reason, e.Local = fmt.Sprintf("no means to find the servers of %s now", zone), true
	case t.failed() == 0:
		e.Reason = fmt.Sprintf("no address for the servers of %s", zone)
	case t.lame > 0:
		e.Reason = fmt.Sprintf("%d of %d tries at %s failed with: %s", t.lame, t.failed(), zone, t.reason)
	case t.timeouts == 0:
		e.Code, e.Reason = wire.EDENetworkError, fmt.Sprintf("network error in %d tries at %s", t.faults, zone)
	default:
		e.Reason = fmt.Sprintf("no reply in %d tries at %s", t.failed(), zone)
	}
	return e
}

// Lasts returns how long the error is remembered: 0 if it says nothing of the
// servers.
func (e *Error) Lasts() time.Duration {
	switch {
	case !e.lasting:
		return 0
	case e.Bogus && !e.Unsure:
		return maxFailureLife
	}
	return minFailureLife
}
