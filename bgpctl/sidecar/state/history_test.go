package state

import (
	"math/rand/v2"
	"testing"
	"time"

	"proxima/bgpctl"
)

// historyRules make everything happen often.
var historyRules = Rules{
	Warmup:   Warmup{Min: 2 * time.Second, Rise: 2, Jitter: 5 * time.Second},
	Degrade:  Degrade{Dwell: 10 * time.Second, Rise: 3},
	HoldDown: HoldDown{Base: 20 * time.Second, Max: 200 * time.Second, Jitter: 0.2},
	Damping:  Damping{HalfLife: 2 * time.Minute, Limit: 2500},
	Drain:    Drain{Wait: 30 * time.Second, Quiet: 10 * time.Second},
	Guard:    Guard{MinOthers: 1, MaxWithdrawn: 0.5, Stale: 30 * time.Second, Wait: 2 * time.Second},
}

// chance draws an event. Most are leases that keep the node announced, or
// nothing but its end would ever be seen.
func chance(r *rand.Rand, at time.Duration) Event {
	e := Event{Kind: Leased, TTL: time.Duration(1+r.IntN(10)) * time.Second, Wish: bgpctl.Up, Chance: r.Float64(), Queries: uint64(at.Seconds()) * 100}
	switch n := r.IntN(100); {
	case n < 60:
	case n < 68:
		e.Class, e.Check = bgpctl.Upstream, "roots"
	case n < 78:
		e.Wish, e.Check, e.Class, e.Answers = bgpctl.Down, "dns", bgpctl.HardLocal, r.IntN(2) == 0
	case n < 80:
		e.Wish = bgpctl.Drain
	case n < 81:
		e.Wish = bgpctl.Down
	case n < 83:
		e.Kind = Gone
	case n < 90:
		e.Kind = Tick
	case n < 97:
		e.Kind, e.Others = Heard, Others{Known: r.IntN(4) > 0, Announcing: r.IntN(3), Withdrawn: r.IntN(3), Before: r.IntN(2) * r.IntN(2), Rank: r.IntN(3), At: at}
	default:
		e.Kind = OrderDrain + Kind(r.IntN(5))
	}
	return e
}

// checkStep says which promise the step from before to after breaks, or nothing.
func checkStep(before, after Announcement, e Event, at, lease time.Duration) string {
	r := historyRules
	lapsed := before.Expires != 0 && at >= before.Expires
	withdrawn := before.Announces() && !after.Announces()
	announced := !before.Announces() && after.Announces()
	checked := withdrawn && !lapsed && e.Kind == Leased && e.Wish == bgpctl.Down && e.Check != "" && before.State != bgpctl.Draining
	switch {
	case after.Announces() && at >= lease:
		return "announced without a lease"
	case checked && !r.Guard.known(before.Others, at):
		return "a check withdrew while nothing was known of others"
	case checked && before.Others.Announcing == 0:
		return "a check withdrew the last announcement"
	case checked && before.Others.Before > 0:
		return "a check withdrew though another node was to leave first"
	case checked && before.Others.At < before.waiting:
		return "a check withdrew on a word of before it wanted to"
	case announced && after.State != bgpctl.Held && r.Damping.now(after.Merit, at) > r.Damping.Limit:
		return "announced beyond the limit of the merit"
	case announced && after.State != bgpctl.Held && at < before.HoldDown:
		return "announced before the end of the hold-down"
	case announced && (before.State == bgpctl.Maintenance || before.Drained && after.Drained):
		return "announced in spite of an operator"
	case before.Announces() && after.Announces() && before.Low != after.Low && after.State != bgpctl.Draining && r.Damping.now(after.Merit, at) > r.Damping.Limit:
		return "new attributes beyond the limit of the merit"
	case before.State == bgpctl.Degraded && after.State == bgpctl.Announced && at-before.Since < r.Degrade.Dwell:
		return "left DEGRADED too early"
	case before.State == bgpctl.Warmup && after.State == bgpctl.Announced && (at-before.Since < r.Warmup.Min || at-before.Since < before.jitter):
		return "left WARMUP too early"
	case before.jitter > r.Warmup.Jitter:
		return "the jitter has no bound"
	case after.HoldDown-at > time.Duration(1.2*float64(r.HoldDown.Max)):
		return "the hold-down has no bound"
	case !lapsed && before.State == bgpctl.Frozen && after.State == bgpctl.Frozen && before.Announces() != after.Announces():
		return "a freeze did not keep"
	}
	return ""
}

// TestStep_keepsItsPromises plays 100,000 histories of chance.
func TestStep_keepsItsPromises(t *testing.T) {
	const histories, length = 100_000, 60
	r := rand.New(rand.NewPCG(1, 2))
	var entered [bgpctl.StateCount]int
	for n := range histories {
		var a Announcement
		at := start
		var lease time.Duration
		for range length {
			at += time.Duration(r.IntN(2500)) * time.Millisecond
			if r.IntN(50) == 0 {
				at += time.Duration(r.IntN(600)) * time.Second
			}
			e := chance(r, at)
			switch e.Kind {
			case Leased:
				lease = at + e.TTL
			case Gone:
				lease = 0
			}
			before := a
			a = Step(before, e, at, historyRules)
			if broken := checkStep(before, a, e, at, lease); broken != "" {
				t.Fatalf("history %d at %v: %s: %+v\nbefore %+v\nafter  %+v", n, at, broken, e, before, a)
			}
			if a.State != before.State {
				entered[a.State]++
			}
		}
	}
	for _, s := range bgpctl.States() {
		if s != bgpctl.Init && entered[s] < histories/100 {
			t.Errorf("%v was entered %d times: the histories prove little", s, entered[s])
		}
	}
}
