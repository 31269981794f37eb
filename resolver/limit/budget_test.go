package limit

import (
	"fmt"
	"testing"

	"proxima/resolver/reply"
)

func TestBudget_runsOut(t *testing.T) {
	tests := []struct {
		name  string
		spend func(b *Budget, i int) bool // reports whether it could
		times int
	}{
		{"100 exchanges for several names", func(b *Budget, i int) bool { _, ok := b.Exchange(fmt.Sprint(i % 3)); return ok }, maxExchanges},
		{"50 exchanges for one name", func(b *Budget, _ int) bool { _, ok := b.Exchange("one"); return ok }, maxExchangesPerName},
		{"128 KiB in replies of 4 KiB", func(b *Budget, i int) bool {
			_, ok := b.Exchange(fmt.Sprint(i))
			b.Receive(4 << 10)
			return ok
		}, 32},
		{"11 aliases", func(b *Budget, _ int) bool { return b.Alias(1) }, reply.MaxAliases},
		{"10 lookups of servers", func(b *Budget, _ int) bool { return b.Lookup() }, MaxLookups},
		{"5 of them empty", func(b *Budget, _ int) bool {
			ok := b.Lookup()
			b.FoundNothing()
			return ok
		}, MaxEmptyLookups},
		{"10 faults in a row at one zone", func(b *Budget, _ int) bool {
			ok := !b.Dead("one.example.")
			b.Fault("one.example.")
			b.Fault("two.example.")
			b.Forgive("two.example.")
			return ok && !b.Dead("two.example.")
		}, MaxFaults},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, times := NewBudget(), 0
			for tt.spend(b, times) {
				times++
			}
			if times != tt.times {
				t.Errorf("lasted for %d, want %d", times, tt.times)
			}
		})
	}
}

func TestBudget_MayBreak(t *testing.T) {
	b := NewBudget()
	for i := range maxBreaks {
		if !b.MayBreak() {
			t.Fatalf("no connection may be tried after %d came to nothing", i)
		}
		b.Broke()
	}
	if b.MayBreak() {
		t.Errorf("another may be tried after %d came to nothing", maxBreaks)
	}
}
