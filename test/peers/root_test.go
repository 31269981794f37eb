//go:build linux

package peers

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"proxima/test/internet"
	"proxima/test/netns"
)

const (
	// labelsAsked is how many top-level domains that do not exist are asked for.
	labelsAsked = 200
	// overhead is how many packets are granted beside one a gap: the denial of the
	// wildcard, addresses of root servers, a packet sent again.
	overhead = 20
)

// The genuine root zone is of February 2022; its signatures have long expired.
var rootZoneDay = time.Date(2022, 2, 20, 0, 0, 0, 0, time.UTC)

func TestProxima_validatesTheGenuineRootZone(t *testing.T) {
	b := mustGenuine(t)
	toRoot := mustCount(t, b.internet, b.model.tiers[0].Addrs)
	server := netip.MustParseAddrPort("127.0.0.1:5300")
	if err := b.startValidatingProxima(t.Context(), server, trust{anchor: realAnchor, at: rootZoneDay, aggressive: true}); err != nil {
		t.Fatal(err, internet.Logs(b.dir))
	}
	ask := func(name string, typ uint16) verdict {
		return b.insist(server, dns.Question{Name: name, Qtype: typ, Qclass: dns.ClassINET}, func(v verdict) bool {
			return v.rcode == "NOERROR" || v.rcode == "NXDOMAIN"
		})
	}
	for _, q := range []struct {
		name string
		typ  uint16
	}{{".", dns.TypeDNSKEY}, {".", dns.TypeSOA}, {"com.", dns.TypeDS}, {"se.", dns.TypeDS}} {
		if v := ask(q.name, q.typ); v.rcode != "NOERROR" || !v.secure || v.records == "" {
			t.Errorf("%s %s = %s, want an answer with AD", q.name, dns.TypeToString[q.typ], v)
		}
	}
	if len(b.names) < 20 {
		t.Errorf("only %d top-level domains without DS", len(b.names))
	}
	for _, tld := range b.names {
		if v := ask(tld, dns.TypeDS); v.rcode != "NOERROR" || !v.secure || v.records != "" {
			t.Errorf("%s DS = %s, want a secure denial", tld, v)
		}
		if v := ask(tld, dns.TypeSOA); v.rcode != "NOERROR" || v.secure || v.records == "" {
			t.Errorf("%s SOA = %s, want an insecure answer", tld, v)
		}
	}
	labels := randomLabels()
	denials := func(suffix string) int64 {
		before := toRoot.Load()
		for _, label := range labels {
			if v := ask(label+suffix+".", dns.TypeA); v.rcode != "NXDOMAIN" || !v.secure {
				t.Errorf("%s%s. = %s, want NXDOMAIN with AD", label, suffix, v)
			}
		}
		return toRoot.Load() - before
	}
	first, gaps := denials(""), b.gaps(labels)
	again := denials("0") // the next name of all after each: in the same gap
	t.Logf("%d labels in %d gaps of the zone: %d packets to the root; %d other labels there: %d packets", len(labels), gaps, first, len(labels), again)
	if first > int64(gaps+overhead) {
		t.Errorf("%d packets for labels in %d gaps: denials are not used again", first, gaps)
	}
	if again > 0 {
		t.Errorf("%d packets for names whose denial is known", again)
	}
}

// mustGenuine serves the genuine root zone, or skips.
func mustGenuine(t *testing.T) *bed {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("nsd"); err != nil {
		t.Skip("nsd is not installed")
	}
	data, err := internet.FindData()
	if err != nil {
		t.Skip(err)
	}
	m, err := newGenuine(data)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b, err := newBench(m, dir)
	if err != nil {
		t.Fatal(err, internet.Logs(dir))
	}
	t.Cleanup(b.net.Close)
	return &bed{bench: b, names: m.names, model: m}
}

// randomLabels are those of no top-level domain, the same each time.
func randomLabels() []string {
	random := rand.New(rand.NewPCG(2022, 2))
	labels := make([]string, labelsAsked)
	for i := range labels {
		var b strings.Builder
		for range 12 {
			b.WriteByte('a' + byte(random.IntN(26)))
		}
		labels[i] = b.String()
	}
	return labels
}

// gaps returns between how many different neighbours in the zone the labels lie.
func (b *bed) gaps(labels []string) int {
	after := map[string]bool{}
	for _, label := range labels {
		last := ""
		for tld := range b.model.delegations {
			if before(tld, label+".") && (last == "" || before(last, tld)) {
				last = tld
			}
		}
		after[last] = true
	}
	return len(after)
}

// mustCount counts the packets to port 53 of addresses on a host.
func mustCount(t *testing.T, h *netns.Host, addrs []netip.Addr) *atomic.Int64 {
	t.Helper()
	var file *os.File
	err := h.Do(func() error {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "packets")
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	count, done := &atomic.Int64{}, make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1<<16)
		for {
			n, err := file.Read(packet)
			if err != nil {
				return
			}
			if slices.Contains(addrs, target(packet[:n])) {
				count.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		_ = file.Close()
		<-done
	})
	return count
}

// target returns where an IP packet to port 53 goes.
func target(packet []byte) (to netip.Addr) {
	header, protocol := 40, byte(0)
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		header, protocol = int(packet[0]&15)*4, packet[9]
		to, _ = netip.AddrFromSlice(packet[16:20])
	case len(packet) >= 40 && packet[0]>>4 == 6:
		protocol = packet[6]
		to, _ = netip.AddrFromSlice(packet[24:40])
	}
	if protocol != unix.IPPROTO_UDP && protocol != unix.IPPROTO_TCP || len(packet) < header+4 || binary.BigEndian.Uint16(packet[header+2:]) != 53 {
		return netip.Addr{}
	}
	return to
}
