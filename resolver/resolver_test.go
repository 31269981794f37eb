package resolver

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"proxima/cache"
	"proxima/resolver/anchor"
	"proxima/resolver/iterate"
	"proxima/resolver/selection"
	"proxima/test/sim"
	"proxima/wire"

	"github.com/miekg/dns"
)

var (
	rootAddr  = netip.MustParseAddr("192.0.2.1")
	tldAddr   = netip.MustParseAddr("192.0.2.2")
	otherAddr = netip.MustParseAddr("192.0.2.99")
)

// testInternet has a root and example., each on one address.
func testInternet() *sim.Internet { return testInternetWith("") }

// testInternetWith has more records in example.
func testInternetWith(records string) *sim.Internet {
	n := sim.New(1)
	n.RoundTrip(10 * time.Millisecond)
	n.Zone(".", "@ 86400 NS a.root-servers.example.\na.root-servers.example. 86400 A 192.0.2.1\nexample. NS ns.example.\nns.example. A 192.0.2.2\n", rootAddr)
	n.Zone("example.", `
@ NS ns
ns A 192.0.2.2
www 60 A 192.0.2.80
never 0 A 192.0.2.81
loop 60 CNAME loop2
loop2 60 CNAME loop
`+records, tldAddr)
	return n
}

// mustResolver returns a resolver for the internet. It ends with the test.
func mustResolver(t testing.TB, n iterate.Exchanger, zones ...iterate.Zone) *Resolver {
	t.Helper()
	return mustResolverWith(t, n, func(o *iterate.Options) { o.Zones = zones })
}

// mustResolverWith is mustResolver with changed options of the walker.
func mustResolverWith(t testing.TB, n iterate.Exchanger, change func(*iterate.Options)) *Resolver {
	t.Helper()
	newCache := func() *cache.Cache {
		c, err := cache.New(cache.Options{Memory: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	answers := newCache()
	o := iterate.Options{
		Exchanger: n, Selection: selection.New(0), Cache: answers, Stale: time.Hour,
		Hints: []anchor.Server{{Name: "a.root-servers.example.", Addrs: []netip.Addr{rootAddr}}},
	}
	change(&o)
	w, err := iterate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Walker: w, Cache: answers, Failures: newCache(), Unproven: newCache(), ID: "ams1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// mustQuery packs "www.example. A", class IN if none is said, with RD and EDNS
// unless the words -rd or -edns follow, and with flags that +do, +ad and +cd set.
func mustQuery(t testing.TB, s string) *wire.Query {
	t.Helper()
	words := strings.Fields(s)
	m := new(dns.Msg)
	m.SetQuestion(words[0], 0)
	m.SetEdns0(wire.PayloadSize, false)
	for _, word := range words[1:] {
		if typ, ok := dns.StringToType[word]; ok && word != "ANY" || m.Question[0].Qtype == 0 && ok {
			m.Question[0].Qtype = typ
		} else if class, ok := dns.StringToClass[word]; ok {
			m.Question[0].Qclass = class
		} else if n, ok := strings.CutPrefix(word, "TYPE"); ok {
			fmt.Sscan(n, &m.Question[0].Qtype)
		}
		switch word {
		case "+do":
			m.IsEdns0().SetDo()
		case "+ad":
			m.AuthenticatedData = true
		case "+cd":
			m.CheckingDisabled = true
		}
		if word == "-rd" {
			m.RecursionDesired = false
		}
		if word == "-edns" {
			m.Extra = nil
		}
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(wire.Query)
	if f := wire.ParseQuery(q, packet); f != wire.OK {
		t.Fatalf("fault %d in %q", f, s)
	}
	return q
}

// summary tells a reply in one line: rcode, AD, EDE code, answers, SOA owner.
func summary(t testing.TB, reply []byte) string {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("reply %x: %v", reply, err)
	}
	if !m.Response || !m.RecursionAvailable || m.Authoritative {
		t.Errorf("flags of %v", m.MsgHdr)
	}
	out := []string{dns.RcodeToString[m.Rcode]}
	if m.AuthenticatedData {
		out[0] += " AD"
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				out[0] += fmt.Sprintf(" EDE %d", ede.InfoCode)
			}
		}
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			out = append(out, "signature")
			continue
		}
		out = append(out, strings.Join(strings.Fields(rr.String()), " "))
	}
	for _, rr := range m.Ns {
		out = append(out, "soa "+rr.Header().Name)
	}
	return strings.Join(out, "; ")
}

// mustAnswer asks as the server does: AnswerNow, then Answer.
func mustAnswer(t testing.TB, r *Resolver, s string) string {
	t.Helper()
	at := time.Now()
	q := mustQuery(t, s)
	reply, ok := r.AnswerNow(nil, q, at)
	if !ok {
		ctx, cancel := context.WithDeadline(context.Background(), at.Add(4500*time.Millisecond))
		defer cancel()
		reply = r.Answer(ctx, nil, q, at)
	}
	return summary(t, reply)
}

func TestResolver_AnswerNow_policy(t *testing.T) {
	const reverse6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."
	tests := []struct {
		name  string
		query string
		want  string
	}{
		{"who we are", "id.server. CH TXT", `NOERROR; id.server. 0 CH TXT "ams1"`},
		{"who we are, the old way, in any letter case", "HostName.Bind. CH TXT", `NOERROR; HostName.Bind. 0 CH TXT "ams1"`},
		{"who we are, without RD", "id.server. CH TXT -rd", `NOERROR; id.server. 0 CH TXT "ams1"`},
		{"what version we are", "version.bind. CH TXT", "REFUSED EDE 21"},
		{"another name of that class", "www.example. CH A", "REFUSED EDE 21"},
		{"class HS", "www.example. HS A", "REFUSED EDE 21"},
		{"every class", "www.example. A ANY", "REFUSED EDE 21"},
		{"without RD", "www.example. A -rd", "REFUSED EDE 20"},
		{"without RD and EDNS", "www.example. A -rd -edns", "REFUSED"},
		{"every type", "www.example. ANY", `NOERROR; www.example. 3600 IN HINFO "RFC8482" ""`},
		{"a zone transfer", "www.example. AXFR", "REFUSED EDE 21"},
		{"type 0", "www.example. TYPE0", "NOTIMP EDE 30"},
		{"a meta type", "www.example. MAILB", "NOTIMP EDE 30"},
		{"OPT as a question", "www.example. OPT", "NOTIMP EDE 30"},

		{"localhost", "localhost. A", "NOERROR; localhost. 10800 IN A 127.0.0.1"},
		{"a name below localhost", "a.B.LocalHost. AAAA", "NOERROR; a.B.LocalHost. 10800 IN AAAA ::1"},
		{"another type of localhost", "localhost. MX", "NOERROR; soa localhost."},
		{"invalid", "a.invalid. A", "NXDOMAIN; soa invalid."},
		{"test", "a.test. A", "NXDOMAIN; soa test."},
		{"onion", "abc.onion. A", "NXDOMAIN; soa onion."},
		{"local", "printer.local. A -edns", "NXDOMAIN; soa local."},
		{"home.arpa itself", "home.arpa. A", "NOERROR; soa home.arpa."},
		{"a name below home.arpa", "tv.home.arpa. A", "NXDOMAIN; soa home.arpa."},
		{"resolver.arpa", "_dns.resolver.arpa. SVCB", "NOERROR; soa resolver.arpa."},
		{"the reverse of 10.1.2.3", "3.2.1.10.in-addr.arpa. PTR", "NXDOMAIN; soa 10.in-addr.arpa."},
		{"the reverse of 172.31.0.1", "1.0.31.172.in-addr.arpa. PTR", "NXDOMAIN; soa 31.172.in-addr.arpa."},
		{"the reverse of 100.127.0.1", "1.0.127.100.in-addr.arpa. PTR", "NXDOMAIN; soa 127.100.in-addr.arpa."},
		{"the reverse of 127.0.0.1", "1.0.0.127.in-addr.arpa. PTR", "NOERROR; 1.0.0.127.in-addr.arpa. 10800 IN PTR localhost."},
		{"the reverse of ::1", reverse6 + " PTR", "NOERROR; " + reverse6 + " 10800 IN PTR localhost."},
		{"the SOA of a private reverse zone", "10.in-addr.arpa. SOA", "NOERROR; 10.in-addr.arpa. 10800 IN SOA 10.in-addr.arpa. nobody.invalid. 1 3600 1200 604800 10800"},
		{"the NS of a private reverse zone", "10.in-addr.arpa. NS", "NOERROR; 10.in-addr.arpa. 10800 IN NS 10.in-addr.arpa."},
		{"a private reverse zone that is configured", "1.168.192.in-addr.arpa. PTR", "walked"},
		{"a zone beside it", "2.168.192.in-addr.arpa. PTR", "NXDOMAIN; soa 168.192.in-addr.arpa."},
		{"DS of a private reverse zone is its parent's", "10.in-addr.arpa. DS", "walked"},
		{"the reverse of 172.32.0.1", "1.0.32.172.in-addr.arpa. PTR", "walked"},
		{"a name that only ends alike", "notlocalhost. A", "walked"},
		{"the root", ". NS", "walked"},
		{"an unknown type", "www.example. TYPE65400", "walked"},
	}
	r := mustResolver(t, sim.New(1), iterate.Zone{Name: "1.168.192.in-addr.arpa.", Servers: []netip.AddrPort{netip.AddrPortFrom(otherAddr, 53)}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, ok := r.AnswerNow([]byte("dst"), mustQuery(t, tt.query), time.Now())
			if string(reply[:3]) != "dst" {
				t.Fatalf("reply %q does not extend dst", reply)
			}
			got := "walked"
			if ok {
				got = summary(t, reply[3:])
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestResolver_AnswerNow_doesNotAllocate(t *testing.T) {
	r := mustResolver(t, testInternet())
	mustAnswer(t, r, "www.example. A")
	dst := make([]byte, 0, 4096)
	for _, s := range []string{"www.example. A", "absent.example. A", "id.server. CH TXT", "www.example. ANY", "a.b.localhost. A", "3.2.1.10.in-addr.arpa. PTR", "www.example. A -rd"} {
		q, at := mustQuery(t, s), time.Now()
		if n := testing.AllocsPerRun(100, func() { r.AnswerNow(dst, q, at) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func TestResolver_AnswerNow_saysALongNameWithoutAllocating(t *testing.T) {
	known := mustResolver(t, testInternet())
	r, err := New(Options{Walker: known.walker, Cache: known.cache, Failures: known.failures, Unproven: known.unproven, ID: strings.Repeat("x", 63)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dst, q, at := make([]byte, 0, 4096), mustQuery(t, "id.server. CH TXT"), time.Now()
	if n := testing.AllocsPerRun(100, func() { r.AnswerNow(dst, q, at) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResolver_Answer(t *testing.T) {
	tests := []struct {
		name string
		harm func(n *sim.Internet)
		ask  string
		want string
	}{
		{"an answer", nil, "WWW.example. A", "NOERROR; WWW.example. 60 IN A 192.0.2.80"},
		{"a denial", nil, "absent.example. A", "NXDOMAIN; soa example."},
		{"an answer that may not be kept", nil, "never.example. A", "NOERROR; never.example. 0 IN A 192.0.2.81"},
		{"a failure says why", func(n *sim.Internet) { n.Unreachable(tldAddr) }, "www.example. A", "SERVFAIL EDE 23"},
		{"silence ends in time", func(n *sim.Internet) { n.Drop(tldAddr) }, "www.example. A", "SERVFAIL EDE 22"},
		{"a loop shows how far it was followed", nil, "loop.example. A", "SERVFAIL EDE 0; loop.example. 5 IN CNAME loop2.example.; loop2.example. 5 IN CNAME loop.example."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				if tt.harm != nil {
					tt.harm(n)
				}
				r := mustResolver(t, n)
				began := time.Now()
				if got := mustAnswer(t, r, tt.ask); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if took := time.Since(began); took > 4500*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestResolver_keepsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "www.example. A")
		n.Forget()
		time.Sleep(20 * time.Second)
		if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 40 IN A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := n.Exchanges(); got != 0 {
			t.Errorf("%d exchanges for a cached name", got)
		}
	})
}

func TestResolver_sharesFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "ns.example. A")
		n.Forget()
		var clients sync.WaitGroup
		for range 200 {
			clients.Go(func() {
				if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 60 IN A 192.0.2.80"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
		clients.Wait()
		if got := n.Exchanges(); got != 1 {
			t.Errorf("%d exchanges for 200 clients with one question, want 1", got)
		}
	})
}

func TestResolver_servesStale(t *testing.T) {
	tests := []struct {
		name string
		harm func(n *sim.Internet)
		took time.Duration // at most
	}{
		{"after 1.8 s of silence", func(n *sim.Internet) { n.Drop(tldAddr) }, 1800 * time.Millisecond},
		{"at once when the walk fails", func(n *sim.Internet) { n.Unreachable(tldAddr) }, 20 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := testInternet()
				r := mustResolver(t, n)
				mustAnswer(t, r, "www.example. A")
				time.Sleep(61 * time.Second)
				tt.harm(n)
				began := time.Now()
				if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR EDE 3; www.example. 30 IN A 192.0.2.80"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if took := time.Since(began); took > tt.took {
					t.Errorf("took %v, want %v at most", took, tt.took)
				}
			})
		})
	}
}

func TestResolver_prefersFreshOverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustResolver(t, testInternet())
		mustAnswer(t, r, "www.example. A")
		time.Sleep(61 * time.Second)
		if got, want := mustAnswer(t, r, "www.example. A"), "NOERROR; www.example. 60 IN A 192.0.2.80"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestResolver_remembersFailures(t *testing.T) {
	// The times between two questions to the world grow: 5, 10, 20, 40, 60, 60 s.
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "ns.example. A")
		n.Refuse(tldAddr)
		var pauses []int
		last := time.Now()
		for len(pauses) < 7 {
			n.Forget()
			mustAnswer(t, r, "www.example. A")
			if n.Exchanges() > 0 {
				pauses = append(pauses, int(time.Since(last)/time.Second))
				last = time.Now()
			}
			time.Sleep(time.Second)
		}
		if got, want := fmt.Sprint(pauses), "[0 5 10 20 40 60 60]"; got != want {
			t.Errorf("pauses %s, want %s", got, want)
		}
	})
}

func TestResolver_flightsOutliveClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		mustAnswer(t, r, "ns.example. A")
		n.Delay(tldAddr, 300*time.Millisecond)
		ctx, leave := context.WithCancel(context.Background())
		gone := make(chan []byte)
		go func() { gone <- r.Answer(ctx, nil, mustQuery(t, "www.example. A"), time.Now()) }()
		synctest.Wait()
		if got := r.Stats(); got.Waiters != 1 || got.Flying != 1 {
			t.Errorf("%d waiters, %d flights, want 1 and 1", got.Waiters, got.Flying)
		}
		leave()
		if reply := <-gone; len(reply) != 0 {
			t.Errorf("replied %x to a client that had gone", reply)
		}
		if got := r.Stats().Waiters; got != 0 {
			t.Errorf("%d waiters after the only one left", got)
		}
		time.Sleep(time.Second)
		if _, ok := r.AnswerNow(nil, mustQuery(t, "www.example. A"), time.Now()); !ok {
			t.Error("the flight did not land without its client")
		}
	})
}

func TestResolver_boundsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		r := mustResolver(t, n)
		n.Drop(rootAddr)
		r.mu.Lock()
		r.waiters = maxWaiters
		r.mu.Unlock()
		if got, want := mustAnswer(t, r, "www.example. A"), "SERVFAIL EDE 0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestResolver_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testInternet()
		n.Drop(rootAddr)
		r := mustResolver(t, n)
		waiting := make(chan string)
		go func() { waiting <- mustAnswer(t, r, "www.example. A") }()
		synctest.Wait()
		began := time.Now()
		r.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if got, want := <-waiting, "SERVFAIL EDE 14"; got != want {
			t.Errorf("the waiting client got %s, want %s", got, want)
		}
		if got, want := mustAnswer(t, r, "other.example. A"), "SERVFAIL EDE 14"; got != want {
			t.Errorf("after Close: got %s, want %s", got, want)
		}
	})
}

func TestNew_namesTheField(t *testing.T) {
	r := mustResolver(t, sim.New(1))
	good := Options{Walker: r.walker, Cache: r.cache, Failures: r.failures, Unproven: r.unproven}
	tests := []struct {
		name   string
		change func(*Options)
	}{
		{"Walker", func(o *Options) { o.Walker = nil }},
		{"Cache", func(o *Options) { o.Cache = nil }},
		{"Failures", func(o *Options) { o.Failures = nil }},
		{"Failures", func(o *Options) { o.Failures = o.Cache }},
		{"Unproven", func(o *Options) { o.Unproven = nil }},
		{"Unproven", func(o *Options) { o.Unproven = o.Cache }},
		{"ID", func(o *Options) { o.ID = strings.Repeat("x", 256) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "resolver: "+tt.name+": ") {
				t.Errorf("error %v, want one that names %s", err, tt.name)
			}
		})
	}
}

func BenchmarkResolver_AnswerNow(b *testing.B) {
	r := mustResolver(b, testInternet())
	mustAnswer(b, r, "www.example. A")
	q, at := mustQuery(b, "www.example. A"), time.Now()
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if reply, ok := r.AnswerNow(dst, q, at); !ok || !bytes.HasPrefix(reply, q.Packet[:2]) {
			b.Fatal("not answered")
		}
	}
}
