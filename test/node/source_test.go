//go:build linux

package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	// payloadSize and maxSegment are the largest UDP reply and the TCP segment
	// size of clients, in octets: what passes every path, RFC 9715.
	payloadSize = 1232
	maxSegment  = 1220
	// askLimit bounds the wait for one answer: more than the 4.5 s after which
	// the node gives up by itself, and more than the first memory of a failure.
	askLimit = 10 * time.Second
)

// A cross-product of how a node may listen and how it may be connected.
var attachments = []struct {
	name     string
	listen   []string // none: each service address
	numbered bool
}{
	{"a listener for each address, numbered uplinks", nil, true},
	{"wildcard listeners, numbered uplinks", []string{"0.0.0.0", "::"}, true},
	{"a listener for each address, unnumbered uplinks", nil, false},
	{"wildcard listeners, unnumbered uplinks", []string{"0.0.0.0", "::"}, false},
}

func TestNode_answersFromTheAskedAddressAndAsksFromAnother(t *testing.T) {
	for _, tt := range attachments {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t, tt.numbered)
			file := w.mustWrite(t, "proxima.yaml", anycastFile(tt.listen...)+blackholes())
			w.mustStart(t, command("proxima", "serve", "-c", file), at53()...)
			for _, link := range []string{"up0", "up1"} {
				w.path(t, link)
				for i, to := range service {
					w.askAll(t, to, fmt.Sprintf("%s-%d", link, i))
					w.digAll(t, to, fmt.Sprintf("dig-%s-%d", link, i))
				}
			}
			w.checkSeen(t)
			w.mustStop(t)
		})
	}
}

// askAll asks one address for names that nobody has asked for: a short answer
// by either transport, one that just fits into a datagram, and one that UDP is
// too small for.
func (w *world) askAll(t *testing.T, to netip.Addr, unique string) {
	t.Helper()
	at := netip.AddrPortFrom(to, 53)
	for _, network := range []string{"udp", "tcp"} {
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			m := w.mustAsk(t, network, at, fmt.Sprintf("%s-%s.any.example.", unique, network), typ)
			if len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != typ {
				t.Errorf("%s by %s: want one record of type %d in\n%v", at, network, typ, m)
			}
		}
	}
	if m := w.mustAsk(t, "udp", at, unique+".big.example.", dns.TypeTXT); m.Truncated || len(m.Answer) != 4 {
		t.Errorf("%s by udp: %d records of the big answer, TC %t; want 4 records", at, len(m.Answer), m.Truncated)
	}
	name := unique + ".long.example."
	if m := w.mustAsk(t, "udp", at, name, dns.TypeTXT); !m.Truncated {
		t.Errorf("%s by udp: TC is not set on the answer for %s", at, name)
	}
	if m := w.mustAsk(t, "tcp", at, name, dns.TypeTXT); m.Truncated || len(m.Answer) != 12 {
		t.Errorf("%s by tcp: %d records for %s, TC %t; want 12 records", at, len(m.Answer), name, m.Truncated)
	}
}

// mustAsk asks as a client that would take the largest datagram.
func (w *world) mustAsk(t *testing.T, network string, at netip.AddrPort, name string, typ uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, typ)
	q.SetEdns0(dns.MaxMsgSize-1, false)
	for try := 1; ; try++ {
		m, err := exchange(w.client, network, at, q, askLimit)
		if err == nil && m.Rcode == dns.RcodeSuccess {
			return m
		}
		if try == tries {
			t.Fatalf("%s by %s, %s: %v\n%v\n%s", at, network, name, err, m, w.log)
		}
		time.Sleep(askLimit) // while the node remembers the failure
	}
}

// digAll has dig, which complains of replies from elsewhere, ask the same.
func (w *world) digAll(t *testing.T, to netip.Addr, unique string) {
	t.Helper()
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Log("dig is not installed: asked by our own client only")
		return
	}
	for _, transport := range []string{"+notcp", "+tcp"} {
		ctx, cancel := context.WithTimeout(t.Context(), startLimit)
		out, err := w.client.Run(ctx, dig, "@"+to.String(), fmt.Sprint("+tries=", tries), "+time=10", transport, fmt.Sprintf("%s%s.any.example.", unique, transport[1:]), "A")
		cancel()
		if err != nil || !strings.Contains(out, "status: NOERROR") || !strings.Contains(out, "SERVER: "+to.String()+"#53") || strings.Contains(out, "unexpected source") {
			t.Fatalf("dig @%s %s: %v\n%s", to, transport, err, out)
		}
	}
}

// checkSeen judges what passed the router.
func (w *world) checkSeen(t *testing.T) {
	t.Helper()
	await(t, startLimit, "the tap's count of questions from each address", func() error {
		for _, a := range nodeAddrs {
			if s := w.tap.mustSeen(t); s.unicastAsks[a.String()] == 0 {
				return fmt.Errorf("no question from %s to authoritative servers, only %v", a, s.unicastAsks)
			}
		}
		return nil
	})
	s := w.tap.mustSeen(t)
	for _, packet := range s.anycastAsks {
		t.Errorf("a question left from an anycast address: %s", packet)
	}
	if s.largest == 0 || s.largest > payloadSize {
		t.Errorf("the largest UDP reply has %d octets, want 1 to %d", s.largest, payloadSize)
	}
	if s.fragments > 0 {
		t.Errorf("%d fragments left from service addresses", s.fragments)
	}
	if len(s.segments) != 1 || s.segments[maxSegment] == 0 {
		t.Errorf("segment sizes in SYN-ACKs: %v, want %d alone", s.segments, maxSegment)
	}
	t.Logf("seen: questions by source %v, largest UDP reply %d octets, SYN-ACKs by segment size %v", s.unicastAsks, s.largest, s.segments)
}

// The proof above is that a tap sees nothing; this one is that it would.
func TestTap_seesQuestionsFromAnycastAddresses(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, false)
	for i, from := range []netip.Addr{service[1], service[3]} {
		if err := w.Addr("lo", netip.PrefixFrom(from, from.BitLen())); err != nil {
			t.Fatal(err)
		}
		err := w.Do(func() error {
			conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(exampleAt[i], 53)))
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("a question"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		await(t, startLimit, "the packet at the tap", func() error {
			for _, packet := range w.tap.mustSeen(t).anycastAsks {
				if strings.HasPrefix(packet, from.String()+" to ") {
					return nil
				}
			}
			return fmt.Errorf("nothing from %s", from)
		})
	}
}
