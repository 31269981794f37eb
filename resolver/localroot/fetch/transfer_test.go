package fetch

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

func TestKeeper_transfers(t *testing.T) {
	for _, each := range []int{1, 5, 1000} {
		rrs, _ := mustSign(t, "7")
		asked := 0
		server := mustServe(t, func(q *dns.Msg) []*dns.Msg {
			asked++
			return transferred(rrs, each)(q)
		})
		k, c, told := mustKeep(t, Options{Servers: []netip.AddrPort{server}, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}})
		k.askServers(t.Context())
		if z := c.Zone(); z == nil || z.Serial() != 7 || z.Records() != len(rrs) || asked != 1 {
			t.Fatalf("%d records a message: %v after %d questions; %q", each, z, asked, told.faults)
		}
		if left := clock.Until(k.askAt); left < 29*time.Minute || left > 30*time.Minute {
			t.Errorf("asks again in %v, want the SOA's 30 min", left)
		}
		k.askServers(t.Context()) // only for the SOA, which is the same
		if asked != 2 || len(told.taken) != 1 || len(told.faults) != 0 {
			t.Errorf("the same zone again: %d questions, %+v", asked, told)
		}
		rrs, _ = mustSign(t, "8")
		k.askServers(t.Context())
		if asked != 4 || !slices.Equal(told.taken, []uint32{7, 8}) {
			t.Errorf("a newer zone: %d questions, %+v", asked, told)
		}
	}
}

func TestKeeper_survivesBadServers(t *testing.T) {
	rrs, _ := mustSign(t, "7")
	newer, _ := mustSign(t, "8")
	older, _ := mustSign(t, "6")
	forged := slices.Clone(newer)
	forged[len(forged)-1] = &dns.A{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{192, 0, 2, 66}}
	// to makes of a good reply to the question for the zone a bad one.
	to := func(change func(list []*dns.Msg) []*dns.Msg) func(q *dns.Msg) []*dns.Msg {
		return func(q *dns.Msg) []*dns.Msg {
			list := transferred(newer, 5)(q)
			if q.Question[0].Qtype == dns.TypeSOA {
				return list
			}
			return change(list)
		}
	}
	tests := []struct {
		name  string
		reply func(q *dns.Msg) []*dns.Msg
		want  string
	}{
		{"hangs up", func(*dns.Msg) []*dns.Msg { return nil }, "EOF"},
		{"refuses", func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeRefused)} }, "REFUSED"},
		{"refuses the zone", to(func(list []*dns.Msg) []*dns.Msg { list[0].Rcode = dns.RcodeRefused; return list }), "REFUSED"},
		{"has a response code without a name", func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, 15)} }, "RCODE 15"},
		{"has no SOA", func(q *dns.Msg) []*dns.Msg {
			m := new(dns.Msg).SetReply(q)
			m.Authoritative = true
			return []*dns.Msg{m}
		}, "no SOA of the root"},
		{"has it of a cache", func(q *dns.Msg) []*dns.Msg {
			m := transferred(rrs, 5)(q)
			m[0].Authoritative = false
			return m
		}, "is not authoritative for the root"},
		{"has an older zone", transferred(older, 5), "serial 6 is older than 7"},
		{"another ID", to(func(list []*dns.Msg) []*dns.Msg { list[1].Id++; return list }), "not a reply to what was asked"},
		{"a question", to(func(list []*dns.Msg) []*dns.Msg { list[1].Response = false; return list }), "not a reply to what was asked"},
		{"ends in the middle", to(func(list []*dns.Msg) []*dns.Msg { list[1] = nil; return list[:2] }), "EOF"},
		{"does not begin with the SOA", to(func(list []*dns.Msg) []*dns.Msg { return list[1:] }), "does not begin with an SOA"},
		{"an empty message", to(func(list []*dns.Msg) []*dns.Msg { list[1].Answer = nil; return list }), "without records"},
		{"another SOA at the end", to(func(list []*dns.Msg) []*dns.Msg {
			last := list[len(list)-1]
			last.Answer = append(slices.Clone(last.Answer[:len(last.Answer)-1]), older[0])
			return list
		}), "the zone changed during the transfer"},
		{"records after the end", to(func(list []*dns.Msg) []*dns.Msg {
			last := list[len(list)-1]
			last.Answer = append(slices.Clone(last.Answer), newer[1])
			return list
		}), "records after the end"},
		{"a zone that proves nothing", transferred(forged, 5), "ZONEMD: the zone has another digest"},
		{"another serial than it said", func(q *dns.Msg) []*dns.Msg {
			if q.Question[0].Qtype == dns.TypeSOA {
				return transferred(newer, 5)(q)
			}
			return transferred(older, 5)(q)
		}, "serial 6 is older than 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply := transferred(rrs, 5)
			server := mustServe(t, func(q *dns.Msg) []*dns.Msg { return reply(q) })
			k, c, told := mustKeep(t, Options{Servers: []netip.AddrPort{server}})
			k.askServers(t.Context())
			reply = tt.reply
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			k.askServers(ctx)
			k.askServers(ctx)
			if len(told.faults) != 1 || !strings.Contains(told.faults[0], tt.want) || c.Stats().Failures != 2 {
				t.Errorf("told %q of %d faults, want once %q of 2", told.faults, c.Stats().Failures, tt.want)
			}
			if z := c.Zone(); z == nil || z.Serial() != 7 {
				t.Errorf("the old zone went: %v", z)
			}
			if left := clock.Until(k.askAt); left < 14*time.Minute || left > 15*time.Minute {
				t.Errorf("tries again in %v, want the SOA's 15 min", left)
			}
		})
	}
}

func TestKeeper_asksTheNextServer(t *testing.T) {
	rrs, _ := mustSign(t, "7")
	bad := mustServe(t, func(*dns.Msg) []*dns.Msg { return nil })
	good := mustServe(t, transferred(rrs, 5))
	k, c, told := mustKeep(t, Options{Servers: []netip.AddrPort{bad, good}})
	k.askServers(t.Context())
	if c.Zone() == nil || len(told.faults) != 1 || clock.Until(k.askAt) < 29*time.Minute {
		t.Errorf("zone %v, faults %q", c.Zone(), told.faults)
	}
}

func TestKeeper_asksFromAUnicastSourceOnly(t *testing.T) {
	rrs, _ := mustSign(t, "7")
	server := mustServe(t, transferred(rrs, 5))
	k, c, told := mustKeep(t, Options{Servers: []netip.AddrPort{server}, Sources: []netip.Addr{netip.MustParseAddr("2001:db8::1")}})
	k.askServers(t.Context())
	if c.Zone() != nil || len(told.faults) != 1 || !strings.Contains(told.faults[0], "no source address of this family") {
		t.Errorf("zone %v, faults %q", c.Zone(), told.faults)
	}
}
