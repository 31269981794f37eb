//go:build linux

package internet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxima/test/netns"
)

// A distance is a cable between two hosts by way of a third, on which this
// process carries the frames: at once in one direction, in the other after the
// round trip to the host that sent them. The third host has no addresses.
type distance struct {
	near, far *os.File
	rtts      map[netip.Addr]time.Duration
	sent      atomic.Int64 // packets to port 53, UDP and TCP
	done      sync.WaitGroup
}

const (
	// offloadHeader is what comes before a frame and says which checksums the
	// kernel has left to the device (PACKET_VNET_HDR); sent back as it came.
	offloadHeader = 10
	etherHeader   = 14
	// maxFrame is the largest frame with its headers: a segment not yet cut.
	maxFrame = offloadHeader + etherHeader + 1<<16
	// frameBuffer holds what comes while this process is not running.
	frameBuffer = 32 << 20
)

// newDistance carries frames between the links near and far of a host.
func newDistance(h *netns.Host, near, far string, rtts map[netip.Addr]time.Duration) (*distance, error) {
	d := &distance{rtts: rtts}
	err := h.Do(func() (err error) {
		if d.near, err = openLink(near); err != nil {
			return err
		}
		d.far, err = openLink(far)
		return err
	})
	if err != nil {
		d.close()
		return nil, err
	}
	d.done.Go(func() {
		carry(d.near, func(frame []byte) {
			if toServer(packetOf(frame)) {
				d.sent.Add(1)
			}
			_, _ = d.far.Write(frame) // a frame is lost, as on any cable
		})
	})
	d.done.Go(func() {
		carry(d.far, func(frame []byte) {
			rtt := d.rtts[sourceOf(packetOf(frame))]
			if rtt == 0 {
				_, _ = d.near.Write(frame)
				return
			}
			later := append([]byte(nil), frame...)
			d.done.Add(1)
			time.AfterFunc(rtt, func() {
				defer d.done.Done()
				_, _ = d.near.Write(later)
			})
		})
	})
	return d, nil
}

// openLink opens a link for whole frames in and out.
func openLink(name string) (*os.File, error) {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	index, err := linkIndex(fd, name)
	err = errors.Join(err,
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, frameBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, frameBuffer),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// linkIndex returns the number of a link in the namespace of a socket.
func linkIndex(fd int, name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	return int(request.Uint32()), err
}

// carry hands over each frame with its offload header until the link is closed.
// The frame is valid until hand returns.
func carry(from *os.File, hand func(frame []byte)) {
	frame := make([]byte, maxFrame)
	for {
		n, err := from.Read(frame)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err == nil && n > offloadHeader+etherHeader {
			hand(frame[:n])
		}
	}
}

// close ends the cable and waits for the frames on it.
func (d *distance) close() {
	for _, link := range []*os.File{d.near, d.far} {
		if link != nil {
			_ = link.Close()
		}
	}
	d.done.Wait()
}

// packetOf returns the IP packet in a frame, nil if there is another.
func packetOf(frame []byte) []byte {
	packet := frame[offloadHeader+etherHeader:]
	switch t := binary.BigEndian.Uint16(frame[offloadHeader+etherHeader-2:]); {
	case t == unix.ETH_P_IP && len(packet) >= 20, t == unix.ETH_P_IPV6 && len(packet) >= 40:
		return packet
	}
	return nil
}

// sourceOf returns where a packet comes from.
func sourceOf(packet []byte) netip.Addr {
	if packet == nil {
		return netip.Addr{}
	}
	from := packet[8:24]
	if packet[0]>>4 == 4 {
		from = packet[12:16]
	}
	a, _ := netip.AddrFromSlice(from)
	return a
}

// toServer reports whether a packet goes to port 53.
func toServer(packet []byte) bool {
	if packet == nil {
		return false
	}
	header, protocol := 40, packet[6]
	if packet[0]>>4 == 4 {
		header, protocol = int(packet[0]&15)*4, packet[9]
	}
	return (protocol == unix.IPPROTO_UDP || protocol == unix.IPPROTO_TCP) &&
		len(packet) >= header+4 && binary.BigEndian.Uint16(packet[header+2:]) == 53
}
