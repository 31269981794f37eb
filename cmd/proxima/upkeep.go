package main

import (
	"context"
	"slices"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"proxima/clock"
	"proxima/config"
	"proxima/resolver/anchor"
)

// loadUpkeep returns what is known of the root's keys: what the state file says,
// or else the anchors alone; then it tells why. Without validation, or for
// another time than the present, nothing is kept up to date, and there is none.
func loadUpkeep(c *config.Node, anew func(why error)) (*anchor.Upkeep, error) {
	if !c.DNSSEC.Validate || !c.DNSSEC.ValidationTime.IsZero() {
		return nil, nil
	}
	anchors, err := readAnchors(c.DNSSEC.TrustAnchors)
	if err != nil {
		return nil, err
	}
	u := anchor.Begin(".", anchors)
	if len(u.Anchors) == 0 {
		return nil, nil
	}
	if file := c.DNSSEC.AnchorState; file != "" {
		if u, err = anchor.Load(file, ".", anchors); err != nil {
			anew(err)
		}
	}
	return &u, nil
}

// kept returns the operator's anchors with those of the root as an upkeep has
// them now, so that not even the first client is judged by a key that is gone.
func kept(anchors []*dns.DS, u *anchor.Upkeep) []*dns.DS {
	if u == nil {
		return anchors
	}
	others := slices.DeleteFunc(slices.Clone(anchors), func(a *dns.DS) bool { return a.Hdr.Name == u.Zone })
	return append(others, u.Trusted()...)
}

// keepAnchors asks the root for its keys when that is due, and trusts those that
// it may, RFC 5011, until ctx ends.
func (d *daemon) keepAnchors(ctx context.Context) {
	if d.upkeep == nil {
		return
	}
	for {
		if clock.Wait(ctx, d.upkeep.Due(clock.Now())) != nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, sightLimit)
		sighting := d.walker.Sight(limited)
		cancel()
		if ctx.Err() == nil {
			d.takeSighting(sighting)
		}
	}
}

// sightLimit bounds how long the root is asked for its keys. 10 s, not
// configurable: it is tried again within the hour.
const sightLimit = 10 * time.Second

// takeSighting learns from the root's keys, and says what has become of them.
func (d *daemon) takeSighting(s anchor.Sighting) {
	before := d.upkeep.Keys
	next := d.upkeep.After(s, clock.Now())
	d.upkeep = &next
	for _, k := range next.Keys {
		if !slices.ContainsFunc(before, func(b anchor.Key) bool { return b.Same(k) && b.State == k.State }) {
			d.log.Info("key of the root changed its state", zap.Uint16("tag", k.DNSKEY.KeyTag()), zap.Stringer("state", k.State))
		}
	}
	for _, b := range before {
		if !slices.ContainsFunc(next.Keys, b.Same) {
			d.log.Warn("new key of the root went before it could be trusted", zap.Uint16("tag", b.DNSKEY.KeyTag()))
		}
	}
	switch {
	case len(s.Keys) == 0:
		d.log.Warn("keys of the root could not be had", zap.Time("next", next.Next))
	case !s.Valid:
		d.log.Warn("keys of the root could not be verified", zap.Int("keys", len(s.Keys)), zap.Time("next", next.Next))
	}
	d.walker.Trust(next.Trusted())
	if file := d.c.DNSSEC.AnchorState; file != "" {
		if err := next.Save(file); err != nil {
			d.log.Error("trust anchors were not saved", zap.Error(err))
		}
	}
}
