package state

import (
	"testing"
	"time"

	"proxima/bgpctl"
)

var testRules = Rules{
	Warmup:   Warmup{Min: 5 * time.Second, Rise: 3},
	Degrade:  Degrade{Dwell: 60 * time.Second, Rise: 30},
	HoldDown: HoldDown{Base: 60 * time.Second, Max: 200 * time.Second},
	Drain:    Drain{Wait: 120 * time.Second, Quiet: 20 * time.Second},
	Guard:    Guard{MinOthers: 1, MaxWithdrawn: 0.3, Stale: 30 * time.Second, Wait: 2 * time.Second, Trusting: true},
}

// A moment is an event and when it happens, in seconds.
type moment struct {
	at float64
	Event
}

func up(at float64) moment {
	return moment{at, Event{Kind: Leased, TTL: 3 * time.Second, Wish: bgpctl.Up}}
}

func down(at float64, check string) moment {
	return moment{at, Event{Kind: Leased, TTL: 3 * time.Second, Wish: bgpctl.Down, Check: check}}
}

func drain(at float64, queries uint64) moment {
	return moment{at, Event{Kind: Leased, TTL: 3 * time.Second, Wish: bgpctl.Drain, Queries: queries}}
}

func asked(at float64, queries uint64) moment {
	m := up(at)
	m.Queries = queries
	return m
}

func end(at float64) moment  { return moment{at, Event{Kind: Gone}} }
func wait(at float64) moment { return moment{at, Event{Kind: Tick}} }

// renew is up every second, from first to last.
func renew(first, last float64) []moment {
	var list []moment
	for at := first; at <= last; at++ {
		list = append(list, up(at))
	}
	return list
}

func join(lists ...[]moment) []moment {
	var all []moment
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func one(m moment) []moment { return []moment{m} }

// start is the clock at the second 0, so that no time is zero.
const start = 1000 * time.Second

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func play(moments []moment) Announcement { return playBy(testRules, moments) }

func playBy(r Rules, moments []moment) Announcement {
	var a Announcement
	for _, m := range moments {
		a = Step(a, m.Event, start+seconds(m.at), r)
	}
	return a
}

func TestStep(t *testing.T) {
	fell := join(renew(0, 6), one(down(7, "dns"))) // announced at 5, down at 7: held down until 67
	tests := []struct {
		name string
		do   []moment
		want bgpctl.State
	}{
		{"nothing is announced without a lease", one(wait(0)), bgpctl.Init},
		{"the first lease warms up", one(up(0)), bgpctl.Warmup},
		{"enough leases are not enough time", renew(0, 4), bgpctl.Warmup},
		{"enough time is not enough leases", join(renew(0, 0), one(up(2.9)), one(wait(5.8))), bgpctl.Warmup},
		{"enough of both announce", renew(0, 5), bgpctl.Announced},
		{"time completes the warm-up, too", join(renew(0, 4), one(wait(5))), bgpctl.Announced},
		{"a failure during the warm-up starts it over", join(renew(0, 4), one(down(4.5, "dns")), renew(5, 9)), bgpctl.Warmup},
		{"a lease that says down warms nothing up", join(one(down(0, "dns")), one(down(9, "dns"))), bgpctl.Withdrawn},
		{"a lease that says drain warms nothing up", one(drain(0, 0)), bgpctl.Withdrawn},
		{"a drain ends the warm-up", join(renew(0, 3), one(drain(4, 0))), bgpctl.Withdrawn},

		{"a lease lasts until its end", join(renew(0, 5), one(wait(7.9))), bgpctl.Announced},
		{"and no longer", join(renew(0, 5), one(wait(8))), bgpctl.Withdrawn},
		{"a renewal that is too late warms up anew", join(renew(0, 5), one(up(8))), bgpctl.Warmup},
		{"the end of the connection withdraws", join(renew(0, 5), one(end(5.1))), bgpctl.Withdrawn},
		{"a failed check withdraws", join(renew(0, 5), one(down(6, "dns"))), bgpctl.Withdrawn},

		{"a process that died is back after 5 s and a warm-up", join(renew(0, 5), one(end(5.1)), renew(5.2, 10.2)), bgpctl.Announced},
		{"a failed check holds down beyond the warm-up", join(fell, renew(8, 66)), bgpctl.Warmup},
		{"but not for ever", join(fell, renew(8, 67)), bgpctl.Announced},
		{"the second one holds down twice as long", join(fell, renew(8, 68), one(down(69, "dns")), renew(70, 188)), bgpctl.Warmup},
		{"and no longer than that", join(fell, renew(8, 68), one(down(69, "dns")), renew(70, 189)), bgpctl.Announced},
		{"a down that no check caused holds nothing down", join(renew(0, 5), one(down(6, "")), renew(7, 12)), bgpctl.Announced},
		{"a process that dies during a hold-down does not shorten it", join(fell, one(end(8)), renew(9, 66)), bgpctl.Warmup},

		{"a drain goes on announcing", join(renew(0, 5), one(drain(6, 0))), bgpctl.Draining},
		{"a drain ends after its wait", join(renew(0, 5), drains(6, 126, 100)), bgpctl.Withdrawn},
		{"and not before, while queries come", join(renew(0, 5), drains(6, 125, 100)), bgpctl.Draining},
		{"a drain ends when it is quiet", join(busy(0, 5, 100), drains(6, 26, 0)), bgpctl.Withdrawn},
		{"1 % of the queries are quiet", join(busy(0, 5, 100), drains(6, 26, 1)), bgpctl.Withdrawn},
		{"2 % are not", join(busy(0, 5, 100), drains(6, 26, 2)), bgpctl.Draining},
		{"quiet must last", join(busy(0, 5, 100), drains(6, 25, 0)), bgpctl.Draining},
		{"a drain ends with its lease", join(renew(0, 5), one(drain(6, 0)), one(wait(9))), bgpctl.Withdrawn},
		{"a drain ends with its connection", join(renew(0, 5), one(drain(6, 0)), one(end(7))), bgpctl.Withdrawn},
		{"a drain ends with a failed check", join(renew(0, 5), one(drain(6, 0)), one(down(7, "dns"))), bgpctl.Withdrawn},
		{"a drain that is called off announces", join(renew(0, 5), one(drain(6, 0)), one(up(7))), bgpctl.Announced},
		{"after a drain there is nothing to drain", join(renew(0, 5), drains(6, 128, 100)), bgpctl.Withdrawn},
		{"after a drain a new process warms up only", join(renew(0, 5), drains(6, 126, 100), one(end(127)), renew(128, 133)), bgpctl.Announced},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if a := play(tt.do); a.State != tt.want {
				t.Errorf("state = %v (%s), want %v", a.State, a.Reason, tt.want)
			}
		})
	}
}

// busy is up every second with rate queries a second.
func busy(first, last float64, rate uint64) []moment {
	var list []moment
	for at := first; at <= last; at++ {
		list = append(list, asked(at, uint64(at)*rate))
	}
	return list
}

// drains is drain every second with rate queries a second after 600.
func drains(first, last float64, rate uint64) []moment {
	var list []moment
	for at := first; at <= last; at++ {
		list = append(list, drain(at, 600+uint64(at-first)*rate))
	}
	return list
}

func TestHoldDown_after(t *testing.T) {
	tests := []struct {
		name  string
		h     HoldDown
		falls int
		want  time.Duration
	}{
		{"the first is the base", HoldDown{Base: time.Minute, Max: time.Hour}, 0, time.Minute},
		{"the second is twice that", HoldDown{Base: time.Minute, Max: time.Hour}, 1, 2 * time.Minute},
		{"the maximum is not passed", HoldDown{Base: time.Minute, Max: time.Hour}, 6, time.Hour},
		{"however often", HoldDown{Base: time.Minute, Max: time.Hour}, 1 << 40, time.Hour},
		{"a maximum below the base is the base", HoldDown{Base: time.Minute, Max: time.Second}, 3, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.h.after(tt.falls, 0.5); got != tt.want {
				t.Errorf("after(%d) = %v, want %v", tt.falls, got, tt.want)
			}
		})
	}
}
