package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs play in a network of its own, whose loopback interface has
// the addresses.
func inNamespace(t *testing.T, play func() error, addresses ...netip.Addr) {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = ip("link", "set", "lo", "up")
		}
		for _, a := range addresses {
			if err == nil && a.Is4() {
				err = ip("address", "add", a.String(), "dev", "lo")
			} else if err == nil {
				err = ip("address", "add", a.String(), "dev", "lo", "nodad")
			}
		}
		if err == nil {
			err = play()
		}
		result <- err
	}()
	if err := <-result; errors.Is(err, unix.EPERM) {
		t.Skipf("a network of its own needs root: %v", err)
	} else if err != nil {
		t.Error(err)
	}
}

// ip runs ip(8) in the network of this thread.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %v: %s", args, err, out)
	}
	return nil
}

func TestDialUDP_tellsWhatThisHostHasLost(t *testing.T) {
	source4, source6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	lose := func() error {
		return errors.Join(ip("-4", "address", "flush", "dev", "lo"), ip("-6", "address", "flush", "dev", "lo"))
	}
	noPort := func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40000"), 0)
	}
	tests := []struct {
		name    string
		server  string
		sources []netip.Addr
		change  func() error
		want    syscall.Errno
	}{
		{"its IPv4 address", "127.0.0.1", []netip.Addr{source4}, lose, syscall.EADDRNOTAVAIL},
		{"its IPv6 address", "::1", []netip.Addr{source6}, lose, syscall.EADDRNOTAVAIL},
		{"ports of its IPv4 address", "127.0.0.1", []netip.Addr{source4}, noPort, syscall.EADDRINUSE},
		{"ports of its IPv6 address", "::1", []netip.Addr{source6}, noPort, syscall.EADDRINUSE},
		{"ports of any IPv4 address", "127.0.0.1", nil, noPort, syscall.EADDRINUSE},
		{"ports of any IPv6 address", "::1", nil, noPort, syscall.EADDRINUSE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, holder := mustClient(t, Options{Sources: tt.sources}), mustClient(t, Options{Sources: tt.sources})
			to := netip.AddrPortFrom(netip.MustParseAddr(tt.server), 53)
			inNamespace(t, func() error {
				s, err := c.dialUDP(to)
				if err != nil {
					return err
				}
				c.retire(s, to, true)
				if err := tt.change(); err != nil {
					return err
				}
				if tt.want == syscall.EADDRINUSE { // the one that there is
					held, err := holder.dialUDP(to)
					if err != nil {
						return err
					}
					defer holder.retire(held, to, false)
				}
				for _, which := range []string{"kept", "new"} {
					s, err := c.dialUDP(to)
					if err == nil {
						c.retire(s, to, false)
					}
					if !errors.Is(err, tt.want) || isTimeout(err) {
						return fmt.Errorf("a %s socket: err = %v, want %v, which is no timeout", which, err, tt.want)
					}
				}
				return nil
			}, source4, source6)
		})
	}
}
