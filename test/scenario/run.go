package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/cache"
	"proxima/resolver"
	"proxima/resolver/denial"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/wire"
)

const (
	// clientTimeout is the deadline that a query brings, as server sets it.
	clientTimeout = 4500 * time.Millisecond
	// patience is how long CHECK_ANSWER waits for an answer, far longer than
	// a client would.
	patience = 30 * time.Second
	// cacheMemory is the size of each cache, in octets.
	cacheMemory = 4 << 20
	// nodeID is the resolver's id.server.
	nodeID = "scenario"
)

// A play is a scenario that runs.
type play struct {
	scenario *Scenario
	servers  *servers
	walker   *iterate.Walker
	resolver *resolver.Resolver
	waiting  []*client // oldest first
}

// A client is a QUERY step that waits to be checked.
type client struct {
	line    int
	answers []chan answer // one for each that asks
	got     *answer       // foreign: the only one, once it is here
}

// An answer is what a client got, and after how long.
type answer struct {
	packet []byte
	took   time.Duration
}

// Run plays the scenario and returns the first thing in it that does not hold.
// It sleeps as long as the scenario tells it to. seed decides which of several
// servers are asked first.
func (s *Scenario) Run(ctx context.Context, seed uint64) error {
	p, err := s.stage(rand.New(rand.NewPCG(seed, seed)))
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	defer p.resolver.Close()
	perform := p.perform
	if s.dialect != native {
		perform = p.performForeign
	}
	for _, st := range s.steps {
		p.servers.enter(st.number, st.verb == "QUERY" || st.verb == "PRIME")
		if err := perform(ctx, st); err != nil {
			return fmt.Errorf("%s:%d: STEP %d %s: %w", s.file, st.line, st.number, st.verb, err)
		}
	}
	if s.dialect != native {
		return p.checkMandatory()
	}
	if len(p.waiting) > 0 {
		return fmt.Errorf("%s:%d: no CHECK_ANSWER for this QUERY", s.file, p.waiting[0].line)
	}
	return nil
}

// stage builds the resolver, as the daemon does.
func (s *Scenario) stage(chance *rand.Rand) (*play, error) {
	p := &play{scenario: s, servers: newServers(s)}
	answers, err := cache.New(cache.Options{Memory: cacheMemory})
	if err != nil {
		return nil, err
	}
	failures, err := cache.New(cache.Options{Memory: cacheMemory})
	if err != nil {
		return nil, err
	}
	unproven, err := cache.New(cache.Options{Memory: cacheMemory})
	if err != nil {
		return nil, err
	}
	c := s.config
	o := iterate.Options{
		Exchanger: p.servers,
		Selection: selection.New(0),
		Cache:     answers,
		Hints:     c.hints,
		IPv4:      !c.noIPv4,
		IPv6:      !c.noIPv6,
		Minimize:  c.minimize,
		Zones:     c.zones,
		Deny:      c.deny,
		MinTTL:    c.minTTL,
		MaxTTL:    c.maxTTL,
		Rand:      chance,
		Trust:     c.trust,
	}
	if c.aggressive {
		if o.Trust.Denials, err = denial.New(denial.Options{}); err != nil {
			return nil, err
		}
	}
	if c.serveExpired {
		o.Stale = c.stale
		if o.Stale == 0 {
			o.Stale = defaultStale
		}
	}
	if p.walker, err = iterate.New(o); err != nil {
		return nil, err
	}
	p.resolver, err = resolver.New(resolver.Options{Walker: p.walker, Cache: answers, Failures: failures, Unproven: unproven, ID: nodeID})
	return p, err
}

// perform plays one step.
func (p *play) perform(ctx context.Context, st *step) error {
	switch st.verb {
	case "QUERY":
		return p.ask(ctx, st)
	case "CHECK_ANSWER":
		return p.checkAnswer(ctx, st)
	case "CHECK_OUT_QUERY":
		return p.checkOutQuery(st)
	case "TIME_PASSES":
		time.Sleep(st.elapse)
		return nil
	case "PRIME":
		ctx, cancel := context.WithTimeout(ctx, clientTimeout)
		defer cancel()
		return p.walker.Prime(ctx)
	}
	return fmt.Errorf("unknown step")
}

// ask lets the clients of a QUERY step ask, each on a goroutine that ends with
// its answer.
func (p *play) ask(ctx context.Context, st *step) error {
	packet, err := st.entry.packet()
	if err != nil {
		return err
	}
	c := &client{line: st.line}
	for range st.repeat {
		done := make(chan answer, 1)
		c.answers = append(c.answers, done)
		go func() {
			at := time.Now()
			reply := p.reply(ctx, packet, at)
			done <- answer{reply, time.Since(at)}
		}()
	}
	p.waiting = append(p.waiting, c)
	return nil
}

// reply gives a packet to the resolver, as server does.
func (p *play) reply(ctx context.Context, packet []byte, at time.Time) []byte {
	var q wire.Query
	if fault := wire.ParseQuery(&q, packet); fault != wire.OK {
		return wire.AppendFault(nil, &q, fault)
	}
	if reply, ok := p.resolver.AnswerNow(nil, &q, at); ok {
		return reply
	}
	ctx, cancel := context.WithDeadline(ctx, at.Add(clientTimeout))
	defer cancel()
	return p.resolver.Answer(ctx, nil, &q, at)
}

// checkAnswer compares the answers to the oldest QUERY with the entry.
func (p *play) checkAnswer(ctx context.Context, st *step) error {
	if len(p.waiting) == 0 {
		return errors.New("no QUERY waits for an answer")
	}
	c := p.waiting[0]
	p.waiting = p.waiting[1:]
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, done := range c.answers {
		select {
		case a := <-done:
			if err := st.judge(a); err != nil {
				return fmt.Errorf("the answer to line %d: %w", c.line, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("no answer to line %d within %v", c.line, patience)
		}
	}
	return nil
}

// judge compares one answer with the entry and its times.
func (st *step) judge(a answer) error {
	if len(a.packet) == 0 {
		return errors.New("silence")
	}
	var m dns.Msg
	if err := m.Unpack(a.packet); err != nil {
		return err
	}
	wrong := st.entry.differences(&m)
	if a.took < st.after {
		wrong = append(wrong, fmt.Sprintf("after %v, want at least %v", a.took, st.after))
	}
	if st.before > 0 && a.took > st.before {
		wrong = append(wrong, fmt.Sprintf("after %v, want at most %v", a.took, st.before))
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, "; ") + "\n" + m.String())
	}
	return nil
}

// checkOutQuery counts the exchanges that match.
func (p *play) checkOutQuery(st *step) error {
	count := 0
	for _, x := range p.servers.list() {
		if (!st.addr.IsValid() || st.addr == x.to) && (st.entry == nil || st.entry.takes(x.q, x.stream)) {
			count++
		}
	}
	if st.least <= count && count <= st.most {
		return nil
	}
	return fmt.Errorf("%d queries match, want %d to %d; sent were\n\t%s", count, st.least, st.most, strings.Join(p.sent(), "\n\t"))
}

// sent writes the exchanges since the last QUERY.
func (p *play) sent() []string {
	var all []string
	for _, x := range p.servers.list() {
		q := asked(x.q)
		all = append(all, fmt.Sprintf("%v <- %s", x.to, q.String()))
	}
	return all
}
