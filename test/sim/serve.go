package sim

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// Serve answers for an address on real sockets, which it owns from then on. It
// returns when both are served; stop closes them.
func (n *Internet) Serve(at netip.Addr, datagrams net.PacketConn, streams net.Listener) (stop func()) {
	servers := []*dns.Server{
		{PacketConn: datagrams, Handler: n.handler(at, false)},
		{Listener: streams, Handler: n.handler(at, true)},
	}
	for _, s := range servers {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() { _ = s.ActivateAndServe() }()
		<-up
	}
	return func() {
		for _, s := range servers {
			_ = s.Shutdown()
		}
	}
}

// handler says what the address says.
func (n *Internet) handler(at netip.Addr, stream bool) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		if m := n.Reply(at, q, stream); m != nil {
			_ = w.WriteMsg(m)
		}
	}
}
