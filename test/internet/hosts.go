//go:build linux

package internet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A fault is what is wrong with a host, on all of its addresses.
type fault uint8

const (
	sound      fault = iota
	silent           // answers nothing, not even with ICMP
	lame             // knows none of its zones and refers to the root
	refusing         // answers REFUSED
	dropsEDNS        // is silent to queries with an OPT record, RFC 6891
	streamOnly       // sets TC in every datagram
)

var faultNames = [...]string{"sound", "silent", "lame", "refusing", "drops EDNS", "TCP only"}

// String returns the fault's name.
func (f fault) String() string { return faultNames[f] }

// answers reports whether such a host can be made to answer for its zones.
func (f fault) answers() bool { return f == sound || f == dropsEDNS || f == streamOnly }

// Shares of the hosts, in percent.
var shares = []struct {
	fault   fault
	percent int
}{{silent, 2}, {lame, 1}, {refusing, 1}, {dropsEDNS, 1}, {streamOnly, 1}}

// And of those that have but one family.
const (
	percentIPv4Only = 30
	percentIPv6Only = 3
)

// A host is a name server.
type host struct {
	name  string // as its operator calls it
	addrs []netip.Addr
	fault fault
	rtt   time.Duration
}

// hostAddrs numbers the hosts: with the addresses of RFC 5737, but for
// 192.0.2.0/24, which is what zones contain, and with those of RFC 3849.
func hostAddrs(n int) (v4, v6 netip.Addr) {
	v4 = netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + n)})
	if n >= hostsPerNet {
		v4 = netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + n - hostsPerNet)})
	}
	return v4, netip.MustParseAddr(fmt.Sprintf("2001:db8:a::%x", 1+n))
}

const (
	hostsPerNet = 250
	maxHosts    = 2 * hostsPerNet
)

// newHosts returns hosts for zones, with faults in their shares, and one at
// least of each.
func newHosts(r *rand.Rand, count int) []*host {
	all := make([]*host, count)
	for i := range all {
		v4, v6 := hostAddrs(i)
		all[i] = &host{
			name:  fmt.Sprintf("h%d.%s", i%farmSize, farmName(i/farmSize)),
			addrs: []netip.Addr{v4, v6},
			rtt:   drawRTT(r, 3*time.Millisecond, 180*time.Millisecond),
		}
	}
	order := r.Perm(count)
	take := func(percent int, do func(*host)) {
		n := max(1, count*percent/100)
		for _, i := range order[:n] {
			do(all[i])
		}
		order = order[n:]
	}
	for _, s := range shares {
		take(s.percent, func(h *host) { h.fault = s.fault })
	}
	// One family or both, whatever the fault.
	order = r.Perm(count)
	take(percentIPv4Only, func(h *host) { h.addrs = h.addrs[:1] })
	take(percentIPv6Only, func(h *host) { h.addrs = h.addrs[1:] })
	return all
}

// newRegistries returns the hosts of top-level domains: of both families, and
// no worse than silent.
func newRegistries(r *rand.Rand, first, count int) []*host {
	all := make([]*host, count)
	for i := range all {
		v4, v6 := hostAddrs(first + i)
		all[i] = &host{addrs: []netip.Addr{v4, v6}, rtt: drawRTT(r, 3*time.Millisecond, 80*time.Millisecond)}
	}
	for _, i := range r.Perm(count)[:max(1, count*2/100)] {
		all[i].fault = silent
	}
	return all
}

// drawRTT draws a round trip between two bounds, evenly on a logarithmic
// scale: most servers are near, a few are on the other side of the world.
func drawRTT(r *rand.Rand, from, to time.Duration) time.Duration {
	low, high := math.Log(float64(from)), math.Log(float64(to))
	return time.Duration(math.Exp(low + (high-low)*r.Float64()))
}

// farmSize is how many hosts one operator has.
const farmSize = 10

func farmName(n int) string { return fmt.Sprintf("farm%d.example.", n) }
