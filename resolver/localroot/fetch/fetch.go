// Package fetch brings copies of the root zone and keeps them new.
//
// A Keeper reads the file that the operator names whenever it changes, and asks
// the servers that he names when the zone's SOA says so: for the SOA, and if
// that has changed for the whole zone (AXFR, RFC 5936). What it gets it has
// verified before it puts it in use. What cannot be had or proven changes
// nothing: the copy in use stays, until its time is over.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"proxima/clock"
	"proxima/resolver/dnssec"
	"proxima/resolver/localroot"

	"github.com/miekg/dns"
)

// filePause lies between two looks at whether the file has changed. 10 s, not
// configurable: it is one stat(2).
const filePause = 10 * time.Second

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
	// that was thrown away. Of faults they tell only what is new. All are required.
	OnTake   func(from string, z *localroot.Zone)
	OnFault  func(from string, err error)
	OnAge    func(left time.Duration)
	OnExpire func()
}

// A Keeper keeps one Copy. It is for one goroutine.
type Keeper struct {
	Options
	copy *localroot.Copy

	seen   stamp             // the file when it was read last
	readAt time.Time         // when that file is read again though it has not changed; zero: never
	askAt  time.Time         // when the servers are asked
	faults map[string]string // the last one told of each file or server that has not done better since
	aging  bool              // OnAge was told
}

// A stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

// New returns the Keeper of a copy.
func New(c *localroot.Copy, o Options) *Keeper {
	return &Keeper{Options: o, copy: c, faults: make(map[string]string)}
}

// ReadFile puts the file in use if there is one and it has changed, or was
// refused and may be fit by now.
func (k *Keeper) ReadFile() {
	if k.File == "" {
		return
	}
	at := clock.Now()
	z, modified, err := k.open(at)
	if z == nil && err == nil {
		return
	}
	var until time.Time
	if err == nil {
		until, err = k.verify(z, at)
	}
	if err == nil {
		err = k.take(k.File, z, modified, until)
	}
	k.readAt = time.Time{}
	if err != nil {
		k.readAt = k.copy.Next(at, true)
		k.fault(k.File, err)
	}
}

// open reads the file, unless there is no reason to. It returns when the file
// was written, which is when it was the newest.
func (k *Keeper) open(at time.Time) (z *localroot.Zone, modified time.Time, err error) {
	f, err := os.OpenFile(k.File, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0) // waits for nobody: it may be a FIFO
	if err != nil {
		return nil, at, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, at, err
	case !info.Mode().IsRegular():
		return nil, at, errors.New("is not a regular file")
	}
	now := stamp{modified: info.ModTime(), size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		now.inode = s.Ino
	}
	if now == k.seen && (k.readAt.IsZero() || at.Before(k.readAt)) {
		return nil, at, nil
	}
	k.seen = now
	if modified = info.ModTime(); modified.After(at) {
		modified = at
	}
	z, err = localroot.Read(f)
	return z, modified, err
}

// askServers asks the servers, one after another until one has a zone that is
// fit for use, or says that there is no newer one.
func (k *Keeper) askServers(ctx context.Context) {
	failed := true
	for _, server := range k.Servers {
		err := k.askServer(ctx, server)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failed = false
			break
		}
		k.fault(server.String(), err)
	}
	k.askAt = k.copy.Next(clock.Now(), failed)
}

func (k *Keeper) askServer(ctx context.Context, server netip.AddrPort) error {
	source, err := k.sourceFor(server.Addr())
	if err != nil {
		return err
	}
	asked := clock.Now()
	z, err := newest(ctx, source, server, k.copy)
	if err != nil {
		return err
	}
	if z == nil {
		k.copy.Confirm(asked)
		k.mended(server.String())
		return nil
	}
	until, err := k.verify(z, clock.Now())
	if err != nil {
		return err
	}
	return k.take(server.String(), z, asked, until)
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

// mended forgets the faults of a file or server, and that the zone was aging.
func (k *Keeper) mended(from string) {
	delete(k.faults, from)
	k.aging = k.aging && k.copy.Aging(clock.Now())
}

// fault counts that a zone could not be had or used, and tells what is new of it.
func (k *Keeper) fault(from string, err error) {
	k.copy.Fail()
	if k.faults[from] != err.Error() {
		k.faults[from] = err.Error()
		k.OnFault(from, err)
	}
}

// sourceFor returns the source of the family of an address; the zero address if
// the kernel is to choose.
func (k *Keeper) sourceFor(to netip.Addr) (netip.Addr, error) {
	for _, s := range k.Sources {
		if s.Is4() == to.Is4() {
			return s, nil
		}
	}
	if len(k.Sources) > 0 {
		return netip.Addr{}, fmt.Errorf("no source address of this family: %w", syscall.ENETUNREACH)
	}
	return netip.Addr{}, nil
}

// Run keeps the copy new until ctx ends, if there is anywhere to have one from.
func (k *Keeper) Run(ctx context.Context) {
	for k.File != "" || len(k.Servers) > 0 {
		k.ReadFile()
		if len(k.Servers) > 0 && !clock.Now().Before(k.askAt) {
			k.askServers(ctx)
		}
		if at := clock.Now(); k.copy.Expire(at) {
			k.OnExpire()
		} else if k.copy.Aging(at) && !k.aging {
			k.aging = true
			k.OnAge(k.copy.Until().Sub(at))
		}
		if clock.Wait(ctx, k.next(clock.Now())) != nil {
			return
		}
	}
}

// next returns when there is something to do.
func (k *Keeper) next(at time.Time) time.Time {
	next := at.Add(filePause) // and no less often, without a file: to expire
	if len(k.Servers) > 0 && k.askAt.Before(next) {
		next = k.askAt
	}
	if until := k.copy.Until(); !until.IsZero() && until.Before(next) {
		next = until
	}
	return next
}
