package iterate

import (
	"strings"
	"testing"
	"testing/synctest"

	"proxima/clock"
	"proxima/resolver/record"
	"proxima/test/sim"
)

// mustExplain asks and returns what is told of it.
func mustExplain(t testing.TB, w *Walker, question string) string {
	t.Helper()
	q := mustQuestion(t, question)
	note := record.Begin(q.Name, "A", clock.Now)
	_, _ = w.Explain(t.Context(), q, NewBudget(), note, false)
	var b strings.Builder
	if err := note.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWalker_Explain(t *testing.T) {
	tests := []struct {
		name     string
		harm     func(n *sim.Internet)
		question string
		want     []string // in this order
	}{
		{"zones, servers without glue, the answer", nil, "www.two.example. A", []string{
			"www.two.example. A  (asked)",
			"ask      192.0.2.1:53 . NS over udp: NOERROR",
			"zone     . (hints or priming), 1 servers, 1 addresses known, insecure, lease ",
			"ask      192.0.2.1:53 example. A over udp: NOERROR, 0+1+3 records, ",
			"worth  referral to example.",
			"zone     example. (referral), 1 servers, 2 addresses known, unchecked, lease 1h0m0s",
			"zone     two.example. (referral), 1 servers, 0 addresses known, unchecked",
			"ns2.one.example. A  (address of a server of two.example.)",
			"zone     example. (memory)",
			"end      NOERROR, insecure, after 20ms",
			"ns2.one.example. 3600 IN A 192.0.2.12",
			"ask      192.0.2.12:53 www.two.example. A over udp: NOERROR, 1+0+1 records",
			"worth  answer",
			"end      NOERROR, insecure, after ",
			"www.two.example. 60 IN A 192.0.2.90",
		}},
		{"an alias", nil, "alias.one.example. A", []string{
			"worth  alias of www.two.example.",
			"www.two.example. A  (what alias.one.example. is an alias of)",
			"end      NOERROR", "alias.one.example. 30 IN CNAME www.two.example.",
		}},
		{"silence", func(n *sim.Internet) { n.Drop(oneAddr, oneAddr6) }, "www.one.example. A", []string{": no reply, 400ms", "end      SERVFAIL, EDE 22"}},
		{"a server that knows no EDNS", func(n *sim.Internet) { n.NoEDNS(oneAddr, oneAddr6) }, "www.one.example. A", []string{
			"over udp: FORMERR", "over udp without EDNS: NOERROR", "worth  answer", "end      NOERROR",
		}},
		{"a limit", nil, "self.one.example. A", []string{"limit    alias loop", "end      SERVFAIL, EDE 0, self.one.example.: work limit: alias loop"}},
		{"a lame server", func(n *sim.Internet) { n.Refuse(oneAddr, oneAddr6) }, "www.one.example. A", []string{
			"REFUSED", "worth  lame: REFUSED", "end      SERVFAIL, EDE 22"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				if tt.harm != nil {
					tt.harm(n)
				}
				got := mustExplain(t, mustWalker(t, n, nil), tt.question)
				rest := got
				for _, want := range tt.want {
					_, after, found := strings.Cut(rest, want)
					if !found {
						t.Fatalf("%q is not where it should be in\n%s", want, got)
					}
					rest = after
				}
			})
		})
	}
}
