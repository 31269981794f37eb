package iterate

import (
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
)

func TestWalker_remembersServersWithoutEDNS(t *testing.T) {
	// The server refuses a first question, then is asked another.
	tests := []struct {
		name   string
		refuse func(q *dns.Msg) bool
		bare   bool   // with a header and nothing else
		plain  uint64 // questions without EDNS
	}{
		{"one that knows no EDNS is asked without from then on", func(q *dns.Msg) bool { return q.IsEdns0() != nil }, false, 2},
		{"so is one that says so by a bare header", func(q *dns.Msg) bool { return q.IsEdns0() != nil }, true, 2},
		{"one that does not know a type is not", func(q *dns.Msg) bool { return q.Question[0].Qtype == 1000 }, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.Spoof(oneAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
					if tt.refuse(q) {
						honest.Rcode, honest.Answer, honest.Ns, honest.Extra = dns.RcodeNotImplemented, nil, nil, nil
						if tt.bare {
							honest.Question = nil
						}
					}
					return honest
				})
				w := mustWalker(t, n, func(o *Options) { o.IPv4, o.Minimize = true, Off })
				w.Lookup(t.Context(), dns.Question{Name: "www.one.example.", Qtype: 1000, Qclass: dns.ClassINET}, NewBudget())
				mustAsk(t, w, "www.one.example. A")
				if got := w.Stats().Plain; got != tt.plain {
					t.Errorf("%d questions without EDNS, want %d", got, tt.plain)
				}
			})
		})
	}
}
