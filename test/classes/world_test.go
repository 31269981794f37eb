package classes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/resolver"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/test/sim"
	"proxima/wire"

	"github.com/miekg/dns"
)

// Where the zones are: the root, example., evil.example. and victim.example.
var (
	rootAt   = netip.MustParseAddr("192.0.2.1")
	testAt   = netip.MustParseAddr("192.0.2.2")
	evilAt   = netip.MustParseAddr("192.0.2.66")
	victimAt = netip.MustParseAddr("192.0.2.99")
)

// truth is what victim.example. says of all its names.
const truth = "192.0.2.80"

// A world is a resolver, and an Internet in which evil.example. is an enemy's.
type world struct {
	*sim.Internet
	tld, evil *sim.Zone
	r         *resolver.Resolver
}

// inWorld runs a test in a world of its own, in virtual time. evil and tld are
// further records of evil.example. and test.; spoof has the last word on what the
// enemy says.
func inWorld(t *testing.T, evil, tld string, spoof sim.Spoofer, change func(*iterate.Options), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{Internet: sim.New(1)}
		w.RoundTrip(10 * time.Millisecond)
		w.Zone(".", "@ NS a.root.example.\na.root.example. A 192.0.2.1\nexample. NS ns.example.\nns.example. A 192.0.2.2\n", rootAt)
		w.tld = w.Zone("example.", "@ NS ns\nns A 192.0.2.2\na.root A 192.0.2.1\nevil NS ns.evil\nns.evil A 192.0.2.66\n"+
			"victim NS ns.victim\nns.victim A 192.0.2.99\n"+tld, testAt)
		w.evil = w.Zone("evil.example.", "@ NS ns\nns A 192.0.2.66\nwww 60 A 192.0.2.67\n"+evil, evilAt)
		w.Zone("victim.example.", "@ NS ns\nns A 192.0.2.99\nwww 300 A "+truth+"\n*.any 300 A "+truth+"\n", victimAt)
		w.Spoof(evilAt, spoof)
		w.r = mustResolver(t, w.Internet, change)
		test(t, w)
	})
}

func mustResolver(t *testing.T, x iterate.Exchanger, change func(*iterate.Options)) *resolver.Resolver {
	t.Helper()
	store := func() *cache.Cache {
		c, err := cache.New(cache.Options{Memory: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	o := iterate.Options{
		Exchanger: x, Selection: selection.New(0), Cache: store(),
		Hints: []anchor.Server{{Name: "a.root.example.", Addrs: []netip.Addr{rootAt}}},
	}
	if change != nil {
		change(&o)
	}
	w, err := iterate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New(resolver.Options{Walker: w, Cache: o.Cache, Failures: store(), Unproven: store()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// ask asks as a client does, "www.victim.example. A", and returns the reply and how
// long it took. options go along.
func (w *world) ask(t *testing.T, question string, options ...dns.EDNS0) (*dns.Msg, time.Duration) {
	t.Helper()
	return w.askChecked(t, question, true, options...)
}

// askChecked is ask, with CD unless the client wants the answer checked.
func (w *world) askChecked(t *testing.T, question string, checked bool, options ...dns.EDNS0) (*dns.Msg, time.Duration) {
	t.Helper()
	name, typ, _ := strings.Cut(question, " ")
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[typ])
	m.SetEdns0(wire.PayloadSize, false)
	m.IsEdns0().Option = options
	m.AuthenticatedData, m.CheckingDisabled = true, !checked
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(wire.Query)
	if f := wire.ParseQuery(q, packet); f != wire.OK {
		t.Fatalf("fault %d in %q", f, question)
	}
	at := time.Now()
	reply, ok := w.r.AnswerNow(nil, q, at)
	if !ok {
		ctx, cancel := context.WithDeadline(t.Context(), at.Add(4500*time.Millisecond))
		defer cancel()
		reply = w.r.Answer(ctx, nil, q, at)
	}
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%s: reply %x: %v", question, reply, err)
	}
	return m, time.Since(at)
}

// ede returns the codes of extended errors in a reply, RFC 8914.
func ede(m *dns.Msg) (codes []uint16) {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				codes = append(codes, e.InfoCode)
			}
		}
	}
	return codes
}

// failed reports whether a reply is SERVFAIL with one of these extended errors.
func failed(m *dns.Msg, with ...uint16) bool {
	return m.Rcode == dns.RcodeServerFailure && slices.ContainsFunc(ede(m), func(code uint16) bool { return slices.Contains(with, code) })
}

// text tells a reply in a line: rcode, then owner, TTL, type and data of answers.
func text(m *dns.Msg) string {
	s := dns.RcodeToString[m.Rcode]
	for _, rr := range m.Answer {
		s += "; " + strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " ")
	}
	return s
}

// mustBeTrue asks victim.example. for a name that nobody has asked for yet, and
// once more for www.victim.example.
func (w *world) mustBeTrue(t *testing.T) {
	t.Helper()
	before := len(w.Asked(victimAt))
	for _, name := range []string{fmt.Sprintf("x%d.any.victim.example.", before), "www.victim.example."} {
		m, _ := w.ask(t, name+" A")
		if got, want := text(m), "NOERROR; "+name+" 300 A "+truth; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if len(w.Asked(victimAt)) == before {
		t.Error("the true server was not asked")
	}
}

// rr reads a record.
func rr(format string, args ...any) dns.RR {
	r, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic("classes: " + err.Error())
	}
	return r
}
