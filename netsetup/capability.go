package netsetup

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// howToGrant says how a process gets what it lacks.
const howToGrant = "grant it with AmbientCapabilities=CAP_NET_ADMIN (systemd), --cap-add NET_ADMIN (containers) " +
	"or setcap cap_net_admin+ep (the file)"

// CheckCapability returns an error that says what is missing if the calling
// thread may not set up the network, i.e. lacks CAP_NET_ADMIN among its
// effective capabilities.
func CheckCapability() error {
	var data [2]unix.CapUserData // version 3 has 64 bits in two halves
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("netsetup: reading capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return errors.New("netsetup: CAP_NET_ADMIN is missing: anycast addresses and blackhole routes need it: " + howToGrant)
	}
	return nil
}

// failed says what could not be done and, where the kernel's error hides it, why.
func failed(doing string, err error) error {
	if errors.Is(err, unix.EPERM) {
		reason := CheckCapability()
		if reason == nil {
			reason = errors.New("CAP_NET_ADMIN counts only in network namespaces of the own user namespace")
		}
		return fmt.Errorf("netsetup: %s: %w: %v", doing, err, reason)
	}
	return fmt.Errorf("netsetup: %s: %w", doing, err)
}
