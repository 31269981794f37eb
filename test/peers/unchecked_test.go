//go:build linux

package peers

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

const (
	// uncheckedEvery is the share of the questions that are asked again with CD,
	// and minUnchecked how many that has to be at least.
	uncheckedEvery, minUnchecked = 5, 1000
)

// uncheckedDisputes are the kinds of zones of which Unbound and Knot Resolver
// say different things to who sets CD.
var uncheckedDisputes = []dispute{
	{"unsigned", "nope.in-", "unbound", "the chain belongs into the answer, RFC 6672 section 3.1; Knot Resolver leaves it out now and then"},
	{"roll-both-broken", "", "knot", "who sets CD wants the data, RFC 4035 section 3.2.2; after many bogus answers of a zone Unbound has none now and then"},
	{"roll-to-unknown-broken", "", "knot", "the same"},
	{"flipped-bit", "", "knot", "the same"},
}

// compareUnchecked asks every fifth question again with CD, and then without,
// when nothing may have changed: what nobody has checked is for those who asked
// for it.
func (b *bench) compareUnchecked(t *testing.T, checked *comparison, unbound, knot, proxima netip.AddrPort) {
	c := &comparison{disputes: uncheckedDisputes}
	before := &comparison{}
	bogus := 0
	for i, q := range checked.questions {
		if i%uncheckedEvery != 0 {
			continue
		}
		if checked.proxima[i].status() == "bogus" {
			bogus++
		}
		before.unbound, before.knot = append(before.unbound, checked.unbound[i]), append(before.knot, checked.knot[i])
		before.proxima = append(before.proxima, checked.proxima[i])
		q.unchecked = true
		c.questions = append(c.questions, q)
	}
	c.unbound, c.knot, c.proxima = b.judgeAll(t, unbound, c.questions), b.judgeAll(t, knot, c.questions), b.judgeAll(t, proxima, c.questions)
	b.settle(t, c, unbound, knot)
	t.Logf("%d questions with CD, %d of them bogus without", len(c.questions), bogus)
	t.Run("AD is set of nothing that was not proven before", func(t *testing.T) {
		c.unbound, c.knot = c.mustKeepAD(t, "unbound", c.unbound, before.unbound), c.mustKeepAD(t, "knot", c.knot, before.knot)
		c.proxima = c.mustKeepAD(t, "proxima", c.proxima, before.proxima)
	})
	b.reconsider(t, c, unbound, knot, proxima)
	t.Run("the peers agree but where explained", func(t *testing.T) { c.comparePeers(t, minUnchecked) })
	t.Run("Proxima agrees with them", c.compareProxima)
	t.Run("nothing that was checked has changed", func(t *testing.T) {
		for i, q := range c.questions {
			was := func(v verdict) bool { return v == before.proxima[i] }
			if after := b.insist(proxima, q.Question, was); !was(after) {
				t.Errorf("%s %s:\nbefore %s\nafter  %s", q.Name, dns.TypeToString[q.Qtype], before.proxima[i], after)
			}
		}
	})
}

// mustKeepAD returns verdicts without AD, which a validator may set with CD,
// too, if it has proven the answer for who did not set CD: Unbound does where it
// remembers that, Knot Resolver never, Proxima always.
func (c *comparison) mustKeepAD(t *testing.T, who string, now, before []verdict) []verdict {
	t.Helper()
	set, proven := 0, 0
	bare := make([]verdict, len(now))
	for i, v := range now {
		if before[i].secure {
			proven++
		}
		if v.secure {
			set++
		}
		if v.secure && !before[i].secure {
			complaint(t, who)("%s %s: %s says %s with CD and %s without", c.questions[i].Name, dns.TypeToString[c.questions[i].Qtype], who, v, before[i])
		}
		v.secure = false
		bare[i] = v
	}
	t.Logf("%s sets AD of %d answers with CD, %d of them are proven", who, set, proven)
	return bare
}
