//go:build linux

package internet

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"proxima/test/netns"
)

// A world is a model that is being served, and a host for one resolver at a
// time.
//
//	resolver -- distance -- internet
type world struct {
	model              *Model
	net                *netns.Net
	resolver, internet *netns.Host
	distance           *distance
	dir                string // with short names: some programs put sockets there
	hints              string // a file with the addresses of the root servers
	stops              []func()
}

// The links' addresses.
var (
	internetAddrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.253/30"), netip.MustParsePrefix("2001:db8:ff::1/64")}
	resolverAddrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.254/30"), netip.MustParsePrefix("2001:db8:ff::2/64")}
)

// newWorld serves a model. Files and logs are in dir.
func newWorld(m *Model, dir string) (_ *world, err error) {
	w := &world{model: m, net: netns.New(), dir: dir, hints: filepath.Join(dir, "hints")}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.lay(); err != nil {
		return nil, err
	}
	var hints strings.Builder
	for _, rr := range append(m.zones["."].delegation(), m.zones["."].records...) {
		hints.WriteString(rr.String() + "\n")
	}
	if err := os.WriteFile(w.hints, []byte(hints.String()), 0o644); err != nil {
		return nil, err
	}
	var leaf *Tier
	for _, t := range m.Tiers() {
		if err := t.Serve(w.internet, dir); err != nil {
			return nil, err
		}
		leaf = t
	}
	stop, err := serveFaulty(m, w.internet, netip.AddrPortFrom(leaf.Addrs[0], 53))
	if err != nil {
		return nil, err
	}
	w.stops = append(w.stops, stop)
	return w, nil
}

// lay builds the three hosts and what is between them.
func (w *world) lay() error {
	hosts := make([]*netns.Host, 3)
	for i, name := range []string{"resolver", "distance", "internet"} {
		h, err := w.net.Host(name)
		if err != nil {
			return err
		}
		hosts[i] = h
	}
	between := hosts[1]
	w.resolver, w.internet = hosts[0], hosts[2]
	if err := errors.Join(
		between.Sysctl("net/ipv6/conf/all/disable_ipv6", "1"),
		between.Sysctl("net/ipv6/conf/default/disable_ipv6", "1"),
		w.net.Link(w.resolver, "wire", between, "near"),
		w.net.Link(w.internet, "wire", between, "far"),
		w.internet.Addr("wire", internetAddrs...),
		w.resolver.Addr("wire", resolverAddrs...),
	); err != nil {
		return err
	}
	for i, anywhere := range []string{"0.0.0.0/0", "::/0"} {
		if err := w.resolver.Route(netip.MustParsePrefix(anywhere), internetAddrs[i].Addr()); err != nil {
			return err
		}
	}
	d, err := newDistance(between, "near", "far", w.model.RTTs())
	if err != nil {
		return err
	}
	w.distance = d
	w.stops = append(w.stops, d.close)
	return nil
}

func (w *world) close() {
	for _, stop := range w.stops {
		stop()
	}
	w.net.Close()
}
