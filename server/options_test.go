package server

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestListen_refusesOptions(t *testing.T) {
	here := []netip.Addr{loopback4}
	tests := []struct {
		name    string
		options Options
		want    string // in the error
	}{
		{"no address", Options{}, "Addresses: none"},
		{"an invalid address", Options{Addresses: []netip.Addr{{}}}, "Addresses: invalid"},
		{"an address twice", Options{Addresses: []netip.Addr{loopback4, loopback4}}, "given twice"},
		{"an address under a wildcard", Options{Addresses: []netip.Addr{netip.IPv4Unspecified(), loopback4}}, "overlap"},
		{"an IPv4 address in IPv6", Options{Addresses: []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}}, "Addresses: ::ffff:192.0.2.1"},
		{"an invalid prefix", Options{Addresses: here, Allow: []netip.Prefix{{}}}, "Allow: invalid"},
		{"a long identity", Options{Addresses: here, NSID: strings.Repeat("x", 129)}, "NSID: 129 octets"},
		{"too few readers", Options{Addresses: here, Readers: -1}, "Readers: -1"},
		{"too long a timeout", Options{Addresses: here, Timeout: time.Hour}, "Timeout: 1h0m0s"},
		{"less patience with the idle when there is room", Options{Addresses: here, Idle: time.Second, IdlePressed: time.Minute}, "IdlePressed: 1m0s"},
		{"too little room for replies", Options{Addresses: here, MaxUnsent: 1}, "MaxUnsent: 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Listen(tt.options)
			if err == nil {
				s.Close()
				t.Fatal("Listen took it")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestOptions_leaveFilesToOthers(t *testing.T) {
	tests := []struct {
		name  string
		files uint64
		want  int
	}{
		{"with files enough, all connections", 1 << 20, defaultConns},
		{"and without a limit", math.MaxUint64, defaultConns},
		{"half of few files are for others", 1024, 512 - ownConns},
		{"of hardly any, one", 100, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{MaxConns: defaultConns, Log: zap.NewNop()}
			o.fitInto(tt.files)
			if o.MaxConns != tt.want {
				t.Errorf("MaxConns = %d, want %d", o.MaxConns, tt.want)
			}
		})
	}
}

func TestAllowlist(t *testing.T) {
	var prefixes []netip.Prefix
	for _, p := range []string{"198.51.100.0/24", "192.0.2.128/25", "192.0.2.200/32", "203.0.113.9/32", "2001:db8::/32", "2001:db8:1::/48", "192.0.2.128/25"} {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	tests := []struct {
		name string
		from string
		want bool
	}{
		{"below all prefixes", "10.0.0.1", false},
		{"just before one", "192.0.2.127", false},
		{"the first of one", "192.0.2.128", true},
		{"within a prefix inside another", "192.0.2.200", true},
		{"behind a prefix inside another", "192.0.2.201", true},
		{"the last of one", "192.0.2.255", true},
		{"between two", "192.0.3.0", false},
		{"a prefix of one address", "203.0.113.9", true},
		{"IPv6 inside", "2001:db8:ffff::1", true},
		{"IPv6 outside", "2001:db9::1", false},
		{"IPv6 below all", "::1", false},
	}
	list := newAllowlist(prefixes)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := list.contains(netip.MustParseAddr(tt.from)); got != tt.want {
				t.Errorf("contains(%s) = %t, want %t", tt.from, got, tt.want)
			}
		})
	}
	if !newAllowlist(nil).contains(netip.MustParseAddr("192.0.2.1")) {
		t.Error("an empty list does not hold everybody")
	}
}
