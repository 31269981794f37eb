// Package dryrun announces nothing, and says in the log what it would.
package dryrun

import (
	"context"

	"go.uber.org/zap"

	"proxima/bgpctl/sidecar"
)

// A Speaker implements sidecar.Speaker.
type Speaker struct{ Log *zap.Logger }

// Set implements sidecar.Speaker.
func (s Speaker) Set(_ context.Context, routes []sidecar.Route) error {
	s.Log.Info("routes would be announced", zap.Any("routes", routes))
	return nil
}

// Close implements sidecar.Speaker.
func (s Speaker) Close(context.Context) error { return nil }
