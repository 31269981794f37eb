package server

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"proxima/wire"
)

// mutate changes a few octets of packet, or its length.
func mutate(r *rand.Rand, packet []byte) []byte {
	packet = append([]byte(nil), packet...)
	for range 1 + r.IntN(4) {
		switch r.IntN(8) {
		case 0:
			packet = packet[:r.IntN(len(packet)+1)]
		case 1:
			packet = append(packet, packet...)
		case 2:
			packet = append(packet, byte(r.Uint32()))
		default:
			if len(packet) > 0 {
				packet[r.IntN(len(packet))] = byte(r.Uint32())
			}
		}
	}
	return packet
}

// heap returns the octets in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func TestServe_garbage(t *testing.T) {
	const packets = 10000
	const growth = 16 << 20 // octets
	seeds := [][]byte{
		query(1, "now.example."), query(2, "later.example."),
		edns(query(3, "now.example."), 1232, wire.OptionNSID, wire.OptionKeepalive),
		edns(query(4, "later.example."), 512, make([]uint16, 20)...),
	}
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			s := serve(t, Options{NSID: "ams1", MaxConnsPerClient: packets}, both) // closed ones count until they are noticed
			before := heap()
			var c net.Conn
			for n := range packets {
				if c == nil || network == "tcp" && n%20 == 0 {
					c = redial(t, c, network, s.Addrs()[0])
				}
				packet := mutate(r, seeds[n%len(seeds)])
				if network == "tcp" && r.IntN(4) == 0 {
					packet = mutate(r, framed(c, packet)) // prefix and all
				} else {
					packet = framed(c, packet)
				}
				if _, err := c.Write(packet); err != nil {
					c = redial(t, c, network, s.Addrs()[0])
				}
				if network == "udp" && n%500 == 0 { // not to outrun the reader
					wantStats(t, s, "all read", func(s Stats) bool { return s.UDP.Queries == uint64(n)+1 })
				}
			}
			c.Close()
			c = redial(t, nil, network, s.Addrs()[0])
			defer c.Close()
			if got := ask(t, c, query(9, "now.example.")); got.id != 9 {
				t.Errorf("afterwards got %+v, want reply 9", got)
			}
			wantStats(t, s, "nothing held", func(s Stats) bool { return s.Inflight == 0 && s.Conns <= 1 })
			if after := heap(); after > before+growth {
				t.Errorf("the heap grew from %d to %d octets", before, after)
			}
			sum := s.Stats()
			traffic := sum.UDP
			if network == "tcp" {
				traffic = sum.TCP
			}
			if traffic.Garbage == 0 || traffic.FormErr == 0 || traffic.NotImp == 0 || sum.Panics != 0 {
				t.Errorf("Stats = %+v, want garbage of each kind and no panic", sum)
			}
		})
	}
}

// redial closes c, if there is one, and connects anew.
func redial(t *testing.T, c net.Conn, network string, to netip.AddrPort) net.Conn {
	t.Helper()
	if c != nil {
		c.Close()
	}
	c, err := net.DialTimeout(network, to.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestServe_countsInHeadersReserveNothing(t *testing.T) {
	// CVE-2026-82399: 65,535 records of each section announced, none there.
	packet := make([]byte, 65533)
	for i := 4; i < wire.HeaderLen; i += 2 {
		binary.BigEndian.PutUint16(packet[i:], 0xFFFF)
	}
	s := serve(t, Options{}, known)
	c := dial(t, "tcp", netip.Addr{}, s.Addrs()[0])
	before := heap()
	for range 1000 {
		if got := ask(t, c, packet); got.rcode != wire.RcodeFormErr {
			t.Fatalf("got %+v, want FORMERR", got)
		}
	}
	if after := heap(); after > before+(4<<20) {
		t.Errorf("the heap grew from %d to %d octets", before, after)
	}
}
