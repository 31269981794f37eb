package netsetup

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestSources_found(t *testing.T) {
	const lo, eth0, mgmt, down = 1, 2, 3, 4
	loopback := []string{"127.0.0.1/8 1 host", "::1/128 1 host"}
	tests := []struct {
		name      string
		addresses []string // prefix, link and what is special
		ways      [2]way
		want      []string
	}{
		{"the kernel's choice is taken",
			[]string{"192.0.2.10/24 2", "192.0.2.11/24 2", "2001:db8::10/64 2", "2001:db8::11/64 2"},
			[2]way{{eth0, mustAddr("192.0.2.11")}, {eth0, mustAddr("2001:db8::11")}},
			[]string{"192.0.2.11", "2001:db8::11"}},
		{"the uplink goes before other links",
			[]string{"203.0.113.5/24 3", "192.0.2.10/24 2"},
			[2]way{{eth0, netip.Addr{}}}, []string{"192.0.2.10"}},
		{"an anycast choice of the kernel is not taken",
			[]string{"198.51.100.1/32 1", "192.0.2.10/24 2", "2001:db8:53::1/128 1", "2001:db8::10/64 3"},
			[2]way{{eth0, mustAddr("198.51.100.1")}, {eth0, mustAddr("2001:db8:53::1")}},
			[]string{"192.0.2.10", "2001:db8::10"}},
		{"an unnumbered uplink asks from the address on lo",
			[]string{"198.51.100.1/32 1 host", "203.0.113.7/32 1", "fe80::2/64 2 link"},
			[2]way{{eth0, mustAddr("203.0.113.7")}}, []string{"203.0.113.7"}},
		{"a family without an address is left out",
			[]string{"192.0.2.10/24 2", "fe80::2/64 2 link", "2001:db8:53::1/128 1 deprecated"},
			[2]way{{eth0, mustAddr("192.0.2.10")}, {eth0, mustAddr("2001:db8:53::1")}},
			[]string{"192.0.2.10"}},
		{"scope host, scope link, deprecated and tentative are passed over",
			[]string{"192.0.2.1/32 2 host", "192.0.2.2/32 2 link", "169.254.0.9/16 2", "192.0.2.4/24 3",
				"2001:db8::1/64 2 deprecated", "2001:db8::2/64 2 tentative", "2001:db8::4/64 3"},
			[2]way{{eth0, mustAddr("192.0.2.1")}, {eth0, mustAddr("2001:db8::1")}},
			[]string{"192.0.2.4", "2001:db8::4"}},
		{"a lasting address goes before the kernel's temporary one",
			[]string{"2001:db8::aaaa/64 2 temporary", "2001:db8::10/64 2"},
			[2]way{{}, {eth0, mustAddr("2001:db8::aaaa")}}, []string{"2001:db8::10"}},
		{"a link that is down is passed over",
			[]string{"192.0.2.10/24 4", "203.0.113.5/24 3"},
			[2]way{}, []string{"203.0.113.5"}},
		{"a global address goes before a private one",
			[]string{"10.0.0.5/24 3", "203.0.113.7/32 1", "fd00::5/64 3", "2001:db8::7/128 1"},
			[2]way{}, []string{"203.0.113.7", "2001:db8::7"}},
		{"a host behind NAT asks from its private address",
			[]string{"10.0.0.5/24 2"}, [2]way{{eth0, mustAddr("10.0.0.5")}}, []string{"10.0.0.5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			m.links = []Link{{Index: lo, Up: true}, {Index: eth0, Up: true}, {Index: mgmt, Up: true}, {Index: down}}
			m.ways = tt.ways
			for _, text := range append(slices.Clone(loopback), tt.addresses...) {
				m.addresses = append(m.addresses, mustAddress(t, text))
			}
			got, err := Sources(m, nil, []netip.Addr{any4.Addr(), any6.Addr()}, true, true)
			if want := mustAddrs(tt.want...); err != nil || !slices.Equal(got, want) {
				t.Errorf("Sources = %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestSources_loopback(t *testing.T) {
	m := newMemory()
	m.links[0].Up = true
	m.addresses = []Address{mustAddress(t, "127.0.0.1/8 1 host"), mustAddress(t, "::1/128 1 host")}
	t.Run("serves where there is nothing else and nothing anycast", func(t *testing.T) {
		got, err := Sources(m, nil, nil, true, true)
		if want := mustAddrs("127.0.0.1", "::1"); err != nil || !slices.Equal(got, want) {
			t.Errorf("Sources = %v, %v, want %v", got, err, want)
		}
	})
	t.Run("does not serve beside an anycast address", func(t *testing.T) {
		got, err := Sources(m, nil, []netip.Addr{any4.Addr()}, true, true)
		if err == nil || !strings.Contains(err.Error(), "upstream.sources") {
			t.Errorf("Sources = %v, %v, want an error that names the key", got, err)
		}
	})
	t.Run("only of the families that are wanted", func(t *testing.T) {
		got, err := Sources(m, nil, nil, false, true)
		if want := mustAddrs("::1"); err != nil || !slices.Equal(got, want) {
			t.Errorf("Sources = %v, %v, want %v", got, err, want)
		}
	})
}

func TestSources_wanted(t *testing.T) {
	tests := []struct {
		name string
		want []string
		v6   bool
		got  []string
		err  string
	}{
		{"addresses of this host are taken as they are", []string{"192.0.2.10", "2001:db8::10"}, true, []string{"192.0.2.10", "2001:db8::10"}, ""},
		{"a family that is off is left out", []string{"192.0.2.10", "2001:db8::10"}, false, []string{"192.0.2.10"}, ""},
		{"an anycast address is refused", []string{"192.0.2.10", "198.51.100.1"}, true, nil, "198.51.100.1 is an anycast address"},
		{"an address that Proxima left is refused", []string{"198.51.100.77"}, true, nil, "198.51.100.77 was added by Proxima"},
		{"an absent address is refused", []string{"192.0.2.99"}, true, nil, "192.0.2.99 is not on this host"},
		{"a tentative address is refused", []string{"2001:db8::2"}, true, nil, "2001:db8::2 is not usable"},
		{"a link-local address is refused", []string{"fe80::2"}, true, nil, "fe80::2 is link-local"},
	}
	m := newMemory()
	left := mustAddress(t, "198.51.100.77/32 1 host")
	left.Protocol = Protocol
	m.addresses = append(m.addresses, left)
	for _, text := range []string{"198.51.100.1/32 1 host", "192.0.2.10/24 2", "2001:db8::10/64 2", "2001:db8::2/64 2 tentative", "fe80::2/64 2 link"} {
		m.addresses = append(m.addresses, mustAddress(t, text))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Sources(m, mustAddrs(tt.want...), []netip.Addr{any4.Addr()}, true, tt.v6)
			if tt.err == "" && (err != nil || !slices.Equal(got, mustAddrs(tt.got...))) {
				t.Errorf("Sources = %v, %v, want %v", got, err, tt.got)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), "upstream.sources: "+tt.err)) {
				t.Errorf("Sources = %v, %v, want error %q", got, err, tt.err)
			}
		})
	}
}

// An unnumbered uplink is where the kernel would fall back to the anycast
// addresses on lo.
func TestSources_unnumberedUplink(t *testing.T) {
	anycast := []netip.Addr{any4.Addr(), any6.Addr()}
	unnumbered := func(t *testing.T) (w world, eth0 int) {
		w = mustKernel(t)
		must(t, mustNew(t, options(w)).Ensure())
		eth0 = mustUplink(t)
		mustDefaultRoutes(t, eth0)
		return w, eth0
	}
	t.Run("with no other address refuses", func(t *testing.T) {
		w, _ := unnumbered(t)
		if got, err := Sources(w, nil, anycast, true, true); err == nil {
			t.Errorf("Sources = %v, want an error", got)
		}
	})
	t.Run("gives an unbound IPv4 socket no anycast source", func(t *testing.T) {
		unnumbered(t)
		if got := kernelSource(t, "udp4", "203.0.113.9:53"); got == any4.Addr() {
			t.Errorf("the kernel chose %v", got)
		}
	})
	t.Run("asks from unicast addresses on lo", func(t *testing.T) {
		w, _ := unnumbered(t)
		must(t, w.AddAddress(asOperator(1, netip.MustParsePrefix("192.0.2.7/32"), 0, 0)))
		must(t, w.AddAddress(asOperator(1, netip.MustParsePrefix("2001:db8:7::7/128"), 0, 0)))
		got, err := Sources(w, nil, anycast, true, true)
		if want := mustAddrs("192.0.2.7", "2001:db8:7::7"); err != nil || !slices.Equal(got, want) {
			t.Errorf("Sources = %v, %v, want %v", got, err, want)
		}
	})
	t.Run("gives an unbound IPv6 socket the unicast source of lo even where the anycast one matches longer", func(t *testing.T) {
		w, _ := unnumbered(t)
		must(t, w.AddAddress(asOperator(1, netip.MustParsePrefix("2001:db8:7::7/128"), 0, 0)))
		if got, want := kernelSource(t, "udp6", "[2001:db8:50::9]:53"), mustAddr("2001:db8:7::7"); got != want {
			t.Errorf("the kernel chose %v, want %v", got, want)
		}
	})
	t.Run("asks from the numbered uplink once it is", func(t *testing.T) {
		w, eth0 := unnumbered(t)
		must(t, w.AddAddress(asOperator(eth0, netip.MustParsePrefix("192.0.2.10/24"), 0, 0)))
		must(t, w.AddAddress(asOperator(eth0, netip.MustParsePrefix("2001:db8:7::10/64"), 0, 0)))
		got, err := Sources(w, nil, anycast, true, true)
		if want := mustAddrs("192.0.2.10", "2001:db8:7::10"); err != nil || !slices.Equal(got, want) {
			t.Errorf("Sources = %v, %v, want %v", got, err, want)
		}
	})
}

// mustDefaultRoutes sends everything to a link, without a source of its own.
func mustDefaultRoutes(t *testing.T, link int) {
	t.Helper()
	for _, to := range []string{"0.0.0.0/0", "::/0"} {
		_, all, err := net.ParseCIDR(to)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link, Dst: all, Scope: netlink.SCOPE_LINK}))
	}
}

// kernelSource returns the source that a socket gets that is not bound; no
// packet is sent.
func kernelSource(t *testing.T, network, to string) netip.Addr {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Logf("the kernel chose none: %v", err)
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

func mustAddr(text string) netip.Addr { return netip.MustParseAddr(text) }

func mustAddrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, mustAddr(text))
	}
	return all
}

// mustAddress reads "prefix link [what is special]".
func mustAddress(t *testing.T, text string) Address {
	t.Helper()
	words := strings.Fields(text)
	a := Address{Prefix: netip.MustParsePrefix(words[0]), Link: int(words[1][0] - '0'), Forever: true}
	for _, word := range words[2:] {
		switch word {
		case "host":
			a.Scope = unix.RT_SCOPE_HOST
		case "link":
			a.Scope = unix.RT_SCOPE_LINK
		case "deprecated":
			a.Flags |= unix.IFA_F_DEPRECATED
		case "tentative":
			a.Flags |= unix.IFA_F_TENTATIVE
		case "temporary":
			a.Flags |= unix.IFA_F_TEMPORARY
		default:
			t.Fatalf("%q in %q", word, text)
		}
	}
	return a
}
