package fetch

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

// A host is a server in memory. It talks on one connection, which it closes when
// it returns, or does not even accept it.
type host func(conn net.Conn)

// hostAt is the address of one of the hosts.
func hostAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 53)
}

// connect gives a Keeper hosts for servers.
func connect(t testing.TB, k *Keeper, hosts ...host) {
	var talks sync.WaitGroup
	t.Cleanup(talks.Wait)
	for i := range hosts {
		k.Servers = append(k.Servers, hostAt(i))
	}
	k.dial = func(ctx context.Context, _ netip.Addr, server netip.AddrPort) (net.Conn, error) {
		h := hosts[server.Addr().As4()[3]-1]
		if h == nil {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		here, there := net.Pipe()
		talks.Go(func() {
			defer there.Close()
			h(there)
		})
		return here, nil
	}
}

// talking is a host that replies to each question with messages.
func talking(reply func(q *dns.Msg) []*dns.Msg) host {
	return func(conn net.Conn) { serve(&dns.Conn{Conn: conn}, reply) }
}

// slow is a host that sends what talking would, so many octets at a time (0: a
// message), with a pause before each.
func slow(pause time.Duration, octets int, reply func(q *dns.Msg) []*dns.Msg) host {
	return func(conn net.Conn) {
		for {
			q, err := (&dns.Conn{Conn: conn}).ReadMsg()
			if err != nil {
				return
			}
			for _, m := range reply(q) {
				packet, err := m.Pack()
				if err != nil {
					return
				}
				packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
				each := octets
				if each == 0 {
					each = len(packet)
				}
				for part := range slices.Chunk(packet, each) {
					time.Sleep(pause)
					if _, err := conn.Write(part); err != nil {
						return
					}
				}
			}
		}
	}
}

// mute is a host that hears everything and says nothing.
func mute(conn net.Conn) {
	for b := make([]byte, 512); ; {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

func TestKeeper_leavesAServerThatIsSlow(t *testing.T) {
	tests := []struct {
		name  string
		host  func(zone func(q *dns.Msg) []*dns.Msg) host
		after time.Duration
		fault string
	}{
		{"it does not accept", func(func(q *dns.Msg) []*dns.Msg) host { return nil }, idleTimeout, "no message within 10s"},
		{"it says nothing", func(func(q *dns.Msg) []*dns.Msg) host { return mute }, idleTimeout, "no message within 10s"},
		{"one octet after another", func(zone func(q *dns.Msg) []*dns.Msg) host { return slow(time.Second, 1, zone) },
			idleTimeout, "no message within 10s"},
		{"one record after another", func(zone func(q *dns.Msg) []*dns.Msg) host { return slow(idleTimeout-time.Second, 0, zone) },
			transferTimeout, "not done within 1m0s"},
		{"it stops in the middle", func(zone func(q *dns.Msg) []*dns.Msg) host {
			return func(conn net.Conn) {
				talking(func(q *dns.Msg) []*dns.Msg { return append(zone(q)[:3], nil) })(&deaf{conn})
			}
		}, idleTimeout, "no message within 10s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rrs, _ := mustSign(t, "7")
				k, c, told := mustKeep(t, Options{})
				connect(t, k, tt.host(transferred(rrs, 1)), talking(transferred(rrs, 5)))
				began := clock.Now()
				k.askServers(t.Context())
				if c.Zone() == nil || clock.Since(began) != tt.after {
					t.Errorf("zone %v after %v, want one after %v", c.Zone(), clock.Since(began), tt.after)
				}
				if !slices.Equal(told.faults, []string{tt.fault}) {
					t.Errorf("told %q, want %q", told.faults, tt.fault)
				}
			})
		})
	}
}

// deaf is a connection that is not closed by who serves it, but by the other end.
type deaf struct{ net.Conn }

func (d *deaf) Close() error {
	mute(d.Conn)
	return nil
}

func TestKeeper_takesASlowZoneThatComesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rrs, _ := mustSign(t, "7")
		k, c, told := mustKeep(t, Options{})
		connect(t, k, slow(transferTimeout/time.Duration(len(rrs)+2), 0, transferred(rrs, 1)))
		k.askServers(t.Context())
		if c.Zone() == nil || len(told.faults) > 0 {
			t.Errorf("zone %v, told %q", c.Zone(), told.faults)
		}
	})
}

func TestKeeper_waitsForNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "root.zone")
		rrs, _ := mustSign(t, "9")
		k, c, told := mustKeep(t, Options{File: file})
		stuck := slow(idleTimeout-time.Second, 0, transferred(rrs, 1))
		connect(t, k, stuck, stuck, stuck, stuck)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			k.Run(ctx)
		}()
		defer func() { cancel(); <-done }()
		const left = 25 * time.Second
		mustWrite(t, file, serialText(t, "1"), clock.Now().Add(left-7*24*time.Hour))
		time.Sleep(lookPause + time.Second)
		synctest.Wait()
		if z := c.Zone(); z == nil || z.Serial() != 1 {
			t.Fatalf("the file was not looked at: %v, %q", z, told.faults)
		}
		time.Sleep(left - lookPause - time.Second)
		synctest.Wait()
		if s := c.Stats(); s.Expired != 1 || told.expired != 1 {
			t.Errorf("at its end: %+v, told %d times", s, told.expired)
		}
		if slices.ContainsFunc(told.faults, func(f string) bool { return strings.Contains(f, "not done within") }) {
			t.Errorf("the first server was done before that: %q", told.faults)
		}
	})
}

func TestKeeper_tellsOnceOfAFaultThatGoesOn(t *testing.T) {
	k, c, told := mustKeep(t, Options{Servers: []netip.AddrPort{hostAt(0)}})
	port, reason := 40000, "connection refused"
	k.dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		port++
		return nil, fmt.Errorf("read tcp 192.0.2.9:%d->192.0.2.1:53: read: %s", port, reason)
	}
	for range 3 {
		k.askServers(t.Context())
	}
	if len(told.faults) != 1 || !strings.Contains(told.faults[0], ":40001->") || c.Stats().Failures != 3 {
		t.Errorf("told %q of %d, want the first of 3", told.faults, c.Stats().Failures)
	}
	reason = "connection reset by peer"
	for range 3 {
		k.askServers(t.Context())
	}
	if len(told.faults) != 2 || c.Stats().Failures != 6 {
		t.Errorf("of another cause: told %q of %d, want 2 of 6", told.faults, c.Stats().Failures)
	}
	rrs, _ := mustSign(t, "7")
	failing := k.dial
	connect(t, k, talking(transferred(rrs, 5)))
	k.Servers = k.Servers[:1]
	k.askServers(t.Context())
	k.dial = failing
	k.askServers(t.Context())
	if len(told.faults) != 3 {
		t.Errorf("of the same after it did better: told %q", told.faults)
	}
}

func TestKeeper_outlivesAPanic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.zone")
	mustWrite(t, file, serialText(t, "1"), clock.Now())
	rrs, _ := mustSign(t, "7")
	k, c, told := mustKeep(t, Options{File: file})
	connect(t, k, talking(transferred(rrs, 5)))
	k.Anchors = func() []*dns.DS { panic("of a parser") }
	k.ReadFile()
	k.askServers(t.Context())
	if want := []string{"panic: of a parser", "panic: of a parser"}; c.Zone() != nil || !slices.Equal(told.faults, want) {
		t.Errorf("zone %v, told %q", c.Zone(), told.faults)
	}
}

func TestKeeper_asksOnWhenAServerHasNoNewerZone(t *testing.T) {
	tests := []struct {
		name   string
		second string // the zone of the second server; "" = it fails
		want   uint32
		faults int
	}{
		{"the first stands still", "8", 8, 0},
		{"both have the same", "7", 7, 0},
		{"the second is behind", "6", 7, 0},
		{"the second fails", "", 7, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, _ := mustSign(t, "7")
			second := host(func(net.Conn) {})
			if tt.second != "" {
				rrs, _ := mustSign(t, tt.second)
				second = talking(transferred(rrs, 5))
			}
			k, c, told := mustKeep(t, Options{})
			connect(t, k, talking(transferred(first, 5)), second)
			k.askServers(t.Context())
			k.askServers(t.Context())
			if z := c.Zone(); z == nil || z.Serial() != tt.want || len(told.faults) != tt.faults {
				t.Errorf("zone %v, told %q; want %d and %d faults", z, told.faults, tt.want, tt.faults)
			}
			if left := clock.Until(k.askAt); left < 29*time.Minute {
				t.Errorf("asks again in %v, want 30 min", left)
			}
		})
	}
}

func TestKeeper_triesLessAndLessWhileThereIsNone(t *testing.T) {
	k, _, _ := mustKeep(t, Options{})
	connect(t, k, func(net.Conn) {})
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 16} {
		k.askServers(t.Context())
		if left := clock.Until(k.askAt).Round(time.Minute); left != want*time.Minute {
			t.Errorf("tries again in %v, want %d min", left, want)
		}
	}
}

func TestKeeper_triesAFileAgainThatWasThrownAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "root.zone")
		mustWrite(t, file, serialText(t, "1"), clock.Now())
		k, c, told := mustKeep(t, Options{File: file})
		k.ReadFile()
		c.Expire(clock.Now().Add(8 * 24 * time.Hour)) // as a wrong clock had it
		k.lost = true
		k.followFile(t.Context())
		if c.Zone() == nil {
			t.Errorf("not read again: %q", told.faults)
		}
	})
}

// A zone in messages that are small and records that are large.
func TestKeeper_boundsTheMemoryOfATransfer(t *testing.T) {
	rrs, _ := mustSign(t, "7")
	var sent atomic.Int64
	k, c, told := mustKeep(t, Options{})
	connect(t, k, func(conn net.Conn) {
		q, err := (&dns.Conn{Conn: conn}).ReadMsg()
		if err != nil {
			return
		}
		m := new(dns.Msg).SetReply(q)
		m.Answer = rrs[:1]
		packet, err := m.Pack()
		if err != nil {
			t.Error(err)
			return
		}
		const times = 15000
		pointer := binary.BigEndian.AppendUint16(nil, 0xc000|uint16(len(packet))) // to the owner that follows
		packet = append(packet, bytes.Repeat(append([]byte{62}, bytes.Repeat([]byte{0xff}, 62)...), 4)...)
		packet = append(packet, 0, 0, byte(dns.TypeHIP), 0, 1, 0, 0, 0, 1)
		packet = binary.BigEndian.AppendUint16(packet, 4+2*times)
		packet = append(packet, 0, 2, 0, 0)
		packet = append(packet, bytes.Repeat(pointer, times)...)
		packet[7] = 2 // records
		for {
			if _, err := (&dns.Conn{Conn: conn}).Write(packet); err != nil {
				return
			}
			sent.Add(int64(len(packet)))
		}
	})
	k.askServers(t.Context())
	if c.Zone() != nil || len(told.faults) != 1 || !strings.Contains(told.faults[0], "of memory") || sent.Load() > 1<<20 {
		t.Errorf("after %d octets told %q", sent.Load(), told.faults)
	}
}
