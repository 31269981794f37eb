package dialogue

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"proxima/resolver/limit"
	"proxima/resolver/reply"
	"proxima/resolver/selection"
	"proxima/resolver/upstream"

	"github.com/miekg/dns"
)

// mustListen serves DNS on one port of loopback, UDP and TCP.
func mustListen(t *testing.T, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Skip("the port is not free for UDP: ", err)
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: p, Handler: handler}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestAsker_understandsUpstream(t *testing.T) {
	// The server writes every name in lower case; asked on real sockets.
	var packets atomic.Int32
	to := mustListen(t, func(w dns.ResponseWriter, q *dns.Msg) {
		packets.Add(1)
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative = true
		m.Question[0].Name = dns.CanonicalName(m.Question[0].Name)
		rr, _ := dns.NewRR(m.Question[0].Name + " A 192.0.2.80")
		m.Answer = []dns.RR{rr}
		w.WriteMsg(m)
	})
	client, err := upstream.New(upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	a, err := New(Options{Exchanger: client, Selection: selection.New(0)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{2, 1} { // UDP, then TCP; from then on UDP alone
		packets.Store(0)
		q := &Question{
			Question: dns.Question{Name: "a-name-that-has-many-letters.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET},
			From:     reply.From{Zone: "example."}, Budget: limit.NewBudget(), Pay: func() error { return nil },
		}
		v, _, err := a.Ask(t.Context(), q, to, 5*time.Second)
		if err != nil || v.Kind != reply.Answer {
			t.Errorf("question %d: %v %v, error %v", i, v.Kind, v.Reason, err)
		}
		if got := packets.Load(); got != want {
			t.Errorf("question %d took %d queries, want %d", i, got, want)
		}
	}
	if s := a.Stats(); s.Suspicious != 1 || s.LearnedCase != 1 {
		t.Errorf("%+v", s)
	}
}
