package iterate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"proxima/resolver/limit"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestWalker_keepsAliasesOfServersToItself(t *testing.T) {
	// The server's name is an alias, which RFC 2181 section 10.3 forbids, to
	// where nobody replies until time is up.
	synctest.Test(t, func(t *testing.T) {
		n, tld := testInternetAndTLD()
		tld.Add("bad NS alias.one\n")
		n.Drop(twoAddr)
		w := mustWalker(t, n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Lookup(ctx, mustQuestion(t, "www.bad.example. A"), NewBudget())
		var e *Error
		if !errors.As(err, &e) || len(e.Chain) != 0 {
			t.Errorf("error %+v, want one without aliases", err)
		}
	})
}

func TestWalker_findsServersThatHaveOnlyIPv6(t *testing.T) {
	for _, servers := range []int{1, limit.MaxEmptyLookups + 1, limit.MaxLookups + 1, maxServers} {
		t.Run(fmt.Sprintf("%d servers without glue", servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, tld := testInternetAndTLD()
				n.Zone("six.example.", "www A 192.0.2.86\n", netip.MustParseAddr("2001:db8::66"))
				tld.Add("hosts NS ns.hosts\nns.hosts A 192.0.2.99\n" + repeat(servers, "six NS ns#.hosts"))
				n.Zone("hosts.example.", repeat(servers, "ns# AAAA 2001:db8::66"), otherAddr)
				w := mustWalker(t, n, nil)
				if got, want := mustAsk(t, w, "www.six.example. A"), "NOERROR; www.six.example. 3600 A 192.0.2.86"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestWalker_looksForMoreServersBeforeItAsksAPoorOneAgain(t *testing.T) {
	const ms = time.Millisecond
	silentAddr, lameAddr, soundAddr := netip.MustParseAddr("192.0.2.61"), netip.MustParseAddr("192.0.2.62"), netip.MustParseAddr("192.0.2.63")
	tests := []struct {
		name    string
		servers []string
		within  time.Duration // of the answer
	}{
		{"the first is silent", []string{"silent.hosts", "sound.hosts"}, 600 * ms},
		{"three are", []string{"silent.hosts", "silent2.hosts", "silent3.hosts", "sound.hosts"}, 600 * ms},
		{"the first is lame and the second was being looked up", []string{"lame.far1", "sound.far2"}, 1200 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, tld := testInternetAndTLD()
				n.Zone("poor.example.", "www A 192.0.2.86\n", soundAddr)
				n.Drop(silentAddr)
				n.Lame(lameAddr)
				hosts := "silent A 192.0.2.61\nsilent2 A 192.0.2.61\nsilent3 A 192.0.2.61\nlame A 192.0.2.62\nsound A 192.0.2.63\n"
				n.Zone("hosts.example.", hosts, otherAddr)
				tld.Add("hosts NS ns.hosts\nns.hosts A 192.0.2.99\n")
				for i, zone := range []string{"far1", "far2"} { // so far that the second lookup begins beside the first
					addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(71 + i)})
					n.Zone(zone+".example.", hosts, addr)
					n.Delay(addr, 390*ms)
					tld.Add(fmt.Sprintf("%s NS ns.%[1]s\nns.%[1]s A %s\n", zone, addr))
				}
				for _, server := range tt.servers {
					tld.Add("poor NS " + server + "\n")
				}
				w := mustWalker(t, n, func(o *Options) { o.IPv4 = true }) // so that one lookup is one server
				began := time.Now()
				if got, want := mustAsk(t, w, "www.poor.example. A"), "NOERROR; www.poor.example. 3600 A 192.0.2.86"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("took %v, want %v at most", took, tt.within)
				}
			})
		})
	}
}

func TestWalker_looksBehindGlue(t *testing.T) {
	const want = "NOERROR; www.moved.example. 3600 A 192.0.2.86"
	tests := []struct {
		name  string
		tld   string // what example. has besides
		hosts string // what hosts.example. says
	}{
		{"the parent's address of a server is out of date", "ns.hosts A 192.0.2.77\n", "ns A 192.0.2.66\n"},
		{"the zone of the server's name denies it", "ns.hosts A 192.0.2.66\n", ""},
		{"that zone has another address", "ns.hosts A 192.0.2.66\n", "ns A 192.0.2.77\n"},
	}
	for _, tt := range tests {
		for _, glue := range []bool{true, false} {
			if !glue && tt.hosts == "ns A 192.0.2.66\n" {
				continue
			}
			t.Run(fmt.Sprintf("%s, glue %t", tt.name, glue), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n, tld := testInternetAndTLD()
					tld.Add("moved NS ns.hosts\nhosts NS dns.hosts\nhosts NS ns.hosts\ndns.hosts A 192.0.2.99\n" + tt.tld)
					n.Zone("hosts.example.", "dns A 192.0.2.99\n"+tt.hosts, otherAddr)
					n.Zone("moved.example.", "www A 192.0.2.86\n", evilAddr)
					n.Spoof(tldAddr, func(q, honest *dns.Msg, _ bool) *dns.Msg {
						if !glue && dns.IsSubDomain("moved.example.", q.Question[0].Name) {
							honest.Extra = nil
						}
						return honest
					})
					w := mustWalker(t, n, func(o *Options) { o.IPv4 = true })
					if got := mustAsk(t, w, "www.moved.example. A"); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			})
		}
	}
}
