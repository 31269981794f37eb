package checks

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"proxima/bgpctl/check"
	"proxima/config"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
)

func mustParse(t testing.TB, text string) *config.Node {
	t.Helper()
	c, err := config.ParseNode("proxima.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProbed(t *testing.T) {
	const anycast = "listen: {addresses: [0.0.0.0, \"2001:db8:53::1\"]}\nanycast: {addresses: [198.51.100.1/32, 198.51.100.2/32, \"2001:db8:53::1/128\"]}\n"
	tests := []struct {
		name  string
		text  string
		bound string
		ipv6  bool
		want  string
	}{
		{"each address is asked itself", "", "192.0.2.1:53 [2001:db8::1]:53", true, "192.0.2.1:53 [2001:db8::1]:53"},
		{"instead of a wildcard, its anycast addresses", anycast, "0.0.0.0:53 [2001:db8:53::1]:53", true,
			"198.51.100.1:53 198.51.100.2:53 [2001:db8:53::1]:53"},
		{"instead of a wildcard without those, loopback", "", "0.0.0.0:53 [::]:53", true, "127.0.0.1:53 [::1]:53"},
		{"without IPv6 on the host, not that of IPv6", "", "0.0.0.0:53 [::]:53", false, "127.0.0.1:53"},
		{"unless nothing else would be asked", "", "[::]:53", false, "[::1]:53"},
		{"nor is an anycast address left out", anycast, "0.0.0.0:53 [::]:53", false, "198.51.100.1:53 198.51.100.2:53 [2001:db8:53::1]:53"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bound []netip.AddrPort
			for _, b := range strings.Fields(tt.bound) {
				bound = append(bound, netip.MustParseAddrPort(b))
			}
			var got []string
			for _, a := range slices.Concat(probed(mustParse(t, tt.text), bound, tt.ipv6)...) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("asks %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSourceFor(t *testing.T) {
	sources := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}
	tests := []struct {
		name    string
		to      string
		sources []netip.Addr
		want    netip.Addr
	}{
		{"a service address is asked from outside of it", "198.51.100.1", sources, sources[0]},
		{"in its own family", "2001:db8:53::1", sources, sources[1]},
		{"a loopback address from the like", "::1", sources, netip.Addr{}},
		{"without a source the kernel chooses", "2001:db8:53::1", sources[:1], netip.Addr{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sourceFor(netip.MustParseAddr(tt.to), tt.sources); got != tt.want {
				t.Errorf("source = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRootServers(t *testing.T) {
	hints := []anchor.Server{{Name: "a.root-servers.net.", Addrs: []netip.Addr{netip.MustParseAddr("198.41.0.4"), netip.MustParseAddr("2001:503:ba3e::2:30")}}}
	tests := []struct {
		name, text, want string
	}{
		{"both families", "", "[[198.41.0.4:53 [2001:503:ba3e::2:30]:53]]"},
		{"what the node may ask by", "upstream: {ipv6: false}", "[[198.41.0.4:53]]"},
		{"none behind a forwarder for all", "recursion: {forward: [{zone: ., servers: [192.0.2.53]}]}", "[]"},
		{"none with a root of one's own", "recursion: {stub: [{zone: ., servers: [192.0.2.53]}]}", "[]"},
		{"a forwarder for less is none", "recursion: {forward: [{zone: example., servers: [192.0.2.53]}]}", "[[198.41.0.4:53 [2001:503:ba3e::2:30]:53]]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(rootServers(mustParse(t, tt.text), hints)); got != tt.want {
				t.Errorf("asks %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnasked(t *testing.T) {
	if err := unasked(&iterate.Error{Local: true}); !errors.Is(err, check.ErrUnasked) {
		t.Errorf("%v of a walk without a place is no ErrUnasked", err)
	}
	for _, err := range []error{nil, io.EOF, &iterate.Error{}} {
		if got := unasked(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
