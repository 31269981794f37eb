package cache

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/wire"
)

func BenchmarkCache_Get(b *testing.B) {
	c := mustCache(b, 64<<20)
	names := make([][]byte, 20_000)
	for i := range names {
		a := numbered(b, i, 20, learned)
		names[i] = bytes.Clone(a.Name()) // of its own, as a query's is
		c.Put(a)
	}
	for _, n := range []int{1, len(names)} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Get(names[i*7919%n], dns.TypeTXT, dns.ClassINET)
			}
		})
	}
}

func BenchmarkCache_Put(b *testing.B) {
	c := mustCache(b, 4<<20)
	answers := make([]*Answer, 50_000) // more than fit
	for i := range answers {
		answers[i] = numbered(b, i, 100, learned)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Put(answers[i*7919%len(answers)])
	}
}

func BenchmarkNewAnswer(b *testing.B) {
	for _, records := range []string{
		"www.example. 60 IN A 192.0.2.1",
		"www.example. 60 IN A 192.0.2.1\nwww.example. 60 IN RRSIG A " + signature,
	} {
		msg := mustMessage(b, "www.example.", dns.TypeA, 0, records)
		b.Run(fmt.Sprintf("octets=%d", len(msg)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustAnswer(b, msg, Meta{})
			}
		})
	}
}

func BenchmarkAnswer_AppendReply(b *testing.B) {
	a := mustAnswer(b, mustMessage(b, "www.example.", dns.TypeA, 0,
		"www.example. 60 IN A 192.0.2.1\nwww.example. 60 IN A 192.0.2.2\nwww.example. 60 IN RRSIG A "+signature), Meta{})
	dst := make([]byte, 0, wire.PayloadSize)
	at := learned.Add(time.Second)
	for name, edit := range map[string]func(*dns.Msg){"do=0": withEDNS, "do=1": withDO} {
		q := mustQuery(b, "www.example.", dns.TypeA, edit)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.AppendReply(dst, q, at)
			}
		})
	}
}

// BenchmarkHit is the whole way of a cached query: parse, find, compose, cut.
func BenchmarkHit(b *testing.B) {
	c := mustCache(b, 64<<20)
	packets := make([][]byte, 20_000)
	for i := range packets {
		a := numbered(b, i, 20, learned)
		c.Put(a)
		packets[i] = mustQuery(b, fmt.Sprintf("N%d.Example.", i), dns.TypeTXT, withEDNS).Packet
	}
	dst := make([]byte, 0, wire.PayloadSize)
	at := learned.Add(time.Second)
	var q wire.Query
	for _, n := range []int{1, len(packets)} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if wire.ParseQuery(&q, packets[i*7919%n]) != wire.OK {
					b.Fatal("malformed")
				}
				reply := c.Get(q.Name, q.Type, q.Class).AppendReply(dst, &q, at)
				wire.Truncate(reply, 0, &q, wire.PayloadSize)
			}
		})
	}
}
