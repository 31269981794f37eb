//go:build linux

package main

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A routeWatch follows where each router sends the anycast prefixes, from the
// kernel's own announcements.
type routeWatch struct {
	world *world
	// onMove is called with the place a router's packets now go to, "" for
	// nowhere but the default route.
	onMove func(s *site, prefix netip.Prefix, from, to string)

	mu    sync.Mutex // guards moves and now
	moves []move
	now   map[routeKey]string
}

type routeKey struct {
	site   *site
	prefix netip.Prefix
}

// A move is one change of a router's table.
type move struct {
	routeKey
	at time.Time
	to string
}

// watch subscribes to every router's table until done is closed.
func (r *routeWatch) watch(done <-chan struct{}) error {
	r.now = map[routeKey]string{}
	for i, s := range r.world.sites {
		updates := make(chan netlink.RouteUpdate, 64)
		ns := s.router.Namespace()
		if err := netlink.RouteSubscribeWithOptions(updates, done, netlink.RouteSubscribeOptions{Namespace: &ns}); err != nil {
			return err
		}
		go func() {
			for u := range updates {
				r.note(i, u, time.Now())
			}
		}()
	}
	return nil
}

func (r *routeWatch) note(i int, u netlink.RouteUpdate, at time.Time) {
	if u.Dst == nil || u.Table != unix.RT_TABLE_MAIN {
		return
	}
	addr, _ := netip.AddrFromSlice(u.Dst.IP)
	ones, _ := u.Dst.Mask.Size()
	key := routeKey{r.world.sites[i], netip.PrefixFrom(addr.Unmap(), ones)}
	if !slices.Contains(prefixes, key.prefix) {
		return
	}
	to := ""
	if u.Type == unix.RTM_NEWROUTE {
		gw, _ := netip.AddrFromSlice(u.Gw)
		to = r.world.via(i, gw.Unmap())
	}
	r.mu.Lock()
	from := r.now[key]
	// A replaced route may be announced as new before the old one is taken
	// away: what is gone is then not what is in use.
	stale := false
	if u.Type == unix.RTM_DELROUTE {
		gw, _ := netip.AddrFromSlice(u.Gw)
		stale = u.Gw != nil && r.world.via(i, gw.Unmap()) != from
	}
	if !stale && from != to {
		r.now[key] = to
		r.moves = append(r.moves, move{routeKey: key, at: at, to: to})
	}
	r.mu.Unlock()
	if !stale && from != to {
		r.onMove(key.site, key.prefix, from, to)
	}
}

// left returns how long after since the last router turned away from the
// place, and how many times a router turned to it.
func (r *routeWatch) left(place string, since time.Time) (gone time.Duration, back int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.moves {
		if m.at.Before(since) || m.site.Name != place {
			continue
		}
		if m.to == place {
			back++
		} else if back == 0 {
			gone = m.at.Sub(since)
		}
	}
	return gone, back
}

// to returns where a site's router sends a prefix now.
func (r *routeWatch) to(s *site, prefix netip.Prefix) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[routeKey{s, prefix}]
}
