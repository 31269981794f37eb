package bgpctl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Bounds and defaults of KeeperOptions.
const (
	defaultEvery = time.Second
	minEvery     = 20 * time.Millisecond // below, the checks are the load
	maxEvery     = 4 * time.Second       // above, MaxLease forgives nothing
	defaultRise  = 3
	defaultFall  = 2
	defaultLease = 3 * time.Second
)

// The sidecar takes no lease outside MinLease and MaxLease: a shorter one is
// lost to a busy scheduler, a longer one keeps the route of a hung node.
const (
	MinLease = time.Second
	MaxLease = 10 * time.Second
)

// KeeperOptions says what a Keeper keeps. Zero values mean the defaults.
type KeeperOptions struct {
	Checks   []Check        // at least one of each round that is HardLocal, or a lease would be renewed without proof
	Link     Link           // nil = run the checks, announce nothing
	Prefixes []netip.Prefix // to announce
	Every    time.Duration  // from round to round; default 1 s, from 20 ms to 4 s. A check of each round may take half of it
	Rise     int            // good rounds in a row before Up; default 3
	Fall     int            // failed rounds in a row before Down; default 2. Both are of the proofs, and the defaults of all checks
	Lease    time.Duration  // default 3 s, from 1 s to 10 s; at least Fall rounds and the limit of a check
	Queries  func() uint64  // asked on the service addresses so far; nil = 0
	Alive    func()         // called after each round, whatever came of it; nil = nobody wants to know
	Log      *zap.Logger    // nil = none
}

func (o *KeeperOptions) fill() {
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Rise == 0 {
		o.Rise = defaultRise
	}
	if o.Fall == 0 {
		o.Fall = defaultFall
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	o.Checks = slices.Clone(o.Checks)
	for i := range o.Checks {
		o.Checks[i].fill(o)
	}
	if o.Queries == nil {
		o.Queries = func() uint64 { return 0 }
	}
	if o.Alive == nil {
		o.Alive = func() {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

func (o *KeeperOptions) check() error {
	switch {
	case !slices.ContainsFunc(o.Checks, func(c Check) bool { return c.isProof() }):
		return errors.New("keeper: Checks: none of each round is hard-local, so nothing would prove that this node serves")
	case o.Every < minEvery || o.Every > maxEvery:
		return fmt.Errorf("keeper: Every: %v is not from %v to %v", o.Every, minEvery, maxEvery)
	case o.Rise < 1:
		return fmt.Errorf("keeper: Rise: %d is less than 1", o.Rise)
	case o.Fall < 1:
		return fmt.Errorf("keeper: Fall: %d is less than 1", o.Fall)
	}
	for i := range o.Checks {
		if err := o.Checks[i].check(); err != nil {
			return fmt.Errorf("keeper: Checks: %s: %w", o.Checks[i].Name, err)
		}
	}
	switch forgiven := time.Duration(o.Fall)*o.Every + o.Every/2; {
	case o.Link == nil:
		return nil
	case len(o.Prefixes) == 0 || len(o.Prefixes) > MaxPrefixes:
		return fmt.Errorf("keeper: Prefixes: %d of them, not 1 to %d", len(o.Prefixes), MaxPrefixes)
	case o.Lease < MinLease || o.Lease > MaxLease:
		return fmt.Errorf("keeper: Lease: %v is not from %v to %v", o.Lease, MinLease, MaxLease)
	case o.Lease < forgiven:
		return fmt.Errorf("keeper: Lease: %v is too short: with Every %v and Fall %d a failure is forgiven for up to %v", o.Lease, o.Every, o.Fall, forgiven)
	}
	return nil
}

// A Keeper renews the lease while the checks pass. Run does the work; the other
// methods may be called from any goroutine.
type Keeper struct {
	o        KeeperOptions // immutable after NewKeeper
	draining atomic.Bool
	wake     chan struct{} // holds one: a round is wanted now
	gone     chan struct{} // closed by Run: a drain is over
	status   atomic.Pointer[Status]
	counters counters

	// Owned by Run.
	runners []*runner
	results []Result
	health  Health // of the proofs
	cause   Wanted // Check, Class and Reason of what keeps it down
	told    Wanted // Wish, Check and Class of the last lease
	reply   Reply
	linkErr error
	silent  bool      // the sidecar has not answered the last lease, and is not known to have ended
	heard   time.Time // when the sidecar last took a lease
}

// NewKeeper returns a Keeper that has not started. An error names the field.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	o.fill()
	if err := o.check(); err != nil {
		return nil, err
	}
	k := &Keeper{
		o:       o,
		wake:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		results: make([]Result, len(o.Checks)),
		cause:   Wanted{Reason: "starting"},
	}
	for i, c := range o.Checks {
		k.runners = append(k.runners, &runner{check: c, result: make(chan error, 1), health: Health{Up: true}})
		k.results[i] = Result{Name: c.Name, Class: c.Class, Err: errors.New("has not run yet")}
	}
	k.publish()
	return k, nil
}

// Run runs a round at once and then every Every until ctx is done. Then it says
// Down and returns; the error says that the sidecar did not confirm it.
func (k *Keeper) Run(ctx context.Context) error {
	k.heard = time.Now()
	ticker := time.NewTicker(k.o.Every)
	defer ticker.Stop()
	for {
		k.round(ctx)
		k.o.Alive()
		select {
		case <-ctx.Done():
			return k.end(ctx)
		case <-ticker.C:
		case <-k.wake:
		}
	}
}

// Drain asks the sidecar to send clients elsewhere and then to withdraw, and
// returns when nothing is announced any more or when ctx ends. Run goes on
// meanwhile and wishes no more Up. A sidecar that has gone announces nothing
// once the lease has run out; one that is silent may hang with its sessions,
// whose routes last for their hold time at least, so that Drain waits for its
// word or its end.
func (k *Keeper) Drain(ctx context.Context) error {
	k.draining.Store(true)
	select {
	case k.wake <- struct{}{}:
	default:
	}
	select {
	case <-k.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: the sidecar has not withdrawn: %w", ctx.Err())
	}
}

// round runs the checks and tells the sidecar what follows. A failed round that
// is forgiven tells it nothing: the lease is neither renewed nor ended. One with
// nothing worse than an excused failure leaves things as they are: a node that
// is up stays announced, and one that is down does not come up.
func (k *Keeper) round(ctx context.Context) {
	said := k.runChecks(ctx)
	if ctx.Err() != nil {
		return // it was the end of ctx that failed
	}
	failed, excused := k.noteResults(said)
	k.counters.rounds.Add(1)
	if failed != nil {
		k.counters.failed.Add(1)
	}
	before := k.health
	if failed != nil || !excused {
		k.health = before.After(failed == nil, k.o.Rise, k.o.Fall)
	}
	switch {
	case before.Up && !k.health.Up:
		k.cause = Wanted{Check: failed.Name, Class: HardLocal, Reason: failed.Err.Error()}
		k.o.Log.Warn("health went down", zap.String("check", failed.Name), zap.Error(failed.Err))
	case !before.Up && k.health.Up:
		k.o.Log.Info("health came up")
	}
	if failed == nil || !k.health.Up {
		k.hold(ctx, k.wanted())
	}
	k.publish()
}

// wanted is what the health, the faults and a drain ask for. Only what is
// hard-local asks for Down.
func (k *Keeper) wanted() Wanted {
	w := Wanted{Wish: Up, Prefixes: k.o.Prefixes, Queries: k.o.Queries(), Answers: k.answers()}
	fault := k.worst()
	if fault != nil {
		w.Check, w.Class, w.Reason = fault.Name, fault.Fault, fault.Cause.Error()
	}
	switch {
	case !k.health.Up:
		w.Wish, w.Check, w.Class, w.Reason = Down, k.cause.Check, k.cause.Class, k.cause.Reason
	case w.Class == HardLocal:
		w.Wish = Down
	case k.draining.Load():
		w.Wish, w.Check, w.Class, w.Reason = Drain, "", Sound, "draining"
	}
	return w
}

// tell logs what a lease says of the node, if it differs from the last. Of the
// proofs the health has told, and a drain says nothing of faults.
func (k *Keeper) tell(w Wanted) {
	before := k.told
	k.told = Wanted{Wish: w.Wish, Check: w.Check, Class: w.Class}
	switch {
	case w.Check == before.Check && w.Class == before.Class, w.Wish == Drain, !k.health.Up:
	case w.Class != Sound:
		k.o.Log.Warn("node has a fault", zap.Stringer("wish", w.Wish), zap.Stringer("class", w.Class),
			zap.String("check", w.Check), zap.String("reason", w.Reason))
	case before.Wish == Up:
		k.o.Log.Info("node has no fault any more")
	}
}

// hold tells the sidecar and notes what it says.
func (k *Keeper) hold(ctx context.Context, w Wanted) {
	k.tell(w)
	if k.o.Link == nil {
		k.settle(w.Wish)
		return
	}
	limited, cancel := context.WithTimeout(ctx, k.o.Every/2)
	defer cancel()
	r, err := k.o.Link.Hold(limited, w, k.o.Lease)
	k.note(r, err, ctx.Err() != nil)
	k.settle(w.Wish)
}

// note remembers what the sidecar said, or that it said nothing. An error of a
// lease that was cut short by the end of Run is not worth a word.
func (k *Keeper) note(r Reply, err error, ended bool) {
	if err != nil && ended {
		return
	}
	if err != nil {
		k.counters.linkErrors.Add(1)
		if k.linkErr == nil || k.linkErr.Error() != err.Error() {
			k.o.Log.Warn("sidecar failed", zap.Error(err))
		}
	} else if k.linkErr != nil {
		k.o.Log.Info("sidecar recovered")
	}
	answered := err == nil || r.Seq != 0
	k.linkErr, k.silent = err, !answered && !errors.Is(err, ErrEnded)
	if answered && !r.Refused {
		if r.State != k.reply.State {
			k.o.Log.Info("announcement changed", zap.Stringer("from", k.reply.State),
				zap.Stringer("to", r.State), zap.String("reason", r.Reason))
		}
		k.counters.renewals.Add(1)
		k.reply, k.heard = r, time.Now()
	} else if time.Since(k.heard) > k.o.Lease {
		k.reply = Reply{Reason: "no lease is held"}
	}
}

// settle ends a drain when nothing is announced in answer to wish.
func (k *Keeper) settle(wish Wish) {
	if !k.draining.Load() || wish == Up || k.silent || !k.reply.Gone() {
		return
	}
	select {
	case <-k.gone:
	default:
		close(k.gone)
	}
}

// end withdraws, and waits for checks that still run as long as it waits for
// any check.
func (k *Keeper) end(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	k.health, k.cause = Health{}, Wanted{Reason: "stopping"}
	k.hold(ctx, k.wanted())
	k.publish()
	limited, cancel := context.WithTimeout(ctx, k.o.Every/2)
	defer cancel()
	k.awaitChecks(limited)
	if k.linkErr != nil && (k.silent || !k.reply.Gone()) {
		return fmt.Errorf("withdraw: %w", k.linkErr)
	}
	return nil
}
