package bgpctl

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Result is what a check last said.
type Result struct {
	Name     string
	Class    Class     // of the check
	Err      error     // nil = passed
	At       time.Time // zero = has not run yet
	Failures uint64    // so far
	Excused  error     // of a later run, whose failure said nothing; nil = there was none
	Fault    Class     // what the check says against the node after the last runs; Sound = nothing
	Cause    error     // of the last failure that counted
}

// after returns the result after one more run.
func (r Result) after(err error) Result {
	r.Err, r.At, r.Excused = err, time.Now(), nil
	if err != nil {
		r.Failures++
	}
	return r
}

// excuse returns the result after a run whose failure said nothing.
func (r Result) excuse(err error) Result {
	r.Excused = err
	return r
}

// A Status is what a Keeper knows after a round.
type Status struct {
	Health   Health
	Draining bool
	Class    Class    // of the fault that the sidecar is told of; Sound = none
	Checks   []Result // in the order of the options
	Sidecar  Reply    // the last, with its sessions; zero if there was none or the lease has run out since
	Heard    time.Time
	LinkErr  error // of the last lease; nil = it was taken
}

// Stats counts what a Keeper has done so far.
type Stats struct {
	Rounds       uint64
	RoundsFailed uint64
	Renewals     uint64 // leases that the sidecar took, whatever the wish
	LinkErrors   uint64 // leases that it did not take, or took with an error
}

type counters struct {
	rounds, failed, renewals, linkErrors atomic.Uint64
}

func (k *Keeper) publish() {
	k.status.Store(&Status{
		Health:   k.health,
		Draining: k.draining.Load(),
		Class:    k.told.Class,
		Checks:   k.results,
		Sidecar:  k.reply,
		Heard:    k.heard,
		LinkErr:  k.linkErr,
	})
}

// Status returns what the last round has shown.
func (k *Keeper) Status() Status {
	s := *k.status.Load()
	s.Checks = slices.Clone(s.Checks)
	return s
}

// Stats returns the counters.
func (k *Keeper) Stats() Stats {
	return Stats{
		Rounds:       k.counters.rounds.Load(),
		RoundsFailed: k.counters.failed.Load(),
		Renewals:     k.counters.renewals.Load(),
		LinkErrors:   k.counters.linkErrors.Load(),
	}
}
