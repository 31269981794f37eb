package iterate

import (
	"fmt"
	"strings"
	"testing"

	"proxima/resolver/reply"

	"github.com/miekg/dns"
)

func TestBudget_runsOut(t *testing.T) {
	tests := []struct {
		name  string
		spend func(b *Budget, i int) bool // reports whether it could
		times int
	}{
		{"100 exchanges for several names", func(b *Budget, i int) bool { _, ok := b.exchange(fmt.Sprint(i % 3)); return ok }, maxExchanges},
		{"50 exchanges for one name", func(b *Budget, _ int) bool { _, ok := b.exchange("one"); return ok }, maxExchangesPerName},
		{"128 KiB in replies of 4 KiB", func(b *Budget, i int) bool {
			_, ok := b.exchange(fmt.Sprint(i))
			b.receive(4 << 10)
			return ok
		}, 32},
		{"11 aliases", func(b *Budget, _ int) bool { return b.alias(1) }, reply.MaxAliases},
		{"10 lookups of servers", func(b *Budget, _ int) bool { return b.lookup() }, maxLookups},
		{"5 of them empty", func(b *Budget, _ int) bool {
			ok := b.lookup()
			b.foundNothing()
			return ok
		}, maxEmptyLookups},
		{"10 faults in a row at one zone", func(b *Budget, _ int) bool {
			ok := !b.dead("one.example.")
			b.fault("one.example.")
			b.fault("two.example.")
			b.forgive("two.example.")
			return ok && !b.dead("two.example.")
		}, maxFaults},
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

func TestMinimizer_question(t *testing.T) {
	tests := []struct {
		name string
		full string
		want string // the labels of each question, if every name exists in one zone
	}{
		{"the root", ".", "0"},
		{"one label is the full name", "example.", "1"},
		{"a label at a time", "a.b.example.", "1 2 3"},
		{"four labels singly, the rest in six steps", strings.Repeat("a.", 28), "1 2 3 4 8 12 16 20 24 28"},
		{"the longest name", strings.Repeat("a.", 127), "1 2 3 4 25 46 67 87 107 127"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := minimizer{q: dns.Question{Name: tt.full, Qtype: dns.TypeMX, Qclass: dns.ClassINET}}
			var got []string
			for at := "."; ; {
				q := m.question(at)
				got = append(got, fmt.Sprint(dns.CountLabel(q.Name)))
				if q == m.q {
					break
				}
				if q.Qtype != dns.TypeA {
					t.Errorf("type of %s is %d, want A", q.Name, q.Qtype)
				}
				at = q.Name
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
