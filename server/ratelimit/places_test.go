package ratelimit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func mustPlaces(t testing.TB, o Options) *Places {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// query is one for a name.
func query(from string, stream bool, name string) Query {
	return Query{From: netip.MustParseAddr(from), Stream: stream, Name: []byte(name), Type: 1}
}

// takeAll takes places, each for a name of its own, until there is none, and
// returns how many there were.
func takeAll(p *Places, from string, stream bool) (n int) {
	for p.Take(query(from, stream, fmt.Sprint(n))) == Granted {
		n++
	}
	return n
}

func TestPlaces_Take(t *testing.T) {
	tests := []struct {
		name   string
		first  string // takes all it can get
		then   string
		stream bool // for both
		want   [2]int
	}{
		{"another IPv4 address has places of its own", "192.0.2.1", "192.0.2.2", false, [2]int{200, 200}},
		{"the same in IPv6 form has not", "192.0.2.1", "::ffff:192.0.2.1", false, [2]int{200, 0}},
		{"an address in the same /56 has not", "2001:db8:0:1::1", "2001:db8:0:ff::2", false, [2]int{200, 0}},
		{"another /56 has", "2001:db8:0:1::1", "2001:db8:0:100::1", false, [2]int{200, 200}},
		{"streams have more", "192.0.2.1", "2001:db8::1", true, [2]int{1000, 1000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPlaces(t, Options{})
			if got := [2]int{takeAll(p, tt.first, tt.stream), takeAll(p, tt.then, tt.stream)}; got != tt.want {
				t.Errorf("got %v places, want %v", got, tt.want)
			}
		})
	}
}

func TestPlaces_Take_streamsApart(t *testing.T) {
	p := mustPlaces(t, Options{UDP: 2, Stream: 3})
	if udp, stream := takeAll(p, "192.0.2.1", false), takeAll(p, "192.0.2.1", true); udp != 2 || stream != 3 {
		t.Errorf("%d and %d places, want 2 and 3", udp, stream)
	}
}

func TestPlaces_Take_boundsOneQuestion(t *testing.T) {
	first := query("192.0.2.1", false, "\x03www\x07example\x00")
	tests := []struct {
		name   string
		change func(q *Query)
		want   Verdict
	}{
		{"once more", func(*Query) {}, Repeated},
		{"in another letter case", func(q *Query) { q.Name = []byte("\x03wWw\x07EXAMPLE\x00") }, Repeated},
		{"on a stream", func(q *Query) { q.Stream = true }, Repeated},
		{"of another type", func(q *Query) { q.Type = 28 }, Granted},
		{"of another name", func(q *Query) { q.Name = []byte("\x03ww2\x07example\x00") }, Granted},
		{"by another client", func(q *Query) { q.From = netip.MustParseAddr("192.0.2.2") }, Granted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPlaces(t, Options{UDP: 101, Stream: 1})
			for i := range 100 {
				if got := p.Take(first); got != Granted {
					t.Fatalf("place %d: %v", i, got)
				}
			}
			q := first
			tt.change(&q)
			got := p.Take(q)
			if got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if got == Granted {
				return
			}
			// What was refused has taken nothing of the client's.
			if n := takeAll(p, "192.0.2.1", q.Stream); n != 1 {
				t.Errorf("then %d places are left, want 1", n)
			}
			p.Give(first)
			q.Stream = false
			if got := p.Take(q); got != Granted {
				t.Errorf("with one given back: %v", got)
			}
		})
	}
}

func TestPlaces_Crowded(t *testing.T) {
	tests := []struct {
		name   string
		waits  string // has 51 queries waiting
		from   string
		stream bool
		want   bool
	}{
		{"the client itself", "192.0.2.1", "192.0.2.1", false, true},
		{"an address of its /24", "192.0.2.1", "192.0.2.255", false, true},
		{"an address beyond", "192.0.2.1", "192.0.3.1", false, false},
		{"an address of its /48", "2001:db8::1", "2001:db8:0:ffff::1", false, true},
		{"an IPv6 address beyond", "2001:db8::1", "2001:db8:1::1", false, false},
		{"streams are not counted", "192.0.2.1", "192.0.2.1", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPlaces(t, Options{})
			for range 51 {
				p.Take(query(tt.waits, tt.stream, "a"))
			}
			if got := p.Crowded(netip.MustParseAddr(tt.from)); got != tt.want {
				t.Errorf("Crowded = %t", got)
			}
			p.Give(query(tt.waits, tt.stream, "a"))
			if p.Crowded(netip.MustParseAddr(tt.from)) {
				t.Error("Crowded with 50 waiting")
			}
		})
	}
}

func TestPlaces_areExactAfterAFlood(t *testing.T) {
	p := mustPlaces(t, Options{})
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 20_000 {
				from := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(c<<24|i))))
				q := Query{From: from, Name: []byte{byte(i)}}
				if p.Take(q) != Granted {
					t.Errorf("%v was refused beside 8 others", from)
				}
				p.Give(q)
			}
		})
	}
	clients.Wait()
	for _, all := range []*counters{&p.udp, &p.stream, &p.questions, &p.networks} {
		for i := range rowLen {
			if all[0][i].Load() != 0 || all[1][i].Load() != 0 {
				t.Fatal("a counter does not go back to 0")
			}
		}
	}
}

func TestPlaces_neverGiveMoreThanTheLimit(t *testing.T) {
	p := mustPlaces(t, Options{UDP: 50})
	var clients sync.WaitGroup
	got := make(chan bool, 1000)
	for range 10 {
		clients.Go(func() {
			for range 100 {
				got <- p.Take(query("192.0.2.1", false, "a")) == Granted
			}
		})
	}
	clients.Wait()
	close(got)
	taken := 0
	for ok := range got {
		if ok {
			taken++
		}
	}
	if taken > 50 || taken <= 40 { // as many as clients may be refused because they come at once
		t.Errorf("%d places taken, want 50", taken)
	}
}

func TestPlaces_allocateNothing(t *testing.T) {
	p := mustPlaces(t, Options{})
	q := query("2001:db8::1", false, strings.Repeat("X", 255))
	allocs := testing.AllocsPerRun(100, func() {
		if p.Take(q) == Granted && !p.Crowded(q.From) {
			p.Give(q)
		}
	})
	if size := unsafe.Sizeof(*p); allocs != 0 || size > 513<<10 {
		t.Errorf("%v allocations, %d octets", allocs, size)
	}
}

func TestNew_namesTheField(t *testing.T) {
	for name, o := range map[string]Options{"UDP": {UDP: -1}, "Stream": {Stream: 1<<20 + 1}, "Question": {Question: -1}, "Kept": {Kept: -1}} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "ratelimit: "+name+": ") {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
}

func BenchmarkPlaces(b *testing.B) {
	p := mustPlaces(b, Options{})
	q := query("192.0.2.1", false, "\x03WWW\x0Ainvestment\x07example\x03com\x00")
	b.ReportAllocs()
	for b.Loop() {
		p.Take(q)
		p.Give(q)
	}
}
