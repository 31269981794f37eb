package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"proxima/test/sim"
)

// roundTrip is how long every exchange with a server takes.
const roundTrip = 10 * time.Millisecond

// maxExchanges bounds the exchanges between two QUERY steps, so that a
// resolver that asks for ever ends as an error of the scenario.
const maxExchanges = 10_000

// servers is the network of a scenario, an iterate.Exchanger.
type servers struct {
	spans   []*span
	dialect dialect
	known   map[netip.Addr]bool // addresses of spans
	nobody  *sim.Internet       // where no span is: silence

	mu     sync.Mutex
	step   int
	sent   []exchange
	active int             // exchanges that go on
	held   []*held         // and those of them that wait for a step
	used   map[*entry]bool // entries that were said
}

// An exchange is a query that was sent.
type exchange struct {
	to     netip.Addr
	q      *dns.Msg
	stream bool
}

func newServers(s *Scenario) *servers {
	v := &servers{spans: s.ranges, dialect: s.dialect, nobody: sim.New(zoneSeed),
		known: make(map[netip.Addr]bool), used: make(map[*entry]bool)}
	for _, r := range s.ranges {
		for _, a := range r.addrs {
			v.known[a] = true
		}
	}
	return v
}

// Exchange asks the first span that holds now and has something to say.
func (v *servers) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	x := exchange{to.Addr().Unmap(), q.Copy(), stream}
	step, err := v.note(x)
	defer v.done()
	if err != nil {
		return nil, err
	}
	for _, s := range v.spans {
		if step < s.first || step > s.last || !v.speaks(s, x.to) {
			continue
		}
		for _, e := range s.entries {
			if e.takes(q, stream) {
				v.use(e)
				return e.say(ctx, to, q)
			}
		}
		if len(s.zones) > 0 {
			return s.internet.Exchange(ctx, to, q, stream)
		}
		if v.dialect == deckard {
			return s.deckardSays(q, stream).say(ctx, to, q)
		}
	}
	if v.dialect != native {
		return v.hold(ctx, x)
	}
	return v.nobody.Exchange(ctx, to, q, stream)
}

// speaks reports whether s speaks for an address. In foreign files a span
// without address does so for all, and in Deckard's every span does so for
// addresses of which none tells.
func (v *servers) speaks(s *span, addr netip.Addr) bool {
	return slices.Contains(s.addrs, addr) || v.dialect != native && len(s.addrs) == 0 ||
		v.dialect == deckard && !v.known[addr]
}

// say waits as long as the entry wants and says it.
func (e *entry) say(ctx context.Context, to netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	n := sim.New(zoneSeed)
	n.Delay(to.Addr(), roundTrip+e.sleep)
	n.Spoof(to.Addr(), func(q, _ *dns.Msg, _ bool) *dns.Msg { return e.answer(q) })
	return n.Exchange(ctx, to, q, false)
}

// note remembers an exchange and returns the step that is played.
func (v *servers) note(x exchange) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.active++
	if len(v.sent) >= maxExchanges {
		return 0, fmt.Errorf("scenario: more than %d exchanges", maxExchanges)
	}
	v.sent = append(v.sent, x)
	return v.step, nil
}

// done ends an exchange.
func (v *servers) done() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.active--
}

// use remembers that e was said.
func (v *servers) use(e *entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used[e] = true
}

// enter goes to a step; forget begins a new list of exchanges.
func (v *servers) enter(step int, forget bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.step = step
	if forget {
		v.sent = nil
	}
}

// list returns the exchanges since the last list began.
func (v *servers) list() []exchange {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sent)
}
