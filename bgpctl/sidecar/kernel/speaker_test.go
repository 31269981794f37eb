//go:build linux

package kernel

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxima/bgpctl/sidecar"
	"proxima/test/netns"
)

// patience bounds every wait of these tests. It is only reached by a failure.
const patience = time.Minute

var (
	prefix4 = netip.MustParsePrefix("198.51.100.0/24")
	prefix6 = netip.MustParsePrefix("2001:db8:53::/48")
	groups  = []sidecar.Group{{Name: "main", Prefixes: []netip.Prefix{prefix4, prefix6}}}
	usual   = []sidecar.Route{{Prefix: prefix4}, {Prefix: prefix6}}
	low     = []sidecar.Route{{Prefix: prefix4, Low: true}, {Prefix: prefix6, Low: true}}
)

const (
	route4 = "blackhole 198.51.100.0/24 proto 200 src 192.0.0.8 metric "
	first  = "inet6 2001:db8:53:ffff:ffff:ffff:ffff:ffff/48 metric 20 "
	second = "inet6 2001:db8:53:ffff:ffff:ffff:ffff:fffe/48 metric 30 "
)

// A world is a host with a speaker.
type world struct {
	testing.TB
	host *netns.Host
	*Speaker
}

func newWorld(t testing.TB, dropFirst bool) *world {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	n := netns.New()
	t.Cleanup(n.Close)
	h, err := n.Host("node")
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, h, New(Options{Groups: groups, DropFirst: dropFirst})}
}

func (w *world) set(routes []sidecar.Route) error {
	return w.host.Do(func() error { return w.Set(w.Context(), routes) })
}

func (w *world) mustSet(routes []sidecar.Route) {
	w.Helper()
	if err := w.set(routes); err != nil {
		w.Fatal(err)
	}
}

func (w *world) renew() error {
	return w.host.Do(func() error { return w.Renew(w.Context()) })
}

func (w *world) ip(words string) string {
	w.Helper()
	out, err := w.host.Run(w.Context(), "ip", strings.Fields(words)...)
	if err != nil {
		w.Fatal(err, out)
	}
	return out
}

// tables is all that a daemon could read.
func (w *world) tables() string {
	w.Helper()
	return w.ip("-4 route show") + w.ip("-6 route show") + w.ip("addr show dev lo")
}

// has checks which of the four things of ours are there.
func (w *world) has(what string, want ...string) {
	w.Helper()
	said := w.tables()
	for _, thing := range []string{route4 + "20", route4 + "30", first, second, "192.0.0.8/32 scope host"} {
		wanted := false
		for _, t := range want {
			wanted = wanted || t == thing
		}
		if strings.Contains(said, thing) != wanted {
			w.Errorf("%s: %q is there: %t, want %t, in\n%s", what, thing, !wanted, wanted, said)
		}
	}
}

func TestSpeaker_putsTheStateIntoTheTables(t *testing.T) {
	t.Parallel()
	const marker = "192.0.0.8/32 scope host"
	for _, dropFirst := range []bool{false, true} {
		w := newWorld(t, dropFirst)
		w.ip("route add blackhole 198.51.100.0/24 proto 201 metric 65536")
		w.ip("addr add 198.51.100.1/32 dev lo scope host")
		w.mustSet(nil)
		w.has("at first")
		w.mustSet(usual)
		w.has("announced", route4+"20", first, marker)
		w.mustSet(low)
		w.has("degraded", route4+"30", second, marker)
		w.mustSet(usual[1:])
		w.has("one withdrawn", first)
		w.mustSet(usual)
		if err := w.host.Do(func() error { return w.Close(t.Context()) }); err != nil {
			t.Error(err)
		}
		w.has("closed")
		if said := w.tables(); !strings.Contains(said, "proto 201 metric 65536") || !strings.Contains(said, "198.51.100.1/32") {
			t.Errorf("what is not ours has gone:\n%s", said)
		}
	}
}

func TestSpeaker_routesEndUnlessRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.mustSet(usual)
	for began := time.Now(); time.Since(began) < lifetime+time.Second; time.Sleep(100 * time.Millisecond) {
		if err := w.renew(); err != nil {
			t.Skip("this machine is too slow to renew within 3 s: ", err)
		}
	}
	w.has("renewed for longer than a lifetime", route4+"20", first, "192.0.0.8/32 scope host")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		said := w.tables()
		if !strings.Contains(said, "198.51.100.0/24") && !strings.Contains(said, "2001:db8:53:") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what was not renewed is still there:\n%s", said)
		}
	}
	if err := w.renew(); err == nil || !strings.Contains(err.Error(), "not renewed for") {
		t.Errorf("Renew = %v, want that it came too late", err)
	}
	w.has("renewed too late")
}

func TestSpeaker_removesWhatADeadOneLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.ip("route add blackhole 203.0.113.0/24 proto 200 metric 20") // of a group that is no more
	w.mustSet(low)
	again := &world{w.TB, w.host, New(Options{Groups: groups})}
	again.mustSet(nil)
	again.has("at the next start")
	if said := w.tables(); strings.Contains(said, "203.0.113.0") {
		t.Errorf("a route of ours is still there:\n%s", said)
	}
}

func TestSpeaker_putsBackWhatOthersTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.mustSet(usual)
	w.ip("route flush proto 200")
	w.ip("addr del 2001:db8:53:ffff:ffff:ffff:ffff:ffff/48 dev lo")
	w.has("taken away", "192.0.0.8/32 scope host")
	if err := w.renew(); err != nil {
		t.Fatal(err)
	}
	w.has("put back", route4+"20", first, "192.0.0.8/32 scope host")
}

func TestSpeaker_leavesTheAddressesOfOthers(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.0.8/32", "2001:db8:53:ffff:ffff:ffff:ffff:ffff/128"} {
		w := newWorld(t, false)
		w.ip("addr add " + address + " dev lo")
		if err := w.set(usual); err == nil || !strings.Contains(err.Error(), "is not ours") {
			t.Errorf("Set beside %s = %v, want an error", address, err)
		}
		if said := w.ip("addr show dev lo"); !strings.Contains(said, address) || strings.Contains(said, "dynamic") {
			t.Errorf("%s was touched:\n%s", address, said)
		}
	}
}

func TestSpeaker_saysWhatStandsInItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.ip("route add unreachable 198.51.100.0/24 proto static metric 20")
	if err := w.set(usual); err == nil || !strings.Contains(err.Error(), "file exists") {
		t.Errorf("Set = %v, want that another route is there", err)
	}
}
