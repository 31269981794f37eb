// Package iterate walks the delegation tree for one question.
//
// Lookup begins at the deepest Cut it knows: a zone, with the servers that its
// parent named. It shortens the name (RFC 9156), lets selection choose one of
// the servers, and has dialogue put the question to it. What comes back is worth
// something by what reply.Classify, a pure function, says: a referral, which is
// the next Cut; an answer or a denial, which end the walk; an alias,
// which begins another one; or nothing, and the next server is asked. Servers
// without a known address raise questions of their own. All of it spends from
// one Budget, and every end is a cache.Answer or a typed error.
//
// Trust walks down with the delegation: a Cut knows the DS that its parent has
// signed, or that it has proven to have none. What a zone says is verified with
// the keys behind its DS before the walk goes on.
//
// Nothing is believed but what lies in the zone that was asked, and of that
// only what belongs to the question.
package iterate

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proxima/cache"
	"proxima/clock"
	"proxima/resolver/anchor"
	"proxima/resolver/dialogue"
	"proxima/resolver/dnssec"
	"proxima/resolver/found"
	"proxima/resolver/limit"
	"proxima/resolver/quota"
	"proxima/resolver/selection"
	"proxima/resolver/trust"
	"proxima/wire"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
)

// An Exchanger asks one authoritative server one question.
type Exchanger = dialogue.Exchanger

// A Budget is what one client query may still spend.
type Budget = limit.Budget

// NewBudget returns the full purse of one client query.
func NewBudget() *Budget { return limit.NewBudget() }

// Minimize says how names are shortened before they are asked, RFC 9156.
type Minimize uint8

// How to shorten names.
const (
	Relaxed Minimize = iota // and ask the full name when a server errs on a short one
	Off                     // not at all
	Strict                  // and believe what a server says of the short name
)

// A Zone is one that the operator sends to servers of his choice.
type Zone struct {
	Name      string
	Servers   []netip.AddrPort
	Recursive bool // they are resolvers (forward), not authoritative (stub)
	First     bool // if they fail, walk; only with Recursive

	Full        bool // ask them for whole names; not with Recursive, where that is so anyway
	Lower       bool // ask them in lower case
	Stream      bool // ask them over TCP alone
	Unvalidated bool // do not validate the zone and what is below it
}

// Options say how a Walker works. Zero values mean the default.
type Options struct {
	Exchanger Exchanger        // required
	Selection *selection.Table // required
	Cache     *cache.Cache     // required; for aliases and addresses of servers
	Hints     []anchor.Server  // where the root is; default anchor.Roots()
	IPv4      bool             // which families to ask; neither means both
	IPv6      bool
	Minimize  Minimize
	Zones     []Zone         // forward and stub zones
	Deny      []netip.Prefix // never asked while walking; Zones are exempt
	Own       []netip.Addr   // our own service addresses: never asked, no exemption
	MinTTL    time.Duration  // floor of TTLs, at most MaxTTL; default 0
	MaxTTL    time.Duration  // default 24 h
	Stale     time.Duration  // how long answers may be served after their life; default 0
	Rand      *rand.Rand     // owned by the Walker from then on; default ChaCha8 with a random seed
	RootPort  uint16         // port of the root servers and of all that a walk finds; default 53
	Trust     trust.Options  // where chains of trust begin; without an anchor nothing is validated

	// LocalRoot replies as a server of the root does, or with nil if one is to be
	// asked; default: always nil. Its replies are judged as those are. The Walker
	// may change them.
	LocalRoot func(dns.Question) *dns.Msg

	// OnPrime is told of the root's servers whenever they were learned, by one
	// walk at a time, which waits. Read only. Default: nobody is.
	OnPrime func(servers []Server)
}

// A Walker resolves questions. It may be used by many goroutines.
type Walker struct {
	asker     *dialogue.Asker // immutable after New, as are all of this group
	selection *selection.Table
	store     *found.Store
	hints     *Cut
	stubs     map[string]*Cut
	forwards  map[string]*forward
	ipv4      bool
	ipv6      bool
	minimize  Minimize
	deny      []netip.Prefix
	own       map[netip.Addr]bool
	port      uint16
	chain     *trust.Chain
	localRoot func(dns.Question) *dns.Msg // or nil
	onPrime   func([]Server)

	// Local answers questions that are nobody else's, also those that come up on
	// a walk; it returns nil for all others. Set before the first Lookup, or nil.
	Local func(dns.Question) *dns.Msg

	cuts *lru.TwoQueueCache[string, *Cut] // by Zone

	zoneSeats   *quota.Table[string]     // by Cut.key
	serverSeats *quota.Table[netip.Addr] //

	failed *lru.Cache[dns.Question, failure] // questions of the tree, but for clients' own

	chance sync.Mutex // guards rand
	rand   *rand.Rand

	primed  atomic.Pointer[Cut] // the root; nil before it was primed
	priming sync.Mutex          // held by the one walk that primes

	counts counts
}

// A forward is a zone that is sent to other resolvers.
type forward struct {
	cut   *Cut
	first bool
}

// New returns a Walker that knows the hints and the zones of o and nothing
// else. An error names the field.
func New(o Options) (*Walker, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	w := &Walker{
		selection: o.Selection,
		ipv4:      o.IPv4, ipv6: o.IPv6, minimize: o.Minimize, deny: o.Deny,
		port: o.RootPort, rand: o.Rand, localRoot: o.LocalRoot, onPrime: o.OnPrime,
		store:     &found.Store{Cache: o.Cache, MinTTL: o.MinTTL, MaxTTL: o.MaxTTL, Stale: o.Stale},
		zoneSeats: quota.New[string](zoneSeats), serverSeats: quota.New[netip.Addr](serverSeats),
		own: make(map[netip.Addr]bool), stubs: make(map[string]*Cut), forwards: make(map[string]*forward),
	}
	for _, addr := range o.Own {
		w.own[addr.Unmap()] = true
	}
	for _, z := range o.Zones {
		w.configure(z)
		if z.Unvalidated {
			o.Trust.Exceptions = append(slices.Clip(o.Trust.Exceptions), trust.Exception{Zone: z.Name})
		}
	}
	var err error
	if w.chain, err = trust.New(o.Trust); err != nil {
		return nil, fmt.Errorf("iterate: %w", err)
	}
	w.hints = w.hintsCut(o.Hints)
	if w.cuts, err = lru.New2Q[string, *Cut](cutTableSize); err != nil {
		return nil, fmt.Errorf("iterate: %w", err)
	}
	if w.asker, err = dialogue.New(dialogue.Options{Exchanger: o.Exchanger, Selection: o.Selection}); err != nil {
		return nil, fmt.Errorf("iterate: %w", err)
	}
	if w.failed, err = lru.New[dns.Question, failure](failureTableSize); err != nil {
		return nil, fmt.Errorf("iterate: %w", err)
	}
	return w, nil
}

// check sets the defaults and says which field is wrong.
func (o *Options) check() error {
	if !o.IPv4 && !o.IPv6 {
		o.IPv4, o.IPv6 = true, true
	}
	if o.Hints == nil {
		o.Hints = anchor.Roots()
	}
	if o.OnPrime == nil {
		o.OnPrime = func([]Server) {}
	}
	if o.RootPort == 0 {
		o.RootPort = 53
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = defaultMaxTTL
	}
	if o.Rand == nil {
		var seed [32]byte
		crand.Read(seed[:])
		o.Rand = rand.New(rand.NewChaCha8(seed))
	}
	switch {
	case o.Exchanger == nil:
		return errors.New("iterate: Exchanger: none given")
	case o.Selection == nil:
		return errors.New("iterate: Selection: none given")
	case o.Cache == nil:
		return errors.New("iterate: Cache: none given")
	case o.Minimize > Strict:
		return fmt.Errorf("iterate: Minimize: %d is unknown", o.Minimize)
	case o.MaxTTL < minMaxTTL || o.MaxTTL > maxMaxTTL:
		return fmt.Errorf("iterate: MaxTTL: %v, want %v to %v", o.MaxTTL, minMaxTTL, maxMaxTTL)
	case o.MinTTL < 0 || o.MinTTL > o.MaxTTL:
		return fmt.Errorf("iterate: MinTTL: %v, want 0 to MaxTTL (%v)", o.MinTTL, o.MaxTTL)
	case o.Stale < 0 || o.Stale > maxStale:
		return fmt.Errorf("iterate: Stale: %v, want 0 to %v", o.Stale, maxStale)
	}
	return checkZones(o.Zones)
}

// checkZones says what is wrong with the zones.
func checkZones(zones []Zone) error {
	seen := make(map[string]bool)
	for _, z := range zones {
		name := dns.CanonicalName(z.Name)
		_, valid := dns.IsDomainName(z.Name)
		switch {
		case !valid:
			return fmt.Errorf("iterate: Zones: %q is no name", z.Name)
		case seen[name]:
			return fmt.Errorf("iterate: Zones: %s twice", name)
		case len(z.Servers) == 0:
			return fmt.Errorf("iterate: Zones: %s has no servers", name)
		case z.First && !z.Recursive:
			return fmt.Errorf("iterate: Zones: %s: First is for Recursive zones", name)
		case z.Full && z.Recursive:
			return fmt.Errorf("iterate: Zones: %s: Full is for zones that are not Recursive", name)
		}
		seen[name] = true
	}
	return nil
}

// configure makes a configured zone known.
func (w *Walker) configure(z Zone) {
	cut := &Cut{
		Zone: dns.CanonicalName(z.Name), Servers: []Server{{Addrs: z.Servers}},
		recursive: z.Recursive, explicit: true,
		full: z.Full, lower: z.Lower, stream: z.Stream,
	}
	if z.Recursive {
		w.forwards[cut.Zone] = &forward{cut: cut, first: z.First}
	} else {
		w.stubs[cut.Zone] = cut
	}
}

// Zones returns the names of the configured zones, in no order.
func (w *Walker) Zones() []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(w.stubs)), maps.Keys(w.forwards))
}

// Lookup resolves q, whose name may be in any letter case, and returns the
// whole answer: aliases followed, a denial if there is nothing, all of it
// validated. It stores the answers to questions that came up on the way, but not
// the one to q. It ends with ctx at the latest. An error that the walk itself
// found is an *Error.
func (w *Walker) Lookup(ctx context.Context, q dns.Question, b *Budget) (*cache.Answer, error) {
	return w.lookup(ctx, &task{w: w, b: b, q: q})
}

// Refresh is Lookup for who has an answer to q that is about to end: of aliases'
// targets in the cache, too, it takes none that is.
func (w *Walker) Refresh(ctx context.Context, q dns.Question, b *Budget) (*cache.Answer, error) {
	return w.lookup(ctx, &task{w: w, b: b, q: q, refresh: true})
}

// LookupUnchecked is Lookup for who validates himself: nothing is proven, and
// nothing stored. It is of use only after Lookup has failed with an Error that
// is Bogus.
func (w *Walker) LookupUnchecked(ctx context.Context, q dns.Question, b *Budget) (*cache.Answer, error) {
	return w.lookup(ctx, &task{w: w, b: b, q: q, unchecked: true})
}

func (w *Walker) lookup(ctx context.Context, t *task) (*cache.Answer, error) {
	w.counts.lookups.Add(1)
	t.q.Name = dns.CanonicalName(t.q.Name)
	if t.b.Work == nil {
		t.b.Work = w.chain.NewWork()
	}
	r, err := t.resolve(ctx, t.q, nil)
	if err == nil {
		err = t.sentinel(r)
	}
	t.noteEnd(t.q, r, err)
	if err != nil {
		w.counts.failed(err)
		return nil, err
	}
	if r.Status == dnssec.Secure {
		w.counts.secure.Add(1)
	}
	a, err := w.store.Compose(t.q, r, clock.Now())
	if err != nil {
		return nil, &Error{Name: t.q.Name, Code: wire.EDEInvalidData, Reason: err.Error()}
	}
	return a, nil
}
