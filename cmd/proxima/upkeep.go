package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"proxima/config"
	"proxima/resolver/anchor"
)

// loadUpkeep returns what is known of the root's keys: what the state file says,
// or else the anchors alone. Without validation, or for another time than the
// present, nothing is kept up to date, and there is none.
func loadUpkeep(c *config.Node, log *zap.Logger) (*anchor.Upkeep, error) {
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
			log.Warn("trust anchors were begun anew", zap.Error(err))
		}
	}
	return &u, nil
}

// keepAnchors asks the root for its keys when that is due, and trusts those that
// it may, RFC 5011, until ctx ends.
func (d *daemon) keepAnchors(ctx context.Context) {
	if d.upkeep == nil {
		return
	}
	d.walker.Trust(d.upkeep.Trusted())
	for {
		timer := time.NewTimer(time.Until(d.upkeep.Next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
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
	before := make(map[uint16]anchor.State)
	for _, k := range d.upkeep.Keys {
		before[k.DNSKEY.KeyTag()] = k.State
	}
	next := d.upkeep.After(s, time.Now())
	d.upkeep = &next
	for _, k := range next.Keys {
		tag := k.DNSKEY.KeyTag()
		if was, known := before[tag]; !known || was != k.State {
			d.log.Info("key of the root changed its state", zap.Uint16("tag", tag), zap.Stringer("state", k.State))
		}
	}
	if !s.Valid {
		d.log.Warn("keys of the root could not be verified", zap.Int("keys", len(s.Keys)), zap.Time("next", next.Next))
	}
	d.walker.Trust(next.Trusted())
	if file := d.c.DNSSEC.AnchorState; file != "" {
		if err := next.Save(file); err != nil {
			d.log.Error("trust anchors were not saved", zap.Error(err))
		}
	}
}
