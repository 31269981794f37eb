//go:build linux

package node

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/resolver/anchor"
)

// A said is what a client hears.
type said struct {
	rcode int
	ttl   uint32 // of the first record
	ede   uint16 // 0xffff if none
	took  time.Duration
}

var errNotFresh = errors.New("not fresh")

func (n *node) mustHear(t *testing.T, name string) said {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.SetEdns0(1232, false)
	began := time.Now()
	m, err := exchange(n.Host, "udp", loopback[0], q, 8*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s := said{rcode: m.Rcode, ede: 0xffff, took: time.Since(began)}
	if len(m.Answer) > 0 {
		s.ttl = m.Answer[0].Header().Ttl
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				s.ede = e.InfoCode
			}
		}
	}
	return s
}

// within reports an event that took too long; the figure is judged where
// nothing else runs.
func within(t *testing.T, what string, took, most time.Duration) {
	t.Helper()
	t.Logf("%s took %v", what, took.Round(time.Millisecond))
	if alone() && took > most {
		t.Errorf("%s took %v, want %v at most", what, took, most)
	}
}

func TestNode_survivesABlackoutUpstream(t *testing.T) {
	t.Parallel()
	n := mustAlone(t)
	internet, example := mustInternet(t, n.Host)
	example.Add("short 2 A 192.0.2.10\nother 2 A 192.0.2.11\nlong 3600 A 192.0.2.12\n")
	file := n.mustWrite(t, "proxima.yaml", quiet+"node: {id: node1}\ndnssec: {validate: false}\nadmin: {listen: \"\"}\ncontrol: {socket: \"\"}\n")
	n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
	for _, name := range []string{"short.example.", "other.example.", "long.example."} {
		if s := n.mustHear(t, name); s.rcode != dns.RcodeSuccess {
			t.Fatalf("%s before: %+v", name, s)
		}
	}
	everybody := append([]netip.Addr(nil), exampleAt...)
	for _, r := range anchor.Roots() {
		everybody = append(everybody, r.Addrs...)
	}
	internet.Drop(everybody...)
	time.Sleep(2500 * time.Millisecond) // two names have expired

	if s := n.mustHear(t, "long.example."); s.rcode != dns.RcodeSuccess || s.ede != 0xffff {
		t.Errorf("a name in the cache: %+v", s)
	}
	first := n.mustHear(t, "short.example.")
	if first.rcode != dns.RcodeSuccess || first.ttl > 30 || first.ede != dns.ExtendedErrorCodeStaleAnswer {
		t.Errorf("a stale name: %+v, want NOERROR, a TTL of 30 at most, EDE 3", first)
	}
	within(t, "the first stale answer", first.took, 1900*time.Millisecond)
	time.Sleep(6 * time.Second) // the walk has failed by now
	again := n.mustHear(t, "short.example.")
	if again.rcode != dns.RcodeSuccess || again.ttl > 30 || again.ede != dns.ExtendedErrorCodeStaleAnswer {
		t.Errorf("the stale name again: %+v", again)
	}
	within(t, "the next one", again.took, 100*time.Millisecond)
	unknown := n.mustHear(t, "unknown.example.")
	if unknown.rcode != dns.RcodeServerFailure || unknown.ede != dns.ExtendedErrorCodeNoReachableAuthority {
		t.Errorf("an unknown name: %+v, want SERVFAIL, EDE 22", unknown)
	}
	within(t, "an unknown name", unknown.took, 4500*time.Millisecond)

	internet.Heal(everybody...)
	healed := time.Now()
	fresh := func(name string, rcode int) func() error {
		return func() error {
			if s := n.mustHear(t, name); s.rcode != rcode || s.ede != 0xffff {
				return errNotFresh
			}
			return nil
		}
	}
	await(t, 90*time.Second, "fresh answers", fresh("short.example.", dns.RcodeSuccess))
	await(t, 90*time.Second, "fresh answers", fresh("other.example.", dns.RcodeSuccess))
	await(t, 90*time.Second, "fresh answers", fresh("new.any.example.", dns.RcodeSuccess))
	within(t, "everything fresh again", time.Since(healed), 5*time.Second)
}
