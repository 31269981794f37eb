// Package ports judges the ports of a host from which servers are asked.
package ports

import (
	"fmt"
	"os"
	"strings"
)

// minPorts is from how many ports a question's is to be drawn at the least, for
// whoever forges a reply must guess it: 28,000; Linux gives 28,232 by default.
const minPorts = 28_000

// Check returns why the ports of this host make replies easier to forge
// than they should be, or nil. The kernel draws them, from one range for both
// families, less what the operator has reserved.
func Check() error {
	portRange, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	reserved, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	return check(string(portRange), string(reserved))
}

// check judges the lowest and the highest port, and those reserved, as the
// kernel writes them: "32768 60999", and "8080,40000-40999" or nothing.
func check(portRange, reserved string) error {
	var low, high int
	if _, err := fmt.Sscan(portRange, &low, &high); err != nil {
		return fmt.Errorf("ports: net.ipv4.ip_local_port_range is %q: %w", portRange, err)
	}
	n := high - low + 1
	for part := range strings.SplitSeq(strings.TrimSpace(reserved), ",") {
		var first, last int
		switch got, _ := fmt.Sscanf(part, "%d-%d", &first, &last); got {
		case 0:
			continue
		case 1:
			last = first
		}
		n -= max(0, min(last, high)-max(first, low)+1)
	}
	if n < minPorts {
		return fmt.Errorf("ports: net.ipv4.ip_local_port_range, less net.ipv4.ip_local_reserved_ports, has %d ports, "+
			"want at least %d, or replies are easy to forge", n, minPorts)
	}
	return nil
}
