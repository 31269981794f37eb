package iterate

import (
	"testing"
	"testing/synctest"

	"proxima/test/sim"

	"github.com/miekg/dns"
)

// copied lets a walker ask a copy of n's root. Here that is the address of the
// root that nobody names; change spoils what it says.
func copied(n *sim.Internet, change func(*dns.Msg) *dns.Msg) func(*Options) {
	return func(o *Options) {
		secured(n)(o)
		o.LocalRoot = func(q dns.Question) *dns.Msg {
			m := &dns.Msg{Question: []dns.Question{q}}
			m.SetEdns0(1232, true)
			reply := n.Reply(rootAddr6, m, true)
			if change != nil {
				reply = change(reply)
			}
			return reply
		}
	}
}

func TestWalker_asksTheCopyOfTheRoot(t *testing.T) {
	const question, answer = "www.one.example. A", "NOERROR; www.one.example. 60 A 192.0.2.80"
	tests := []struct {
		name     string
		change   func(*dns.Msg) *dns.Msg
		question string
		want     string
		toRoot   bool // servers of the root were asked
		unfit    uint64
	}{
		{"a referral", nil, question, answer, false, 0},
		{"a denial", nil, "www.none. A", "NXDOMAIN; soa . 300", false, 0},
		{"data of the root itself", nil, ". NS", "NOERROR; . 3600 NS a.root-servers.example.", false, 0},
		{"there is none now", func(*dns.Msg) *dns.Msg { return nil }, question, answer, true, 0},
		{"it proves nothing", func(m *dns.Msg) *dns.Msg {
			for _, rr := range m.Ns {
				if ds, ok := rr.(*dns.DS); ok {
					ds.KeyTag++
				}
			}
			return m
		}, question, answer, true, 1},
		{"it is worth nothing", func(m *dns.Msg) *dns.Msg {
			m.Rcode = dns.RcodeServerFailure
			return m
		}, question, answer, true, 3}, // priming, the referral, and the keys
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				n.SignAll()
				w := mustWalker(t, n, copied(n, tt.change))
				got, secure := mustProve(t, w, tt.question)
				if got != tt.want || !secure {
					t.Errorf("got  %s, %t\nwant %s", got, secure, tt.want)
				}
				if asked := len(n.Asked(rootAddr)); (asked > 0) != tt.toRoot {
					t.Errorf("%d questions to the root", asked)
				}
				if s := w.Stats(); s.Local == 0 && !tt.toRoot || s.Unfit != tt.unfit {
					t.Errorf("%d replies of the copy, %d unfit", s.Local, s.Unfit)
				}
			})
		})
	}
}

func TestWalker_Sight_passesTheCopyBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.SignAll()
		w := mustWalker(t, n, copied(n, nil))
		if s := w.Sight(t.Context()); !s.Valid || len(n.Asked(rootAddr)) == 0 {
			t.Errorf("%+v after %d questions to the root's servers", s, len(n.Asked(rootAddr)))
		}
	})
}
