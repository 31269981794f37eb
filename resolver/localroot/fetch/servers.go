package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"proxima/clock"
	"proxima/resolver/localroot"
)

// followServers asks the servers if it is time, and returns when it is again.
func (k *Keeper) followServers(ctx context.Context) (next time.Time) {
	if !clock.Now().Before(k.askAt) {
		k.askServers(ctx)
	}
	return k.askAt
}

// askServers asks the servers, one after another until one has a newer zone that
// is fit for use. That one has none is not the last word: it may have stood
// still, and the zone in use would live on to the end of its signatures.
func (k *Keeper) askServers(ctx context.Context) {
	useful, taken := false, false
	for _, server := range k.Servers {
		err := shielded(func() (err error) {
			taken, err = k.askServer(ctx, server)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			useful = true
		case !useful || !errors.Is(err, localroot.ErrOlder): // which is behind those that agree
			k.fault(server.String(), err)
		}
		if taken {
			break
		}
	}
	if k.failed++; useful {
		k.failed = 0
	}
	k.askAt = k.copy.Next(clock.Now(), k.failed)
}

// askServer puts the zone of a server in use if that is newer, and reports
// whether it did.
func (k *Keeper) askServer(ctx context.Context, server netip.AddrPort) (taken bool, err error) {
	source, err := k.sourceFor(server.Addr())
	if err != nil {
		return false, err
	}
	asked := clock.Now()
	z, serial, err := k.newest(ctx, source, server)
	if err != nil {
		return false, err
	}
	if z == nil {
		k.confirm(server.String(), serial, asked)
		return false, nil
	}
	until, err := k.verify(z, clock.Now())
	if err != nil {
		return false, err
	}
	err = k.take(server.String(), z, asked, until)
	return err == nil, err
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
