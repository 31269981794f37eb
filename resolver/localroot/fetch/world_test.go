package fetch

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxima/resolver/localroot"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// rootText is a root whose serial is to be filled in.
const rootText = `
@ 86400 SOA a.root-servers.test. hostmaster.test. SERIAL 1800 900 604800 86400
@ NS a.root-servers.test.
test. NS a.root-servers.test.
test. DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
a.root-servers.test. A 192.0.2.1
example. NS ns.example.
ns.example. A 192.0.2.3
`

// mustSign returns the records of the signed root of a serial, and its anchor.
func mustSign(t testing.TB, serial string) ([]dns.RR, *dns.DS) {
	t.Helper()
	n := sim.New(1)
	root := n.Zone(".", strings.Replace(rootText, "SERIAL", serial, 1))
	root.Sign()
	return root.Whole(true), n.Anchor()
}

// textOf writes records as a master file.
func textOf(rrs []dns.RR) string {
	var b strings.Builder
	for _, rr := range rrs {
		b.WriteString(rr.String() + "\n")
	}
	return b.String()
}

// A told is what a Keeper has told of.
type told struct {
	taken   []uint32
	faults  []string
	expired int
	aged    int
}

// mustKeep returns a Keeper that trusts the keys of mustSign.
func mustKeep(t testing.TB, o Options) (*Keeper, *localroot.Copy, *told) {
	t.Helper()
	_, anchor := mustSign(t, "1")
	o.Anchors = func() []*dns.DS { return []*dns.DS{anchor} }
	var got told
	o.OnTake = func(_ string, z *localroot.Zone) { got.taken = append(got.taken, z.Serial()) }
	o.OnFault = func(_ string, err error) { got.faults = append(got.faults, err.Error()) }
	o.OnAge = func(time.Duration) { got.aged++ }
	o.OnExpire = func() { got.expired++ }
	c := new(localroot.Copy)
	return New(c, o), c, &got
}

// mustServe has a server on loopback reply to each question on a TCP connection
// with messages; a nil one closes the connection.
func mustServe(t testing.TB, reply func(q *dns.Msg) []*dns.Msg) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(&dns.Conn{Conn: conn}, reply)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func serve(conn *dns.Conn, reply func(q *dns.Msg) []*dns.Msg) {
	defer conn.Close()
	for {
		q, err := conn.ReadMsg()
		if err != nil {
			return
		}
		messages := reply(q)
		if messages == nil {
			return
		}
		for _, m := range messages {
			if m == nil || conn.WriteMsg(m) != nil {
				return
			}
		}
	}
}

// transferred replies as a server that has the zone rrs, with so many records a
// message.
func transferred(rrs []dns.RR, each int) func(q *dns.Msg) []*dns.Msg {
	return func(q *dns.Msg) (list []*dns.Msg) {
		all := append(rrs[:len(rrs):len(rrs)], rrs[0])
		if q.Question[0].Qtype == dns.TypeSOA {
			all = rrs[:1]
		}
		for len(all) > 0 {
			m := new(dns.Msg).SetReply(q)
			m.Authoritative = true
			n := min(each, len(all))
			m.Answer, all = all[:n], all[n:]
			list = append(list, m)
		}
		return list
	}
}
