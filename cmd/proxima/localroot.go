package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"proxima/config"
	"proxima/resolver/localroot"
	"proxima/resolver/localroot/fetch"
	"proxima/resolver/trust"
)

// openLocalRoot reads the file of the root zone, if there is one, so that not
// even the first question needs a server of the root. That it cannot be used is
// no reason not to start.
func (d *daemon) openLocalRoot(t trust.Options) {
	l := d.c.Recursion.LocalRoot
	d.rootKeep = fetch.New(&d.root, fetch.Options{
		File: l.File, Servers: l.Servers, Sources: d.sources, Anchors: d.walker.Anchors, Rules: t.Rules, Time: t.Time,
		OnTake: func(from string, z *localroot.Zone) {
			d.log.Info("copy of the root was put in use", zap.String("from", from), zap.Uint32("serial", z.Serial()),
				zap.Int("records", z.Records()))
		},
		OnFault: func(from string, err error) {
			d.log.Warn("copy of the root could not be had", zap.String("from", from), zap.Error(err))
		},
		OnAge: func(left time.Duration) {
			d.log.Warn("copy of the root has lived half of its time", zap.Duration("left", left))
		},
		OnExpire: func() { d.log.Error("copy of the root expired and was thrown away") },
	})
	d.rootKeep.ReadFile()
}

// checkLocalRoot returns why the daemon could not use the file of the root zone,
// or nil. It is proven with the keys that the daemon would trust, those that it
// has learnt included.
func checkLocalRoot(c *config.Node) (fault error) {
	t, err := trustOptions(c)
	if err != nil || c.Recursion.LocalRoot.File == "" {
		return nil // that of the anchors is told already
	}
	upkeep, err := loadUpkeep(c, func(error) {}) // as is that of their state
	if err != nil {
		return nil
	}
	anchors := slices.DeleteFunc(slices.Clone(kept(t.Anchors, upkeep)), func(a *dns.DS) bool { return a.Hdr.Name != "." })
	fetch.New(new(localroot.Copy), fetch.Options{
		File: c.Recursion.LocalRoot.File, Anchors: func() []*dns.DS { return anchors }, Rules: t.Rules, Time: t.Time,
		OnTake:  func(string, *localroot.Zone) {},
		OnFault: func(_ string, err error) { fault = fmt.Errorf("recursion.local_root.file: %w", err) },
	}).ReadFile()
	return fault
}

// hasLocalRoot reports whether there is to be a copy of the root.
func hasLocalRoot(c *config.Node) bool {
	return c.Recursion.LocalRoot.File != "" || len(c.Recursion.LocalRoot.Servers) > 0
}

func (d *daemon) localRootRoom() prometheus.Collector {
	type stats = localroot.Stats
	return room[stats]{d.root.Stats, []metric[stats]{
		gauge("localroot_held", "1 if a copy of the root is in use.", func(s stats) int { return truth(s.Held) }),
		gauge("localroot_serial", "Serial of the copy of the root.", func(s stats) uint64 { return uint64(s.Serial) }),
		gauge("localroot_records", "Records of the copy of the root.", func(s stats) int { return s.Records }),
		gauge("localroot_age_seconds", "Time since the copy of the root was known to be the newest.", func(s stats) int { return int(s.Age.Seconds()) }),
		gauge("localroot_left_seconds", "Time until the copy of the root is thrown away.", func(s stats) int { return int(s.Left.Seconds()) }),
		total("localroot_loads", "Copies of the root put in use.", func(s stats) uint64 { return s.Loads }),
		total("localroot_failures", "Copies of the root that could not be had or used.", func(s stats) uint64 { return s.Failures }),
		total("localroot_expired", "Copies of the root thrown away because their time was over.", func(s stats) uint64 { return s.Expired }),
	}}
}
