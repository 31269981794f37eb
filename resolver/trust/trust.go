// Package trust follows the chain of trust from an anchor to the records of a
// reply.
//
// A walk comes to a zone with what the chain says of it, a Zone, and lets a
// Judge look at each reply of the zone's servers. Of a referral the Judge reads
// the Zone of the child, out of the DS set that came along or was asked for. Of
// an answer or a denial it finds the zone that each set belongs to, which may
// lie below the one that was asked if its servers have both; it gets that zone's
// keys, once, and verifies the set. What dnssec computes is computed at a bench
// with few seats.
//
// Where chains begin and end is the operator's to say: at Anchors, and at
// Exceptions.
package trust

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"proxima/clock"
	"proxima/resolver/denial"
	"proxima/resolver/dnssec"
	"proxima/resolver/reply"
	"proxima/wire"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
)

const (
	// zoneTableSize is how many zones are remembered with their keys, about 1 KiB
	// each, and names at which no zone begins. As many as a walk remembers cuts.
	zoneTableSize = 65_536

	// maxLife bounds how long anything is remembered: a day, as TTLs are.
	maxLife = 24 * time.Hour

	// minKeysLife is the least time for which keys are used again: 5 s, as long as
	// a failure is remembered. With a TTL of 0 a zone would be asked for them for
	// each set that it has signed, and no query affords that.
	minKeysLife = 5 * time.Second

	// unjudgedLife bounds how long a zone counts as insecure because what its
	// parent, or its own keys, say of it is beyond what is computed. The TTLs of
	// that are anybody's. An hour, as denials are believed for.
	unjudgedLife = time.Hour

	// isolatedLife is how long a configured zone counts as insecure because nobody
	// could be asked about it. A minute: the Internet may come back.
	isolatedLife = time.Minute
)

// Options say where chains of trust begin and end. Zero values mean the default.
type Options struct {
	Anchors    []*dns.DS    // of any zones; none: nothing is validated
	Exceptions []Exception  // none by default
	Rules      dnssec.Rules // what is supported
	Time       time.Time    // for which signatures are judged; default: the present

	// Denials remembers what zones have proven not to exist, so that Known can
	// answer for them; nil: nothing is remembered.
	Denials *denial.Cache
}

// An Exception is a negative trust anchor, RFC 7646: what is at or below Zone is
// not validated, because the zone is known to be broken.
type Exception struct {
	Zone  string
	Until time.Time // when it is over; zero: never
}

// A Zone is what the chain of trust says of a zone. It never changes.
type Zone struct {
	Name    string        // lower case, with the final dot
	DS      []*dns.DS     // what the parent, or an anchor, says of its keys; only if Secure
	Keys    dnssec.Keys   // empty until the first signature needs them
	Status  dnssec.Status // Secure or Insecure; never Bogus, which is an error
	Why     *wire.EDE     // what was lacking to make it Secure, if clients are told
	Expires time.Time     // when the parent is to be asked again
	Until   time.Time     // when the Exception ends that the zone lies in; zero: never, or there is none
}

// A Chain knows where chains of trust begin and end, and remembers the zones
// on the way. It may be used by many goroutines.
type Chain struct {
	exceptions map[string]Exception // by zone; immutable after New, as are all of this group
	rules      dnssec.Rules
	time       time.Time
	bench      *bench
	denials    *denial.Cache // nil remembers nothing

	anchors atomic.Pointer[anchors] // which is replaced, never changed

	// known holds zones that no referral tells of. A nil Zone is a name at which
	// none begins. In keyed they have their keys, as long as those live.
	known, keyed *lru.TwoQueueCache[place, fact]

	links  *links
	proofs atomic.Uint64
}

// anchors are those of each zone.
type anchors map[string][]*dns.DS

// A place is a name as the servers of one cut have it: those to which a zone is
// forwarded may say something else than its own.
type place struct{ servers, name string }

// A fact is what is known of a place, until when.
type fact struct {
	zone  *Zone
	until time.Time
}

// New returns a Chain.
func New(o Options) (*Chain, error) {
	c := &Chain{
		exceptions: make(map[string]Exception),
		rules:      o.Rules, time: o.Time, bench: newBench(max(1, runtime.GOMAXPROCS(0)-1)), denials: o.Denials,
	}
	all := make(anchors)
	for _, ds := range o.Anchors {
		zone := dns.CanonicalName(ds.Hdr.Name)
		all[zone] = append(all[zone], ds)
	}
	c.anchors.Store(&all)
	for _, e := range o.Exceptions {
		if _, valid := dns.IsDomainName(e.Zone); !valid {
			return nil, fmt.Errorf("trust: Exceptions: %q is no name", e.Zone)
		}
		c.exceptions[dns.CanonicalName(e.Zone)] = e
	}
	var err error
	if c.known, err = lru.New2Q[place, fact](zoneTableSize); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if c.keyed, err = lru.New2Q[place, fact](zoneTableSize); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if c.links, err = newLinks(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validates reports whether there is anything to begin a chain with.
func (c *Chain) Validates() bool { return len(*c.anchors.Load()) > 0 }

// Anchors returns those of a zone. Read only.
func (c *Chain) Anchors(zone string) []*dns.DS { return (*c.anchors.Load())[zone] }

// SetAnchors changes the anchors of a zone; none: no chain begins there any
// more. What was proven by the old ones stays for as long as it was to. It
// reports whether there was anything to change, and is for one goroutine at a
// time.
func (c *Chain) SetAnchors(zone string, ds []*dns.DS) (changed bool) {
	same := func(a, b *dns.DS) bool { return dns.IsDuplicate(a, b) }
	if slices.EqualFunc(c.Anchors(zone), ds, same) {
		return false
	}
	all := maps.Clone(*c.anchors.Load())
	all[zone] = ds
	if len(ds) == 0 {
		delete(all, zone)
	}
	c.anchors.Store(&all)
	c.links.broken.Purge() // what could not be had may be had with the new ones
	return true
}

// Vouches reports whether a key that the anchors of zone vouch for has signed a
// DNSKEY set of it.
func (c *Chain) Vouches(zone string, set dnssec.RRset, w *dnssec.Work) bool {
	_, err := dnssec.TrustKeys(zone, c.Anchors(zone), set, c.signingTime(), w)
	return err == nil
}

// SignedBy reports whether a key, revoked or not, has signed the DNSKEY set that
// it is in.
func (c *Chain) SignedBy(k *dns.DNSKEY, set dnssec.RRset, w *dnssec.Work) bool {
	return dnssec.SignedBy(k, set, c.signingTime(), w)
}

// Proofs returns how many proofs were computed.
func (c *Chain) Proofs() uint64 { return c.proofs.Load() }

// NewWork returns the purse of one client query.
func (c *Chain) NewWork() *dnssec.Work { return dnssec.NewWork(c.rules) }

// Known returns the secure reply that the zone would give to q, if that follows
// from what it has denied before: RFC 8198.
func (c *Chain) Known(q dns.Question, z *Zone, w *dnssec.Work) (v reply.Verdict, ok bool) {
	if c.denials == nil || z.Status != dnssec.Secure {
		return v, false
	}
	a, ok := c.denials.Lookup(q, z.Name, clock.Now(), w)
	if !ok {
		return v, false
	}
	m := &dns.Msg{Question: []dns.Question{q}, Answer: a.Answer, Ns: a.Authority}
	m.Response, m.Authoritative, m.Rcode = true, true, a.Rcode
	v = reply.Classify(q, m, reply.From{Zone: z.Name})
	return v, v.Kind != reply.Lame && v.Kind != reply.Referral
}

// Root returns the root zone. Without an anchor it is insecure.
func (c *Chain) Root(at time.Time) *Zone {
	if z, ok := c.decree(".", at); ok {
		return z
	}
	return &Zone{Name: ".", Expires: at.Add(maxLife)}
}

// decree returns the zone at a name if the operator has said something of it:
// there an anchor begins a chain of trust, or an Exception ends it.
func (c *Chain) decree(name string, at time.Time) (z *Zone, ok bool) {
	z = &Zone{Name: name, Expires: at.Add(maxLife)}
	if e, is := c.exceptions[name]; is && (e.Until.IsZero() || at.Before(e.Until)) {
		z.Until, z.Expires = e.Until, clock.Sooner(z.Expires, e.Until)
		return z, true
	}
	z.DS = c.Anchors(name)
	z.Status, _ = c.judge(z.DS)
	return z, len(z.DS) > 0
}

// anchored reports whether there is an anchor between two names, a zone and one
// below it.
func (c *Chain) anchored(zone, below string) bool {
	for name := reply.Above(below); name != zone; name = reply.Above(name) {
		if c.Anchors(name) != nil {
			return true
		}
	}
	return false
}

// delegated returns the zone of which the DS are proven, for so many seconds;
// or that it has none.
func (c *Chain) delegated(name string, ds []*dns.DS, at time.Time, ttl uint32) *Zone {
	status, why := c.judge(ds)
	z := &Zone{Name: name, DS: ds, Status: status, Expires: at.Add(min(time.Duration(ttl)*time.Second, maxLife))}
	if why != nil {
		z.Why = &wire.EDE{}
		z.Why.Code, z.Why.Text = why.EDE()
	}
	return z
}

// judge returns what a zone with these DS is; and why, if it has some, but none
// that is supported.
func (c *Chain) judge(ds []*dns.DS) (s dnssec.Status, why *dnssec.ProofError) {
	for _, d := range ds {
		if why = c.rules.Unsupported(d); why == nil {
			return dnssec.Secure, nil
		}
	}
	return dnssec.Insecure, why
}

// signingTime is the time for which signatures are judged. What is proven lives
// and ends by the present all the same.
func (c *Chain) signingTime() time.Time {
	if c.time.IsZero() {
		return clock.Now()
	}
	return c.time
}

// ahead is how far the present is ahead of signingTime.
func (c *Chain) ahead() time.Duration {
	if c.time.IsZero() {
		return 0
	}
	return clock.Since(c.time)
}

// remember keeps a denial of a zone, with the SOA or the records of a wildcard
// that belong to it, to answer from.
func (c *Chain) remember(v verified) {
	if c.denials == nil {
		return
	}
	put := c.denials.Put
	if v.Signed.Wildcard != "" {
		put = c.denials.PutWildcard
	}
	ahead := c.ahead()
	v.Signed.Until, v.Denial.Until = v.Signed.Until.Add(ahead), v.Denial.Until.Add(ahead)
	put(v.zone, v.Set, v.Signed, v.Denial, clock.Now())
}

// recall returns what is known of a place.
func (c *Chain) recall(p place, at time.Time) (f fact, ok bool) {
	f, ok = c.known.Get(p)
	return f, ok && at.Before(f.until)
}

// insecure returns z as one that cannot be judged.
func (z *Zone) insecure(why *wire.EDE) *Zone {
	lower := *z
	lower.Status, lower.Why = dnssec.Insecure, why
	return &lower
}

// towards returns the name one label longer than zone on the way to name.
func towards(zone, name string) string {
	starts := dns.Split(name)
	return name[starts[len(starts)-dns.CountLabel(zone)-1]:]
}
