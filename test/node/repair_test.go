//go:build linux

package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// repairLimit is how soon the node puts back what was taken away, and answers.
// It takes milliseconds, as the kernel tells of each change.
const repairLimit = time.Second

func TestNode_putsBackWhatIsTakenAway(t *testing.T) {
	tests := []struct {
		name string
		take func(n *node) error
	}{
		{"an IPv4 address", func(n *node) error { return n.DelAddr("lo", netip.PrefixFrom(service[0], 32)) }},
		{"an IPv6 address", func(n *node) error { return n.DelAddr("lo", netip.PrefixFrom(service[2], 128)) }},
		{"all of its addresses", func(n *node) error {
			for _, a := range service {
				if err := n.DelAddr("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
					return err
				}
			}
			return nil
		}},
		{"the IPv4 blackhole", func(n *node) error { return n.delBlackhole(covering[0]) }},
		{"the IPv6 blackhole", func(n *node) error { return n.delBlackhole(covering[1]) }},
		{"the link", func(n *node) error { return n.SetUp("lo", false) }},
		{"the link, which comes back without its addresses", func(n *node) error {
			if err := n.SetUp("lo", false); err != nil {
				return err
			}
			return n.SetUp("lo", true)
		}},
	}
	n := mustAlone(t)
	file := n.mustWrite(t, "proxima.yaml", anycastFile()+blackholes())
	n.mustStart(t, command("proxima", "serve", "-c", file), at53()...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := n.missing(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := tt.take(n); err != nil {
				t.Fatal(err)
			}
			took := await(t, startLimit, "what was taken away", n.missing)
			took += await(t, startLimit, "an answer by either transport from each address", func() error { return n.canaries(n.Host) })
			within(t, "the repair", took, repairLimit)
		})
	}
	n.mustStop(t)
}

func (n *node) delBlackhole(p netip.Prefix) error {
	dst, err := netlink.ParseIPNet(p.String())
	if err != nil {
		return err
	}
	return n.Netlink().RouteDel(&netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE})
}
