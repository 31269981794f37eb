package netsetup

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestKernel_dummy(t *testing.T) {
	w := mustKernel(t)
	o := options(w)
	o.Interface = "anycast0"
	s := mustNew(t, o)
	err := s.Ensure()
	if err != nil { // a kernel without dummy links
		if !strings.Contains(err.Error(), "making interface anycast0") || !strings.Contains(err.Error(), "no dummy links: use lo") {
			t.Errorf("Ensure = %v, want an error that says what to do", err)
		}
		return
	}
	must(t, s.Missing())
	must(t, s.Release())
	if _, err := s.link(); err == nil {
		t.Error("anycast0 is still there after Release")
	}
}

func TestKernel_otherLink(t *testing.T) {
	w := mustKernel(t)
	mustUplink(t)
	o := options(w)
	o.Interface = "router" // any type of link will do; here duplicate address detection counts
	s := mustNew(t, o)
	must(t, s.Ensure())
	must(t, s.Missing())
	must(t, s.Release())
	wantNothing(t, w)
	if _, err := s.link(); err != nil {
		t.Errorf("Release removed a link that it had not made: %v", err)
	}
}

func TestKernel_withoutIPv6(t *testing.T) {
	w := mustKernel(t)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("1"), 0); err != nil {
		t.Skipf("needs a writable net.ipv6: %v", err)
	}
	err := mustNew(t, options(w)).Ensure()
	if err == nil || !strings.Contains(err.Error(), "net.ipv6.conf.lo.disable_ipv6") {
		t.Errorf("Ensure = %v, want an error that names the setting", err)
	}
	if got := mustAnycast(t, w); len(got) != 1 || got[0].Prefix != any4 {
		t.Errorf("present %v, want %v none the less", got, any4)
	}
}

// TestCheckCapability gives up a capability for good: its thread ends with it.
func TestCheckCapability(t *testing.T) {
	if err := CheckCapability(); err != nil {
		t.Skipf("needs root: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		for call, err := range map[string]error{
			"CheckCapability": CheckCapability(),
			"Ensure":          mustNew(t, Options{Addresses: []netip.Prefix{any4}}).Ensure(),
		} {
			if err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN is missing") || !strings.Contains(err.Error(), "setcap") {
				t.Errorf("%s = %v, want the capability and how to grant it", call, err)
			}
		}
	}()
	<-done
}

func TestEvents_overflow(t *testing.T) {
	w := mustKernel(t)
	must(t, w.RaiseLink(1))
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR)
	must(t, err)
	must(t, sock.SetReceiveBufferSize(1, false)) // the kernel makes that 2,304 octets
	for range 100 {                              // far more than fits
		must(t, w.AddAddress(anycast(1, any4)))
		must(t, w.RemoveAddress(anycast(1, any4)))
	}
	must(t, w.AddAddress(anycast(1, any4)))

	changed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		signal(sock, changed)
	}()
	defer func() {
		sock.Close()
		<-ended
	}()
	wantSignal(t, changed) // of the overflow
	time.Sleep(rest)       // until what is queued is read
	select {
	case <-changed:
	default:
	}
	must(t, w.RemoveAddress(anycast(1, any4)))
	wantSignal(t, changed) // of what came after it
}

func TestEvents_signal(t *testing.T) {
	lo := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: 1}}
	tests := []struct {
		name string
		do   func(w world) error
	}{
		// Nothing else happens in a new namespace while lo is down.
		{"an address that comes", func(w world) error { return w.AddAddress(anycast(1, any4)) }},
		{"a link that changes", func(world) error { return netlink.LinkSetMTU(lo, 9000) }},
		{"a route of ours that goes", func(w world) error {
			if err := w.AddBlackhole(hole4); err != nil {
				return err
			}
			return w.RemoveBlackhole(hole4)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := mustKernel(t)
			ctx, cancel := context.WithCancel(t.Context())
			changed, err := w.Events(ctx)
			must(t, err)
			must(t, tt.do(w))
			wantSignal(t, changed)
			cancel()
			for range changed { // ends, because the subscription does
			}
		})
	}
}

func TestEvents_routesOfOthersAreNotSignalled(t *testing.T) {
	mustKernel(t)
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE)
	must(t, err)
	defer sock.Close()
	_, dst, err := net.ParseCIDR("192.0.2.0/24")
	must(t, err)
	foreign := &netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE, Protocol: unix.RTPROT_BGP}
	must(t, netlink.RouteAdd(foreign))
	must(t, netlink.RouteDel(foreign))
	for range 2 {
		messages, _, err := sock.Receive()
		must(t, err)
		if concerns(messages) {
			t.Error("it concerns us")
		}
	}
}

func TestBlackholes_amongManyRoutes(t *testing.T) {
	w := mustKernel(t)
	must(t, mustNew(t, options(w)).Ensure())
	for _, text := range []string{"192.0.2.0/24", "203.0.113.0/24", "2001:db8:1::/48"} {
		_, dst, err := net.ParseCIDR(text)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE, Protocol: unix.RTPROT_BGP}))
	}
	if got := mustBlackholes(t, w); len(got) != 2 || got[0] != hole4 || got[1] != hole6 {
		t.Errorf("Blackholes = %v, want only ours", got)
	}
}

func wantSignal(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case _, open := <-changed:
		if !open {
			t.Fatal("the subscription ended")
		}
	case <-time.After(time.Minute):
		t.Fatal("no signal")
	}
}
