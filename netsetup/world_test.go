package netsetup

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A world is a host with lo, down, on which a test plays the
// operator as well.
type world struct {
	Links
	Lower  func(index int) error          // sets a link down
	Start  func(run func()) (wait func()) // runs run on this host, beside the test
	Settle func()                         // waits until Watch waits
	Limit  time.Duration                  // for a repair
}

// mustKernel gives the test a network namespace of its own, which goes with it.
func mustKernel(t *testing.T) world {
	t.Helper()
	if err := CheckCapability(); err != nil {
		t.Skipf("needs root: %v", err)
	}
	runtime.LockOSThread()
	outside, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	inside, err := netns.New()
	if err != nil {
		runtime.UnlockOSThread()
		t.Skipf("needs a network namespace: %v", err)
	}
	t.Cleanup(func() {
		err := netns.Set(outside)
		outside.Close()
		inside.Close()
		if err == nil { // else the thread ends with the test
			runtime.UnlockOSThread()
		}
	})
	return world{
		Links: Kernel(),
		Lower: func(index int) error {
			return netlink.LinkSetDown(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}})
		},
		Start: func(run func()) func() {
			var wg sync.WaitGroup
			wg.Go(func() {
				runtime.LockOSThread() // and never unlock: the thread ends here
				if err := netns.Set(inside); err != nil {
					t.Error(err)
					return
				}
				run()
			})
			return wg.Wait
		},
		Settle: func() { time.Sleep(rest + rest/2) },
		Limit:  tick * 8 / 10,
	}
}

// mustUplink makes a veth pair and returns the index of the end called eth0, up.
func mustUplink(t *testing.T) int {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "router"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Skipf("needs veth: %v", err)
	}
	for _, name := range []string{"eth0", "router"} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

// asMemory makes a world of m.
func asMemory(m *memory) world {
	return world{
		Links: m,
		Lower: m.Lower,
		Start: func(run func()) func() {
			var wg sync.WaitGroup
			wg.Go(run)
			return wg.Wait
		},
		Settle: synctest.Wait,
		Limit:  time.Second,
	}
}

var (
	any4  = netip.MustParsePrefix("198.51.100.1/32")
	any6  = netip.MustParsePrefix("2001:db8:53::1/128")
	hole4 = netip.MustParsePrefix("198.51.100.0/24")
	hole6 = netip.MustParsePrefix("2001:db8:53::/48")
)

// options are those of a node with one address and one prefix per family.
func options(l Links) Options {
	return Options{
		Addresses:  []netip.Prefix{any4, any6},
		Blackholes: []netip.Prefix{hole4, hole6},
		Links:      l,
	}
}

func mustNew(t testing.TB, o Options) *Setup {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustAnycast returns the addresses of our prefixes that are on the host.
func mustAnycast(t testing.TB, l Links) []Address {
	t.Helper()
	all, err := l.Addresses()
	must(t, err)
	return slices.DeleteFunc(all, func(a Address) bool {
		return !hole4.Contains(a.Prefix.Addr()) && !hole6.Contains(a.Prefix.Addr())
	})
}

func mustBlackholes(t testing.TB, l Links) []netip.Prefix {
	t.Helper()
	all, err := l.Blackholes()
	must(t, err)
	return all
}

// mustWatch runs Watch until the test has called stop.
func mustWatch(t *testing.T, w world, s *Setup) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	wait := w.Start(func() {
		if err := s.Watch(ctx); err != nil {
			t.Errorf("Watch = %v", err)
		}
	})
	return func() {
		cancel()
		wait()
	}
}

// asOperator returns prefix on link as ip-address(8) would add it, without a mark.
func asOperator(link int, prefix netip.Prefix, scope uint8, flags uint32) Address {
	return Address{Link: link, Prefix: prefix, Scope: scope, Flags: flags | unix.IFA_F_NODAD, Forever: true}
}
