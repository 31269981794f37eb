//go:build linux

package node

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"proxima/test/netns"
)

// tapQueue is the room for packets that wait to be read, in octets: more than
// any test here sends. Where it is not granted, mustSeen tells of what was lost.
const tapQueue = 32 << 20

// A tap looks at every packet that passes a host, on all of its links.
type tap struct {
	file *os.File
	done chan struct{}

	mu   sync.Mutex // guards seen
	seen seen
}

// seen is what a tap counts. Packets pass a router twice.
type seen struct {
	anycastAsks []string       // packets from a service address to port 53, up to maxListed
	unicastAsks map[string]int // packets from other addresses than these to port 53 of others, by source
	largest     int            // octets of the largest UDP reply from a service address
	fragments   int            // of service addresses
	segments    map[uint16]int // SYN-ACKs from service addresses, by maximum segment size
}

// maxListed bounds what a failed test prints.
const maxListed = 10

// mustTap begins to look.
func mustTap(t *testing.T, h *netns.Host) *tap {
	t.Helper()
	p := &tap{done: make(chan struct{}), seen: seen{unicastAsks: map[string]int{}, segments: map[uint16]int{}}}
	err := h.Do(func() error {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		p.file = os.NewFile(uintptr(fd), "tap")
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapQueue) == nil {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, tapQueue) // what the system allows
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		buf := make([]byte, 1<<16)
		for {
			n, err := p.file.Read(buf)
			if err != nil {
				return
			}
			p.note(buf[:n])
		}
	}()
	t.Cleanup(p.close)
	return p
}

func (p *tap) close() {
	_ = p.file.Close()
	<-p.done
}

// mustSeen returns what was seen so far. It fails the test if the kernel had no
// room for some packet: then the counts prove nothing.
func (p *tap) mustSeen(t *testing.T) seen {
	t.Helper()
	raw, err := p.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var stats *unix.TpacketStats
	if e := raw.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); e != nil {
		t.Fatal(e)
	}
	if err != nil || stats.Drops > 0 {
		t.Fatalf("tap: %v, statistics %+v; want no drops", err, stats)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen
	s.anycastAsks, s.unicastAsks, s.segments = slices.Clone(s.anycastAsks), maps.Clone(s.unicastAsks), maps.Clone(s.segments)
	return s
}

// note counts one packet, which begins with its IP header.
func (p *tap) note(packet []byte) {
	src, dst, protocol, payload, fragment := parseIP(packet)
	fromService := slices.Contains(service, src)
	p.mu.Lock()
	defer p.mu.Unlock()
	if fragment && fromService {
		p.seen.fragments++
	}
	if fragment || len(payload) < 8 || protocol != unix.IPPROTO_UDP && protocol != unix.IPPROTO_TCP {
		return
	}
	from, to := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	switch {
	case to == 53 && fromService:
		if len(p.seen.anycastAsks) < maxListed {
			p.seen.anycastAsks = append(p.seen.anycastAsks, fmt.Sprintf("%s to %s, protocol %d", src, dst, protocol))
		}
	case to == 53 && !slices.Contains(service, dst):
		p.seen.unicastAsks[src.String()]++
	case from == 53 && fromService && protocol == unix.IPPROTO_UDP:
		p.seen.largest = max(p.seen.largest, len(payload)-8)
	case from == 53 && fromService:
		if mss, ok := synAck(payload); ok {
			p.seen.segments[mss]++
		}
	}
}

// parseIP reads the header of a packet. A fragment has no payload worth reading.
func parseIP(packet []byte) (src, dst netip.Addr, protocol byte, payload []byte, fragment bool) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		src, _ = netip.AddrFromSlice(packet[12:16])
		dst, _ = netip.AddrFromSlice(packet[16:20])
		fragment = binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 // more fragments, or an offset
		if header := int(packet[0]&15) * 4; header <= len(packet) {
			payload = packet[header:]
		}
		return src, dst, packet[9], payload, fragment
	case len(packet) >= 40 && packet[0]>>4 == 6:
		src, _ = netip.AddrFromSlice(packet[8:24])
		dst, _ = netip.AddrFromSlice(packet[24:40])
		return src, dst, packet[6], packet[40:], packet[6] == unix.IPPROTO_FRAGMENT
	}
	return src, dst, 0, nil, false
}

// synAck returns the maximum segment size of a SYN-ACK, 0 if it names none.
func synAck(segment []byte) (mss uint16, ok bool) {
	const syn, ack = 1 << 1, 1 << 4
	if len(segment) < 20 || segment[13]&(syn|ack) != syn|ack {
		return 0, false
	}
	options := segment[20:min(len(segment), int(segment[12]>>4)*4)]
	for len(options) > 0 {
		switch {
		case options[0] == 0: // end of options
			return 0, true
		case options[0] == 1: // no operation
			options = options[1:]
		case len(options) < 2 || options[1] < 2 || int(options[1]) > len(options):
			return 0, true
		case options[0] == 2 && options[1] == 4:
			return binary.BigEndian.Uint16(options[2:]), true
		default:
			options = options[options[1]:]
		}
	}
	return 0, true
}
