package dnssec

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

func BenchmarkVerifyRRset(b *testing.B) {
	for _, a := range []struct {
		number uint8
		bits   int
	}{{dns.RSASHA256, 2048}, {dns.RSASHA256, 4096}, {dns.ECDSAP256SHA256, 256}, {dns.ECDSAP384SHA384, 384}, {dns.ED25519, 256}, {dns.ED448, 0}} {
		s := mustSigner(b, "example.", a.number, a.bits)
		k := mustTrust(b, s)
		set := s.set(b, mustRecords(b, "www.example. 300 IN A 192.0.2.1", "www.example. 300 IN A 192.0.2.2"), nil)
		b.Run(fmt.Sprintf("%s-%d", dns.AlgorithmToString[a.number], a.bits), func(b *testing.B) {
			for b.Loop() {
				if err := verify(set, k, NewWork(Rules{})); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkForm is what it costs to judge a set before anything is computed.
func BenchmarkForm(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		s := mustSigner(b, "example.", dns.ED25519, 256)
		set := s.set(b, manyRecords(b, n), nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := formOf(set.RRs)
				if err != nil {
					b.Fatal(err)
				}
				f.signed(set.Sigs[0], f.owner, f.owner)
			}
		})
	}
}

// BenchmarkKeyTrap is a whole query against a zone made to cost as much as can
// be: as many sets as are asked for, each jammed, until the Work is gone.
func BenchmarkKeyTrap(b *testing.B) {
	keys := colliding(b, maxKeys-1)
	k, _ := trapped(b, keys)
	set := jammed(b, "www.trap.example.", keys[0], 50)
	for b.Loop() {
		w := NewWork(Rules{})
		for range 100 {
			if verify(set, k, w) == nil {
				b.Fatal("verified")
			}
		}
	}
}

func BenchmarkSets(b *testing.B) {
	rrs := manyRecords(b, 16)
	b.ReportAllocs()
	for b.Loop() {
		Sets(rrs)
	}
}
