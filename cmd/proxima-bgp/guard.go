package main

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
	"proxima/bgpctl/sidecar/guard"
	"proxima/bgpctl/sidecar/state"
	"proxima/config"
)

// guardWait is how long a node that wants to leave asks the others: they are
// asked once a second, so that one lost datagram costs no withdrawal.
const guardWait = 2 * time.Second

// guardRules are the state's. Without a source, a check is trusted.
func guardRules(c *config.Sidecar) state.Guard {
	return state.Guard{
		MinOthers: c.Guard.MinOthers, MaxWithdrawn: c.Guard.MaxWithdrawn, Stale: c.Guard.StaleAfter, Wait: guardWait,
		Trusting: c.Guard.Source == "none" || c.Guard.OnUnknown == "withdraw",
	}
}

// newGuard returns the guard that the file asks for; nil if it asks for none.
func newGuard(c *config.Sidecar, log *zap.Logger) (*guard.Guard, error) {
	if c.Guard.Source == "none" {
		log.Warn("nothing guards the last announcement: a check that is wrong on all nodes withdraws all", zap.String("guard.source", "none"))
		return nil, nil
	}
	o, err := guardOptions(c)
	if err != nil {
		return nil, err
	}
	o.Log = log
	return guard.Listen(o)
}

// guardOptions reads the key file, too.
func guardOptions(c *config.Sidecar) (guard.Options, error) {
	key, err := readPassword(c.Guard.KeyFile)
	if err != nil {
		return guard.Options{}, fmt.Errorf("guard.key_file: %w", err)
	}
	if len(key) < guard.MinKey {
		return guard.Options{}, fmt.Errorf("guard.key_file: %s: the key has %d octets, at least %d are needed", c.Guard.KeyFile, len(key), guard.MinKey)
	}
	node := c.Guard.Node
	if node == "" {
		if node, err = os.Hostname(); err != nil {
			return guard.Options{}, fmt.Errorf("guard.node: the host has no name: %w", err)
		}
	}
	return guard.Options{Node: node, Listen: c.Guard.Listen, Peers: c.Guard.Peers, Key: []byte(key)}, nil
}

// others is what the sidecar asks a guard; nil without one.
func others(g *guard.Guard) sidecar.Others {
	if g == nil {
		return nil
	}
	return func(prefixes []netip.Prefix, stale time.Duration) (state.Others, time.Duration) {
		v := g.View(prefixes, stale)
		return state.Others{Known: v.Known, Announcing: v.Announcing, Withdrawn: v.Withdrawn, Before: v.Before, Rank: v.Rank}, v.Age
	}
}
