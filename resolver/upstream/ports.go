package upstream

import (
	"fmt"
	"os"
)

// minPorts is from how many ports a question's is to be drawn at the least, for
// whoever forges a reply must guess it: 28,000; Linux gives 28,232 by default.
const minPorts = 28_000

// CheckPorts returns why the ports of this host make replies easier to forge
// than they should be, or nil. The kernel draws them, from one range for both
// families.
func CheckPorts() error {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	return checkPorts(string(text))
}

// checkPorts judges the lowest and the highest port, as the kernel writes them.
func checkPorts(text string) error {
	var low, high int
	if _, err := fmt.Sscan(text, &low, &high); err != nil {
		return fmt.Errorf("upstream: net.ipv4.ip_local_port_range is %q: %w", text, err)
	}
	if n := high - low + 1; n < minPorts {
		return fmt.Errorf("upstream: net.ipv4.ip_local_port_range has %d ports, want at least %d, or replies are easy to forge", n, minPorts)
	}
	return nil
}
