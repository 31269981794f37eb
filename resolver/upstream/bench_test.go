package upstream

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BenchmarkClient_Exchange asks a server in the same process, from many
// goroutines. What counts is the time of the processors.
func BenchmarkClient_Exchange(b *testing.B) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
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
	c := mustClient(b, Options{})
	q := new(dns.Msg).SetQuestion("www.example.", dns.TypeA)
	q.SetEdns0(1232, true)
	to := server.LocalAddr().(*net.UDPAddr).AddrPort()
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
