package sidecar

import (
	"fmt"
	"net/netip"
	"testing"

	"proxima/config"
)

// TestGroup_limits_are_those_of_the_file: what the reader of the file accepts
// is what Listen takes, and what it refuses is never announced.
func TestGroup_limits_are_those_of_the_file(t *testing.T) {
	tests := []struct {
		name      string
		prefix    string
		internal  bool
		community uint32
		prepend   int
		degraded  int
		ok        bool
	}{
		{"the longest IPv4 prefix of the Internet", "198.51.100.0/24", false, 1, 0, 0, true},
		{"one longer", "198.51.100.0/25", false, 1, 0, 0, false},
		{"which stays inside", "198.51.100.0/25", true, 1, 0, 0, true},
		{"the longest IPv6 prefix of the Internet", "2001:db8:53::/48", false, 1, 0, 0, true},
		{"one longer", "2001:db8:53::/49", false, 1, 0, 0, false},
		{"which stays inside", "2001:db8:53::/49", true, 1, 0, 0, true},
		{"a default route", "0.0.0.0/0", false, 1, 0, 0, false},
		{"blackhole", "198.51.100.0/24", false, 65535<<16 | 666, 0, 0, false},
		{"the most of prepends, twice", "198.51.100.0/24", false, 1, 10, 10, true},
		{"one more", "198.51.100.0/24", false, 1, 11, 0, false},
		{"one more when degraded", "198.51.100.0/24", false, 1, 0, 11, false},
		{"fewer than none", "198.51.100.0/24", false, 1, -1, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.prefix, func(t *testing.T) {
			text := fmt.Sprintf(`
speaker: dry-run
groups:
  - {name: main, prefixes: [%q], internal: %t, communities: ["%d:%d"], prepend: %d, degraded: {communities: [], prepend: %d}}
`, tt.prefix, tt.internal, tt.community>>16, tt.community&0xFFFF, tt.prepend, tt.degraded)
			if _, err := config.ParseSidecar("proxima-bgp.yaml", []byte(text)); (err == nil) != tt.ok {
				t.Errorf("the file: %v, want it accepted: %t", err, tt.ok)
			}
			g := Group{
				Name: "main", Prefixes: []netip.Prefix{netip.MustParsePrefix(tt.prefix)}, Internal: tt.internal,
				Communities: []uint32{tt.community}, Prepend: tt.prepend, Degraded: Degraded{Prepend: tt.degraded},
			}
			if err := g.check(); (err == nil) != tt.ok {
				t.Errorf("the group: %v, want it accepted: %t", err, tt.ok)
			}
		})
	}
}
