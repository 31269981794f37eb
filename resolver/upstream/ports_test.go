package upstream

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"proxima/resolver/upstream/ports"
)

// A draw is what a forger of one reply would have to guess.
type draw struct{ port, id uint16 }

// recordDraws asks n questions, many at once, of a server that lets some wait, and
// returns the draws in the order in which they came. It is an error if two
// questions under way share a port.
func recordDraws(t *testing.T, n int, sources []netip.Addr) []draw {
	t.Helper()
	const under = 16 // way
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	var draws []draw
	var server sync.WaitGroup
	server.Go(func() {
		waiting := map[netip.AddrPort][]byte{}
		for {
			buf := make([]byte, 512)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			switch {
			case err == nil && waiting[from] != nil:
				t.Errorf("two questions under way share port %d", from.Port())
			case err == nil:
				waiting[from] = buf[:size]
				draws = append(draws, draw{from.Port(), binary.BigEndian.Uint16(buf)})
			case !isTimeout(err):
				return
			}
			for from, q := range waiting { // any one, or all if no more come
				if err == nil && len(waiting) < under {
					break
				}
				delete(waiting, from)
				_, _ = conn.WriteToUDPAddrPort(truth(q), from)
			}
		}
	})
	c := mustClient(t, Options{Sources: sources})
	var clients sync.WaitGroup
	for range 2 * under {
		clients.Go(func() {
			for range n / (2 * under) {
				if _, err := c.Exchange(within(t, patience), to, question(), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	conn.Close()
	server.Wait()
	return draws
}

// oddity returns what is not random about numbers that should be drawn evenly
// from low to high.
func oddity(numbers []uint16, low, high int) error {
	const buckets = 64
	n := float64(len(numbers))
	expected := make([]float64, buckets)
	bucket := func(v int) int { return (v - low) * buckets / (high - low + 1) }
	for v := low; v <= high; v++ {
		expected[bucket(v)] += n / float64(high-low+1)
	}
	seen := make([]float64, buckets)
	different := map[uint16]bool{}
	for _, v := range numbers {
		if int(v) < low || int(v) > high {
			return fmt.Errorf("%d is not within %d and %d", v, low, high)
		}
		seen[bucket(int(v))]++
		different[v] = true
	}
	if got := float64(len(different)); got < 0.6*n {
		return fmt.Errorf("%.0f different ones among %.0f, want 60 %%", got, n)
	}
	var chi float64
	for i := range buckets {
		chi += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i]
	}
	// 103.4 is exceeded by chance once in a thousand times, with 63 degrees of freedom.
	if chi > 103.4 {
		return fmt.Errorf("chi-square of %d buckets is %.1f, want at most 103.4", buckets, chi)
	}
	if r, limit := correlation(numbers), 0.02*math.Sqrt(20_000/n); math.Abs(r) >= limit {
		return fmt.Errorf("correlation of neighbours is %.4f, want below %.4f", r, limit)
	}
	return nil
}

// correlation is Pearson's, of each number with the next.
func correlation(numbers []uint16) float64 {
	var mean, same, next float64
	for _, v := range numbers {
		mean += float64(v) / float64(len(numbers))
	}
	for i, v := range numbers {
		d := float64(v) - mean
		same += d * d
		if i > 0 {
			next += d * (float64(numbers[i-1]) - mean)
		}
	}
	return next / same
}

func TestExchange_drawsPortsAndIDs(t *testing.T) {
	const questions = 19_968 // 624 from each of 32 clients
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip(err)
	}
	if err := ports.Check(); err != nil {
		t.Skip(err)
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		t.Fatal(err)
	}
	judge := func(sources []netip.Addr) (odd error) {
		var drawn, ids []uint16
		for _, d := range recordDraws(t, questions, sources) {
			drawn, ids = append(drawn, d.port), append(ids, d.id)
		}
		if len(drawn) != questions {
			t.Fatalf("the server heard %d questions, want %d", len(drawn), questions)
		}
		if err := oddity(drawn, low, high); err != nil {
			return fmt.Errorf("ports: %w", err)
		}
		if err := oddity(ids, 0, math.MaxUint16); err != nil {
			return fmt.Errorf("IDs: %w", err)
		}
		return nil
	}
	for _, sources := range [][]netip.Addr{nil, {netip.MustParseAddr("127.0.0.2")}} {
		// What is random looks odd once in some eighty times, but hardly twice.
		if first := judge(sources); first != nil {
			if second := judge(sources); second != nil {
				t.Errorf("from %v: %v; once more: %v", sources, first, second)
			}
		}
	}
}

func TestOddity(t *testing.T) {
	tests := []struct {
		name string
		draw func(i int) int
	}{
		{"a counter", func(i int) int { return i % 65_536 }},
		{"one of two hundred", func(i int) int { return i * 7919 % 200 * 300 }},
		{"half of the range", func(i int) int { return i * 7919 % 32_768 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var numbers []uint16
			for i := range 20_000 {
				numbers = append(numbers, uint16(tt.draw(i)))
			}
			if oddity(numbers, 0, math.MaxUint16) == nil {
				t.Error("looks random")
			}
		})
	}
}
