package state

import (
	"testing"
	"time"

	"proxima/bgpctl"
)

// guarded are testRules without trust in the unknown, with damping and with as
// short a way back as suits a table.
var guarded = func() Rules {
	r := testRules
	r.Guard.Trusting = false
	r.Degrade = Degrade{Dwell: 10 * time.Second, Rise: 5}
	r.Damping = Damping{HalfLife: 15 * time.Minute, Limit: 2500}
	return r
}()

// fault is a lease that wants the node announced in spite of a fault.
func fault(at float64, class bgpctl.Class) moment {
	m := up(at)
	m.Check, m.Class, m.Reason = "roots", class, "the roots are silent"
	return m
}

// sick is down once a second: the node can still answer what it has.
func sick(first, last float64) []moment {
	var list []moment
	for at := first; at <= last; at++ {
		m := down(at, "dns")
		m.Class, m.Answers = bgpctl.HardLocal, true
		list = append(list, m)
	}
	return list
}

func heard(at float64, announcing, withdrawn, rank int) moment {
	return moment{at, Event{Kind: Heard, Others: Others{
		Known: true, Announcing: announcing, Withdrawn: withdrawn, Rank: rank, At: start + seconds(at),
	}}}
}

// before is heard, where one of lower rank is about to leave.
func before(at float64, announcing, withdrawn int) moment {
	m := heard(at, announcing, withdrawn, 1)
	m.Others.Before = 1
	return m
}

func unknown(at float64) moment { return moment{at, Event{Kind: Heard}} }

func order(at float64, k Kind) moment { return moment{at, Event{Kind: k, Reason: "an operator"}} }

// faults is fault every second.
func faults(first, last float64, class bgpctl.Class) []moment {
	var list []moment
	for at := first; at <= last; at++ {
		list = append(list, fault(at, class))
	}
	return list
}

func TestStep_guarded(t *testing.T) {
	on := renew(0, 5)                                       // announced at 5
	wants := join(on, one(heard(5.5, 2, 0, 0)), sick(6, 6)) // to leave at 6
	gone := join(wants, one(heard(6.5, 2, 0, 0)), sick(7, 8))
	tests := []struct {
		name string
		do   []moment
		want bgpctl.State
		low  bool
	}{
		{"a fault upstream degrades", join(on, one(fault(6, bgpctl.Upstream))), bgpctl.Degraded, true},
		{"a shared one, too", join(on, one(fault(6, bgpctl.Shared))), bgpctl.Degraded, true},
		{"and never withdraws, however long", join(on, faults(6, 400, bgpctl.Upstream)), bgpctl.Degraded, true},
		{"a good lease does not end it", join(on, one(fault(6, bgpctl.Upstream)), renew(7, 9)), bgpctl.Degraded, true},
		{"enough do", join(on, one(fault(6, bgpctl.Upstream)), renew(7, 16)), bgpctl.Announced, false},
		{"a fault between starts over", join(on, one(fault(6, bgpctl.Upstream)), renew(7, 14), one(fault(15, bgpctl.Upstream)), renew(16, 19)), bgpctl.Degraded, true},
		{"a degraded node dies like any", join(on, one(fault(6, bgpctl.Upstream)), one(end(7))), bgpctl.Withdrawn, true},

		{"a failed check is held when nothing is known", join(on, sick(6, 6)), bgpctl.Held, true},
		{"for ever", join(on, sick(6, 500)), bgpctl.Held, true},
		{"and when nobody else announces", join(on, one(heard(5.5, 0, 0, 0)), sick(6, 20)), bgpctl.Held, true},
		{"and when too many are withdrawn", join(on, one(heard(5.5, 1, 1, 0)), sick(6, 20)), bgpctl.Held, true},
		{"and when the news is old", join(on, one(heard(5.5, 2, 0, 0)), renew(6, 35), sick(36, 40)), bgpctl.Held, true},
		{"and when the news ends", join(on, one(heard(5.5, 2, 0, 0)), one(unknown(5.7)), sick(6, 20)), bgpctl.Held, true},
		{"another that announces lets it go", gone, bgpctl.Withdrawn, true},
		{"not at once", join(wants, one(heard(6.5, 2, 0, 0)), sick(7, 7)), bgpctl.Held, true},
		{"not on what was said before it wanted to go", join(wants, sick(7, 30)), bgpctl.Held, true},
		{"not if these have gone meanwhile", join(wants, one(heard(7.5, 0, 2, 0)), sick(8, 20)), bgpctl.Held, true},
		{"not while one of lower rank leaves", join(wants, one(before(6.5, 1, 1)), sick(7, 20)), bgpctl.Held, true},
		{"after that it wants to anew", join(wants, one(before(6.5, 3, 1)), sick(7, 9), one(heard(9.5, 3, 1, 1)), sick(10, 11)), bgpctl.Held, true},
		{"and if it may, it goes", join(wants, one(before(6.5, 6, 0)), sick(7, 9), one(heard(9.5, 6, 1, 1)), sick(10, 10), one(heard(10.5, 6, 1, 1)), sick(11, 12)), bgpctl.Withdrawn, true},
		{"a held node whose process dies is withdrawn", join(on, sick(6, 7), one(end(8))), bgpctl.Withdrawn, true},
		{"a held node whose lease runs out is withdrawn", join(on, sick(6, 7), one(wait(10))), bgpctl.Withdrawn, true},
		{"a held node that is well again is announced", join(on, sick(6, 7), renew(8, 17)), bgpctl.Announced, false},
		{"a held node that goes as it likes is withdrawn", join(on, sick(6, 7), one(down(8, ""))), bgpctl.Withdrawn, true},

		{"where all others have gone, a withdrawn node comes back", join(gone, one(heard(9, 0, 2, 0)), sick(9.5, 19.5)), bgpctl.Held, true},
		{"after 10 s", join(gone, one(heard(9, 0, 2, 0)), sick(9.5, 18.5)), bgpctl.Withdrawn, true},
		{"and its rank", join(gone, one(heard(9, 0, 2, 1)), sick(9.5, 20.5)), bgpctl.Withdrawn, true},
		{"not one that cannot answer", join(gone, one(heard(9, 0, 2, 0)), downs(9.5, 30.5)), bgpctl.Withdrawn, true},
		{"not where another announces", join(gone, one(heard(9, 1, 1, 0)), sick(9.5, 30.5)), bgpctl.Withdrawn, true},
		{"not where that is not known", join(gone, one(unknown(9)), sick(9.5, 30.5)), bgpctl.Withdrawn, true},
		{"nor one that a check kept from its first announcement, but with news", join(one(heard(0, 0, 0, 0)), sick(1, 11)), bgpctl.Held, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := playBy(guarded, tt.do)
			if a.State != tt.want || a.Low != tt.low {
				t.Errorf("%v (%s), low %t; want %v, low %t", a.State, a.Reason, a.Low, tt.want, tt.low)
			}
		})
	}
}

// downs is a node that cannot answer.
func downs(first, last float64) []moment {
	list := sick(first, last)
	for i := range list {
		list[i].Answers = false
	}
	return list
}

func TestStep_damped(t *testing.T) {
	life := func(from float64) []moment { return join(renew(from, from+5), one(end(from+5.5))) }
	tests := []struct {
		name string
		do   []moment
		want bgpctl.State
	}{
		{"a process that dies is announced again", join(life(0), renew(6, 12)), bgpctl.Announced},
		{"and after the second death it is not", join(life(0), life(6), life(12), renew(18, 60)), bgpctl.Warmup},
		{"not within a quarter of an hour", join(life(0), life(6), renew(12, 890)), bgpctl.Warmup},
		{"but then", join(life(0), life(6), renew(12, 930)), bgpctl.Announced},
		{"attributes wait, too", join(life(0), renew(6, 12), one(fault(13, bgpctl.Upstream)), renew(14, 30), one(fault(31, bgpctl.Upstream))), bgpctl.Degraded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if a := playBy(guarded, tt.do); a.State != tt.want {
				t.Errorf("%v (%s), want %v; merit %v", a.State, a.Reason, tt.want, a.Merit)
			}
		})
	}
}

func TestStep_obeys(t *testing.T) {
	on := renew(0, 5)
	tests := []struct {
		name string
		do   []moment
		want bgpctl.State
	}{
		{"a drain drains", join(on, one(order(6, OrderDrain))), bgpctl.Draining},
		{"whatever the leases say", join(on, one(order(6, OrderDrain)), renew(7, 9)), bgpctl.Draining},
		{"and ends in maintenance", join(on, one(order(6, OrderDrain)), renew(7, 127)), bgpctl.Maintenance},
		{"which no lease ends", join(on, one(order(6, OrderDrain)), renew(7, 400)), bgpctl.Maintenance},
		{"nor another process", join(on, one(order(6, OrderDrain)), renew(7, 127), one(end(128)), renew(129, 160)), bgpctl.Maintenance},
		{"a process that dies while it drains stays away", join(on, one(order(6, OrderDrain)), one(end(7)), renew(8, 30)), bgpctl.Maintenance},
		{"but an operator does", join(on, one(order(6, OrderDrain)), renew(7, 127), one(order(127.5, OrderUndrain)), renew(128, 134)), bgpctl.Announced},
		{"a drain can be called off", join(on, one(order(6, OrderDrain)), renew(7, 9), one(order(9.5, OrderUndrain))), bgpctl.Announced},
		{"without a drain there is nothing to call off", join(on, one(order(6, OrderUndrain))), bgpctl.Announced},
		{"what is not announced is not drained", one(order(0, OrderDrain)), bgpctl.Maintenance},
		{"withdraw does so at once", join(on, one(order(6, OrderWithdraw))), bgpctl.Maintenance},
		{"also in a drain", join(on, one(order(6, OrderDrain)), one(order(7, OrderWithdraw))), bgpctl.Maintenance},
		{"a freeze keeps", join(on, one(order(6, OrderFreeze)), sick(7, 30)), bgpctl.Frozen},
		{"but not a dead process", join(on, one(order(6, OrderFreeze)), one(end(7))), bgpctl.Withdrawn},
		{"nor a lease that ran out", join(on, one(order(6, OrderFreeze)), one(wait(9))), bgpctl.Withdrawn},
		{"unfrozen it is as before", join(on, one(order(6, OrderFreeze)), renew(7, 8), one(order(8.5, OrderUnfreeze))), bgpctl.Announced},
		{"a frozen node can be drained", join(on, one(order(6, OrderFreeze)), one(order(6.5, OrderDrain))), bgpctl.Draining},
		{"what is withdrawn is frozen so", join(one(down(0, "dns")), one(order(0.5, OrderFreeze)), renew(1, 60)), bgpctl.Frozen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if a := playBy(testRules, tt.do); a.State != tt.want {
				t.Errorf("%v (%s), want %v", a.State, a.Reason, tt.want)
			}
		})
	}
}
