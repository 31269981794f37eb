// Package fetch brings copies of the root zone and keeps them new.
//
// A Keeper reads the file that the operator names whenever it changes, and asks
// the servers that he names when the zone's SOA says so: for the SOA, and if
// that has changed for the whole zone (AXFR, RFC 5936). What it gets it has
// verified before it puts it in use. What cannot be had or proven changes
// nothing: the copy in use stays, until its time is over. The file, the servers
// and that end each have their own goroutine, so that none waits for another.
package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/localroot"

	"github.com/miekg/dns"
)

// lookPause lies between two looks: at whether the file has changed, and at
// whether the zone in use has come to its end, which may move. 10 s, not
// configurable: the one is one stat(2), the other less, and a zone that is over
// answers nothing from that moment, whoever has looked.
const lookPause = 10 * time.Second

// Options say where copies come from and what they must prove.
type Options struct {
	File    string           // path; empty: none
	Servers []netip.AddrPort // in the order in which they are asked
	Sources []netip.Addr     // unicast, at most one a family; none: the kernel chooses

	Anchors func() []*dns.DS // of the root, now
	Rules   dnssec.Rules
	Time    time.Time // for which signatures are judged; zero: the present

	// OnTake, OnFault, OnAge and OnExpire tell of a zone put in use, of one that
	// could not be had or used, of half a life without a newer one, and of a zone
	// that was thrown away. Of faults they tell once what goes on for the same
	// cause; all are counted. One is called at a time. All are required.
	OnTake   func(from string, z *localroot.Zone)
	OnFault  func(from string, err error)
	OnAge    func(left time.Duration)
	OnExpire func()
}

// A Keeper keeps one Copy. ReadFile and Run are for one goroutine.
type Keeper struct {
	Options
	copy *localroot.Copy
	dial func(ctx context.Context, source netip.Addr, server netip.AddrPort) (net.Conn, error) // by TCP; tests need no network

	// Owned by who reads the file.
	seen    stamp     // the file when it was read last
	refused int       // times in a row that it was of no use
	readAt  time.Time // when it is read again though it has not changed; zero: never

	// Owned by who asks the servers.
	askAt  time.Time // when they are asked
	failed int       // times in a row that none of them was of use

	// mu guards who changes the copy, tells of it, and has what follows.
	mu     sync.Mutex
	faults map[string]string // the cause told last of each file or server that has not done better since
	aging  bool              // OnAge was told
	lost   bool              // a zone was thrown away since the file was looked at
}

// New returns the Keeper of a copy.
func New(c *localroot.Copy, o Options) *Keeper {
	return &Keeper{Options: o, copy: c, dial: dial, faults: make(map[string]string)}
}

// Run keeps the copy new until ctx ends, if there is anywhere to have one from.
func (k *Keeper) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if k.File != "" {
		tasks.Go(func() { repeat(ctx, k.followFile) })
	}
	if len(k.Servers) > 0 {
		tasks.Go(func() { repeat(ctx, k.followServers) })
	}
	if k.File != "" || len(k.Servers) > 0 {
		tasks.Go(func() { repeat(ctx, k.followAge) })
	}
}

// repeat does something now, and again when it says, until ctx ends.
func repeat(ctx context.Context, do func(context.Context) (next time.Time)) {
	for clock.Wait(ctx, do(ctx)) == nil {
	}
}

// followAge throws the zone in use away when its time is over, and tells when
// half of it is. It returns when to look again.
func (k *Keeper) followAge(context.Context) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := clock.Now()
	switch {
	case k.copy.Expire(at):
		k.aging, k.lost = false, true
		k.OnExpire()
	case k.copy.Aging(at) && !k.aging:
		k.aging = true
		k.OnAge(k.copy.Left(at))
	}
	if left := k.copy.Left(at); left > 0 && left < lookPause {
		return at.Add(left)
	}
	return at.Add(lookPause)
}

// verify returns when the signatures of a zone end, as the clock goes.
func (k *Keeper) verify(z *localroot.Zone, at time.Time) (until time.Time, err error) {
	when := at
	if !k.Time.IsZero() {
		when = k.Time
	}
	until, err = z.Verify(k.Anchors(), k.Rules, when)
	return at.Add(until.Sub(when)), err
}

// take puts a zone in use.
func (k *Keeper) take(from string, z *localroot.Zone, confirmed, until time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	changed, err := k.copy.Take(z, confirmed, until)
	if err != nil {
		return err
	}
	k.mended(from)
	if changed {
		k.OnTake(from, z)
	}
	return nil
}

// confirm notes that the zone in use was the newest at a time.
func (k *Keeper) confirm(from string, serial uint32, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copy.Confirm(serial, at)
	k.mended(from)
}

// mended forgets the faults of a file or server, and that the zone was aging.
func (k *Keeper) mended(from string) {
	delete(k.faults, from)
	k.aging = k.aging && k.copy.Aging(clock.Now())
}

// fault counts that a zone could not be had or used, and tells of it if that has
// another cause than the last time.
func (k *Keeper) fault(from string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copy.Fail()
	cause := numbers.ReplaceAllString(err.Error(), "0")
	if last, known := k.faults[from]; !known || last != cause {
		k.faults[from] = cause
		k.OnFault(from, err)
	}
}

// numbers are what differs from try to try though the cause does not: the port
// of a connection, the line of a file, a serial, a time.
var numbers = regexp.MustCompile(`[0-9]+`)

// shielded does something with what others wrote. A panic is a fault like any
// other: if it ended the process, one file or server would end all nodes.
func shielded(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return do()
}
