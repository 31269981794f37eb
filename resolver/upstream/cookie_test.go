package upstream

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const (
	ours   = "0123456789abcdef"
	theirs = "fedcba98765432100011223344556677"
)

var someServer = netip.MustParseAddrPort("192.0.2.53:53")

func TestJar_taste(t *testing.T) {
	fresh := &cookie{client: ours}
	known := &cookie{client: ours, server: "0011223344556677"}
	again := &cookie{client: ours, server: "0011223344556677", again: true}
	tests := []struct {
		name   string
		sent   *cookie
		stream bool
		rcode  int
		got    string // the reply's cookie; "-" if it has none
		want   verdict
		learnt string // the server's part that is known afterwards
	}{
		{"a cookie is learned", fresh, false, 0, ours + theirs, genuine, theirs},
		{"so is the longest", fresh, false, 0, ours + theirs + theirs, genuine, theirs + theirs},
		{"a new one replaces the old", known, false, 0, ours + theirs, genuine, theirs},
		{"a failure teaches as well", fresh, false, dns.RcodeServerFailure, ours + theirs, genuine, theirs},
		{"a server that knows no cookies is believed", fresh, false, 0, "-", genuine, ""},
		{"so is one that repeats what it does not know", fresh, false, 0, ours, genuine, ""},
		{"so is one that gives its part only sometimes", known, false, 0, ours, genuine, known.server},
		{"one that used to give them is not", known, false, 0, "-", noCookie, known.server},
		{"another's cookie is forged", fresh, false, 0, "0123456789abcdee" + theirs, wrongCookie, ""},
		{"so is another's to a known server", known, false, 0, "0123456789abcdee" + theirs, wrongCookie, known.server},
		{"an empty one is wrong", fresh, false, 0, "", wrongCookie, ""},
		{"half of ours is wrong", fresh, false, 0, ours[:8], wrongCookie, ""},
		{"a server's part that is too short is wrong", fresh, false, 0, ours + theirs[:14], wrongCookie, ""},
		{"one that is too long is wrong", fresh, false, 0, ours + theirs + theirs + "00", wrongCookie, ""},
		{"BADCOOKIE with a new cookie is a reply", known, false, dns.RcodeBadCookie, ours + theirs, genuine, theirs},
		{"BADCOOKIE again ends UDP", again, false, dns.RcodeBadCookie, ours + theirs, noCookie, theirs},
		{"BADCOOKIE without one ends UDP", fresh, false, dns.RcodeBadCookie, "-", noCookie, ""},
		{"BADCOOKIE with ours alone ends UDP", fresh, false, dns.RcodeBadCookie, ours, noCookie, ""},
		{"BADCOOKIE to a query without ends UDP", nil, false, dns.RcodeBadCookie, "-", noCookie, ""},
		{"a cookie is learned over TCP", fresh, true, 0, ours + theirs, genuine, theirs},
		{"its absence there makes us forget", known, true, 0, "-", genuine, ""},
		{"another's does no harm there", known, true, 0, theirs, genuine, known.server},
		{"BADCOOKIE there is a reply", again, true, dns.RcodeBadCookie, "-", genuine, ""},
		{"without one in the query none is wanted", nil, false, 0, "-", genuine, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := newJar()
			if tt.sent != nil && tt.sent.server != "" {
				j.known.Add(someServer, cookie{client: tt.sent.client, server: tt.sent.server, at: time.Now()})
			}
			m := question()
			m.Rcode = tt.rcode
			if tt.got != "-" {
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: tt.got}}
			}
			if got := j.taste(someServer, &query{cookie: tt.sent, stream: tt.stream}, m); got != tt.want {
				t.Errorf("verdict = %d, want %d", got, tt.want)
			}
			k := j.take(someServer)
			if k.server != tt.learnt || k.server != "" && k.client != ours {
				t.Errorf("next time it is %+v, want the server's part %q", k, tt.learnt)
			}
		})
	}
}

func TestJar_take(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJar()
		first, second := j.take(someServer), j.take(someServer)
		if len(first.client) != clientDigits || first.client == second.client || first.server+second.server != "" {
			t.Errorf("%+v and %+v are not two fresh cookies", first, second)
		}
		j.known.Add(someServer, cookie{client: ours, server: theirs, at: time.Now()})
		time.Sleep(cookieLife - time.Second)
		if k := j.take(someServer); k.client != ours || k.server != theirs {
			t.Errorf("%+v is not what was learned", k)
		}
		if k := j.take(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.54"), 53)); k.client == ours || k.server != "" {
			t.Errorf("%+v was another server's", k)
		}
		time.Sleep(time.Second)
		if k := j.take(someServer); k.client == ours || k.server != "" {
			t.Errorf("%+v is an hour old", k)
		}
	})
}

// A strict server gives each client a cookie and refuses to answer without it.
type strict struct {
	mu    sync.Mutex
	heard []string // cookies, in order
}

func (s *strict) answer(q []byte) [][]byte {
	var m dns.Msg
	if err := m.Unpack(q); err != nil {
		panic(err)
	}
	k, _ := cookieIn(&m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, k)
	p := answer(q, func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: k[:clientDigits] + theirs}}
		if k[clientDigits:] != theirs {
			m.Rcode = dns.RcodeBadCookie
		}
	})
	return [][]byte{p}
}

func TestExchange_givesTheCookieBack(t *testing.T) {
	var s strict
	to := serveUDP(t, "127.0.0.1", s.answer)
	c := mustClient(t, Options{})
	q := question()
	q.IsEdns0().Option = []dns.EDNS0{ // of a client, which is not passed on
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: ours + theirs},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: ours},
	}
	for i, want := range []int{dns.RcodeBadCookie, dns.RcodeSuccess, dns.RcodeSuccess} {
		reply, err := c.Exchange(within(t, patience), to, q, false)
		if err != nil || reply.Rcode != want {
			t.Errorf("reply %d is %v, error %v, want rcode %d", i, reply, err, want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) != 3 || len(s.heard[0]) != clientDigits || strings.HasPrefix(s.heard[0], ours) ||
		s.heard[1] != s.heard[0]+theirs || s.heard[2] != s.heard[1] {
		t.Errorf("the server heard %q", s.heard)
	}
	if len(q.IsEdns0().Option) != 2 {
		t.Error("the caller's message was changed")
	}
	if got := c.Stats().Cookies; got != 1 {
		t.Errorf("Cookies = %d, want 1", got)
	}
}

func TestExchange_endsARowOfBadCookies(t *testing.T) {
	var n atomic.Int32
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
		n.Add(1)
		return [][]byte{answer(q, func(m *dns.Msg) {
			m.SetEdns0(1232, true)
			var asked dns.Msg
			_ = asked.Unpack(q)
			k, _ := cookieIn(&asked)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: k[:clientDigits] + theirs}}
			m.Rcode = dns.RcodeBadCookie
		})}
	})
	c := mustClient(t, Options{})
	if reply, err := c.Exchange(within(t, patience), to, question(), false); err != nil || reply.Rcode != dns.RcodeBadCookie {
		t.Errorf("first reply is %v, error %v, want BADCOOKIE", reply, err)
	}
	if _, err := c.Exchange(within(t, patience), to, question(), false); !errors.Is(err, ErrSuspicious) {
		t.Errorf("second err = %v, want ErrSuspicious", err)
	}
	if n.Load() != 2 {
		t.Errorf("asked %d times, want twice", n.Load())
	}
}

func TestExchange_ignoresForgedCookies(t *testing.T) {
	var s strict
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
		forged := answer(q, func(m *dns.Msg) {
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: ours + theirs}}
			m.Rcode = dns.RcodeNameError
		})
		return append([][]byte{forged}, s.answer(q)...)
	})
	c := mustClient(t, Options{})
	reply, err := c.Exchange(within(t, patience), to, question(), false)
	if err != nil || reply.Rcode != dns.RcodeBadCookie {
		t.Fatalf("reply %v, error %v, want the true one", reply, err)
	}
	if got := c.Stats().WrongCookie; got != 1 {
		t.Errorf("WrongCookie = %d, want 1", got)
	}
}

func TestExchange_suspectsAMissingCookie(t *testing.T) {
	var s strict
	tests := []struct {
		name string
		bare func(q []byte) []byte
	}{
		{"an answer without", truth},
		{"a header that says FORMERR", func(q []byte) []byte {
			return answer(q, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var forge atomic.Bool
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
				if forge.Load() {
					return [][]byte{tt.bare(q)}
				}
				return s.answer(q)
			})
			c := mustClient(t, Options{})
			if _, err := c.Exchange(within(t, patience), to, question(), false); err != nil {
				t.Fatal(err)
			}
			forge.Store(true)
			if _, err := c.Exchange(within(t, patience), to, question(), false); !errors.Is(err, ErrSuspicious) {
				t.Errorf("err = %v, want ErrSuspicious", err)
			}
			plain := question()
			plain.Extra = nil
			if _, err := c.Exchange(within(t, patience), to, plain, false); err != nil {
				t.Errorf("without EDNS none can be missed, but error %v", err)
			}
		})
	}
}

func TestExchange_withoutCookies(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		plan func(q *dns.Msg)
		want bool
	}{
		{"by default a cookie goes along", Options{}, func(*dns.Msg) {}, true},
		{"not where they are off", Options{NoCookies: true}, func(*dns.Msg) {}, false},
		{"not even a client's", Options{NoCookies: true}, func(q *dns.Msg) { putCookie(q, &cookie{client: ours}) }, false},
		{"not without EDNS", Options{}, func(q *dns.Msg) { q.Extra = nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan []byte, 2)
			hear := func(q []byte) [][]byte {
				asked <- bytes.Clone(q)
				return [][]byte{truth(q)}
			}
			datagrams := serveUDP(t, "127.0.0.1", hear)
			streams := serveTCP(t, "127.0.0.1", func(conn net.Conn, q []byte) { conn.Write(frames(hear(q)...)) })
			q := question()
			tt.plan(q)
			c := mustClient(t, tt.o)
			for stream, to := range map[bool]netip.AddrPort{false: datagrams, true: streams} {
				if _, err := c.Exchange(within(t, patience), to, q, stream); err != nil {
					t.Fatal(err)
				}
				var m dns.Msg
				if err := m.Unpack(<-asked); err != nil {
					t.Fatal(err)
				}
				if _, got := cookieIn(&m); got != tt.want {
					t.Errorf("with a cookie: %t, want %t", got, tt.want)
				}
			}
		})
	}
}

func FuzzJar_taste(f *testing.F) {
	sent := &cookie{client: ours, server: theirs}
	m := question()
	putCookie(m, sent)
	q, err := pack(m, sent)
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range []string{ours, ours + theirs, theirs, ""} {
		p := answer(q.packet, func(m *dns.Msg) {
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: k}}
		})
		f.Add(p[q.end:])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, records []byte) {
		packet := append(bytes.Clone(q.packet[:q.end]), records...)
		packet[2] |= flagQR
		m, v := q.read(packet)
		if v != genuine {
			return
		}
		j := newJar()
		v = j.taste(someServer, q, m)
		k, known := j.known.Get(someServer)
		if !known {
			return
		}
		if all := k.client + k.server; k.client != ours || len(all) < minDigits || len(all) > maxDigits {
			t.Fatalf("learned %+v", k)
		}
		if got, _ := cookieIn(m); got != k.client+k.server || v == wrongCookie {
			t.Fatalf("learned %+v of %q with verdict %d", k, got, v)
		}
	})
}
