// Package kernel announces by what stands in the kernel's tables, for a BGP
// daemon of the operator's that reads them.
//
// An IPv4 prefix is a blackhole route whose metric is the state. Its source is a
// marker address that lives for 3 s, and the kernel deletes the route with it.
// An IPv6 prefix is a marker address of its own with the prefix's length, one
// for each state, which the daemon takes for a connected prefix. Renew gives all
// markers another 3 s, which is no event for a daemon; when nobody calls it,
// since the sidecar was killed or hangs, the daemon sees the prefixes go.
//
// The IPv6 way differs because the kernel keeps an IPv6 route whose source has
// gone, and ignores lifetimes of such routes (Linux 6.18).
//
// The addresses that serve are others and stay (netsetup), as does netsetup's
// own blackhole, which has another protocol and a higher metric.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"proxima/bgpctl/sidecar"
)

const (
	// Protocol marks our routes. Like netsetup's 201 it is free among those of
	// linux/rtnetlink.h and of iproute2's rt_protos.
	Protocol = 200

	// The metric of a route, or of a marker, is the state. Both are below that of
	// netsetup's blackhole, 65536, so that daemons see ours first.
	usualMetric    = 20
	degradedMetric = 30

	// lifetime is that of the markers, in whole seconds as the kernel counts them.
	// Default 3 s: six renewals. It deletes up to 0.4 s late.
	lifetime = 3 * time.Second
)

// marker4 is the source of IPv4 blackholes: the dummy address of RFC 7600
// section 4.8, which no host has otherwise.
var marker4 = netip.MustParseAddr("192.0.0.8")

// Options says what may be announced, and who reads it.
type Options struct {
	Groups []sidecar.Group
	// DropFirst is for daemons that see an IPv6 prefix with the metric of the first
	// address that had it, such as FRR: the marker of the old state goes before
	// that of the new one comes. For others, such as BIRD, it goes after it.
	DropFirst bool
}

// A Speaker implements sidecar.Speaker and sidecar.Renewer.
type Speaker struct {
	o       Options
	all     []netip.Prefix // of the groups
	now     entries        // owned by the calls, as is renewed: what was last asked for
	renewed time.Time      // when the markers got their lifetime
}

// entries are what stands in the kernel's tables: the metrics of each prefix.
type entries map[netip.Prefix][]int

// New returns a speaker that has not touched anything yet.
func New(o Options) *Speaker {
	s := &Speaker{o: o}
	for _, g := range o.Groups {
		s.all = append(s.all, g.Prefixes...)
	}
	return s
}

// Set implements sidecar.Speaker.
func (s *Speaker) Set(_ context.Context, routes []sidecar.Route) error {
	want := make(entries)
	for _, r := range routes {
		want[r.Prefix] = []int{usualMetric}
		if r.Low {
			want[r.Prefix] = []int{degradedMetric}
		}
	}
	s.now = want
	have, err := s.list()
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	s.renewed = time.Now()
	if err := s.setMarker4(want); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	for _, p := range have.and(want) {
		if err := s.change(p, have[p], want[p]); err != nil {
			return fmt.Errorf("kernel: %v: %w", p, err)
		}
	}
	if have, err = s.list(); err != nil {
		return fmt.Errorf("kernel: read back: %w", err)
	}
	for _, p := range have.and(want) {
		if !slices.Equal(have[p], want[p]) {
			return fmt.Errorf("kernel: read back: %v is there with the metrics %v, not %v", p, have[p], want[p])
		}
	}
	return nil
}

// and returns the prefixes of both, in order.
func (e entries) and(o entries) []netip.Prefix {
	var all []netip.Prefix
	for _, m := range []entries{e, o} {
		for p := range m {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// setMarker4 makes or renews the IPv4 marker, or removes it if nothing needs it.
func (s *Speaker) setMarker4(want entries) error {
	for p := range want {
		if p.Addr().Is4() {
			return putMarker(netip.PrefixFrom(marker4, 32), 0)
		}
	}
	return removeMarker(netip.PrefixFrom(marker4, 32))
}

// change makes of the metrics that a prefix has those that it should have.
func (s *Speaker) change(p netip.Prefix, have, want []int) error {
	put, remove := putRoute, removeRoute
	if p.Addr().Is6() {
		put = func(p netip.Prefix, metric int) error { return putMarker(marker6(p, metric), metric) }
		remove = func(p netip.Prefix, metric int) error { return removeMarker(marker6(p, metric)) }
	}
	add := func() error {
		for _, m := range want {
			if slices.Contains(have, m) && p.Addr().Is4() {
				continue
			}
			if err := put(p, m); err != nil {
				return err
			}
		}
		return nil
	}
	drop := func() error {
		for _, m := range have {
			if slices.Contains(want, m) {
				continue
			}
			if err := remove(p, m); err != nil {
				return err
			}
		}
		return nil
	}
	if s.o.DropFirst && p.Addr().Is6() {
		return errors.Join(drop(), add())
	}
	if err := add(); err != nil {
		return err
	}
	return drop()
}

// marker6 is the marker of an IPv6 prefix in a state: its last address, or the
// last but one while degraded.
func marker6(p netip.Prefix, metric int) netip.Prefix {
	last := p.Addr().As16()
	for bit := p.Bits(); bit < 128; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	if metric == degradedMetric {
		last[15] &^= 1
	}
	return netip.PrefixFrom(netip.AddrFrom16(last), p.Bits())
}

// Renew implements sidecar.Renewer. It puts back a route that somebody took
// away, and refuses to bring back what has expired: that is for Set.
func (s *Speaker) Renew(context.Context) error {
	if len(s.now) == 0 {
		return nil
	}
	if age := time.Since(s.renewed); age >= lifetime {
		return fmt.Errorf("kernel: not renewed for %v: the routes have gone", age.Round(time.Millisecond))
	}
	s.renewed = time.Now()
	if err := s.setMarker4(s.now); err != nil {
		return fmt.Errorf("kernel: renew: %w", err)
	}
	for p, metrics := range s.now {
		var err error
		if p.Addr().Is6() {
			err = putMarker(marker6(p, metrics[0]), metrics[0])
		} else if err = putRoute(p, metrics[0]); errors.Is(err, unix.EEXIST) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("kernel: renew %v: %w", p, err)
		}
	}
	return nil
}

// Close withdraws.
func (s *Speaker) Close(ctx context.Context) error { return s.Set(ctx, nil) }
