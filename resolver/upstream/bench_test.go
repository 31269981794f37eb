package upstream

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serveEcho answers every question, in this process, with the question.
func serveEcho(tb testing.TB) netip.AddrPort {
	tb.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			buf[2] |= flagQR
			_, _ = server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	return server.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestExchange_allocatesLittle(t *testing.T) {
	const most = 28 // 21, and what pools lose under the race detector
	to, c, q, ctx := serveEcho(t), mustClient(t, Options{}), question(), within(t, patience)
	got := testing.AllocsPerRun(200, func() {
		if _, err := c.Exchange(ctx, to, q, false); err != nil {
			t.Error(err)
		}
	})
	if got > most {
		t.Errorf("%v allocations an exchange, want at most %d", got, most)
	}
}

// BenchmarkClient_Exchange asks a server in the same process, from many
// goroutines. What counts is the time of the processors.
func BenchmarkClient_Exchange(b *testing.B) {
	to := serveEcho(b)
	c := mustClient(b, Options{})
	q := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	q.SetEdns0(1232, true)
	b.ReportAllocs()
	b.SetParallelism(32)
	before := processors()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if _, err := c.Exchange(ctx, to, q, false); err != nil {
				b.Error(err)
			}
			cancel()
		}
	})
	b.ReportMetric(float64(processors()-before)/float64(b.N), "cpu-ns/op")
}

// processors returns the processor time that this process has taken.
func processors() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
