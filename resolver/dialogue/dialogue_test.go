package dialogue

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/resolver/limit"
	"proxima/resolver/reply"
	"proxima/resolver/selection"
	"proxima/test/sim"

	"github.com/miekg/dns"
)

// server is where all questions of these tests go.
var server = netip.MustParseAddrPort("192.0.2.1:53")

// A line is the way to an Internet, and writes down each exchange: E with EDNS
// over UDP, T over TCP; e and t without EDNS.
type line struct {
	*sim.Internet
	ways strings.Builder
	name string // as it was asked last
}

func (l *line) Exchange(ctx context.Context, to netip.AddrPort, q *dns.Msg, stream bool) (*dns.Msg, error) {
	letter := "E"
	if stream {
		letter = "T"
	}
	if q.IsEdns0() == nil {
		letter = strings.ToLower(letter)
	}
	l.ways.WriteString(letter)
	l.name = q.Question[0].Name
	return l.Internet.Exchange(ctx, to, q, stream)
}

// mustLine returns the line to a server of example. and one who asks there.
func mustLine(t testing.TB) (*line, *Asker) {
	t.Helper()
	l := &line{Internet: sim.New(1)}
	l.RoundTrip(10 * time.Millisecond)
	l.Zone("example.", "www A 192.0.2.80\n", server.Addr())
	a, err := New(Options{Exchanger: l, Selection: selection.New(0), Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	return l, a
}

// ask puts a question as a walk does: as often as selection offers the only
// server of a zone, until it replies. It returns the exchanges, then a + if the
// reply was useful.
func (l *line) ask(t testing.TB, a *Asker, change func(*Question)) string {
	t.Helper()
	q := &Question{
		Question: dns.Question{Name: "www.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET},
		From:     reply.From{Zone: "example."}, Budget: limit.NewBudget(), Pay: func() error { return nil },
	}
	if change != nil {
		change(q)
	}
	l.ways.Reset()
	for range 3 {
		v, end, err := a.Ask(t.Context(), q, server, 400*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if end == Replied {
			if v.Kind == reply.Answer {
				l.ways.WriteByte('+')
			}
			break
		}
	}
	return l.ways.String()
}

// says makes a server say rcode to what matters, and nothing else.
func says(rcode int, to func(q *dns.Msg, stream bool) bool) sim.Spoofer {
	return func(q, honest *dns.Msg, stream bool) *dns.Msg {
		if !to(q, stream) {
			return honest
		}
		m := new(dns.Msg)
		m.SetRcode(q, rcode)
		if rcode == dns.RcodeBadCookie || rcode == dns.RcodeBadVers {
			m.SetEdns0(1232, true)
		}
		return m
	}
}

// What matters to says.
var (
	always   = func(*dns.Msg, bool) bool { return true }
	withEDNS = func(q *dns.Msg, _ bool) bool { return q.IsEdns0() != nil }
	datagram = func(_ *dns.Msg, stream bool) bool { return !stream }
)

// once is to the first time that it matters.
func once(to func(*dns.Msg, bool) bool) func(*dns.Msg, bool) bool {
	done := false
	return func(q *dns.Msg, stream bool) bool {
		if done || !to(q, stream) {
			return false
		}
		done = true
		return true
	}
}

func TestAsker_Ask(t *testing.T) {
	secure := func(q *Question) { q.Secure = true }
	streams := func(q *Question) { q.Stream = true }
	spoof := func(fn sim.Spoofer) func(l *line) { return func(l *line) { l.Spoof(server.Addr(), fn) } }
	fault := func(fn func(l *line) func(...netip.Addr)) func(*line) { return func(l *line) { fn(l)(server.Addr()) } }
	tests := []struct {
		name   string
		harm   func(l *line)
		how    func(*Question)
		first  string // exchanges
		second string // of the next question
	}{
		{"a good server is asked once", func(*line) {}, nil, "E+", "E+"},
		{"one without EDNS is asked without", fault(func(l *line) func(...netip.Addr) { return l.NoEDNS }), nil, "Ee+", "e+"},
		{"one that is silent to EDNS is asked without", fault(func(l *line) func(...netip.Addr) { return l.DropEDNS }), nil, "Ee+", "e+"},
		{"but not for a signed zone", fault(func(l *line) func(...netip.Addr) { return l.DropEDNS }), secure, "EET", "EET"},
		{"one that hears TCP alone is asked there", fault(func(l *line) func(...netip.Addr) { return l.DropDatagrams }), nil, "EeT+", "T+"},
		{"also for a signed zone", fault(func(l *line) func(...netip.Addr) { return l.DropDatagrams }), secure, "EET+", "T+"},
		{"a silent one is asked three times", fault(func(l *line) func(...netip.Addr) { return l.Drop }), nil, "EeT", "EeT"},
		{"one that has no TCP either, too", func(l *line) { l.DropDatagrams(server.Addr()); l.NoStream(server.Addr()) }, nil, "EeT", "EeT"},
		{"what does not fit is asked for by TCP", fault(func(l *line) func(...netip.Addr) { return l.Truncate }), nil, "ET+", "ET+"},
		{"one that changes letter case is asked by TCP, then in lower case", fault(func(l *line) func(...netip.Addr) { return l.LoseCase }), nil, "ET+", "E+"},
		{"in lower case it never mattered", fault(func(l *line) func(...netip.Addr) { return l.LoseCase }), func(q *Question) { q.Lower = true }, "E+", "E+"},
		{"TCP alone, because the operator wants it", func(*line) {}, streams, "T+", "T+"},
		{"TCP alone, without EDNS", fault(func(l *line) func(...netip.Addr) { return l.NoEDNS }), streams, "Tt+", "t+"},
		{"TCP alone, but there is none", fault(func(l *line) func(...netip.Addr) { return l.NoStream }), streams, "TT", "TT"},

		{"a forged FORMERR takes no EDNS from a signed zone", spoof(says(dns.RcodeFormatError, once(datagram))), secure, "ET+", "E+"},
		{"a wanted cookie is sent", spoof(says(dns.RcodeBadCookie, once(always))), nil, "EE+", "E+"},

		{"FORMERR for ever", spoof(says(dns.RcodeFormatError, always)), nil, "Ee", "Ee"},
		{"FORMERR for ever, in a signed zone", spoof(says(dns.RcodeFormatError, always)), secure, "ET", "ET"},
		{"REFUSED for ever", spoof(says(dns.RcodeRefused, always)), nil, "E", "E"},
		{"BADVERS for ever", spoof(says(dns.RcodeBadVers, always)), nil, "E", "E"},
		{"BADCOOKIE for ever (CVE-2026-5950)", spoof(says(dns.RcodeBadCookie, always)), nil, "EET", "EET"},
		{"truncated for ever", spoof(func(_, honest *dns.Msg, _ bool) *dns.Msg { honest.Truncated = true; return honest }), nil, "ET", "ET"},
		{"no EDNS, truncated without, no EDNS over TCP", spoof(flipFlop), nil, "Eet", "Eet"},
		{"no EDNS, then silence", spoof(muteWithoutEDNS), nil, "EeeTt", "EeeTt"},
		{"truncated, and streams that break (CVE-2023-46317)", func(l *line) { l.Truncate(server.Addr()); l.NoStream(server.Addr()) }, nil, "ETE", "ETE"},
		{"forged for ever, and streams that break", func(l *line) { l.LoseCase(server.Addr()); l.NoStream(server.Addr()) }, nil, "ETEE", "ETEE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, a := mustLine(t)
				tt.harm(l)
				got := [2]string{l.ask(t, a, tt.how), l.ask(t, a, tt.how)}
				if want := [2]string{tt.first, tt.second}; got != want {
					t.Errorf("asked %q, want %q", got, want)
				}
			})
		})
	}
}

// flipFlop denies EDNS and cuts what is asked without.
func flipFlop(q, honest *dns.Msg, stream bool) *dns.Msg {
	if q.IsEdns0() != nil {
		return says(dns.RcodeFormatError, always)(q, honest, stream)
	}
	honest.Truncated = true
	return honest
}

// muteWithoutEDNS denies EDNS and is silent to what is asked without.
func muteWithoutEDNS(q, honest *dns.Msg, stream bool) *dns.Msg {
	if q.IsEdns0() != nil {
		return says(dns.RcodeFormatError, always)(q, honest, stream)
	}
	return nil
}

func TestAsker_remembersServers(t *testing.T) {
	tests := []struct {
		name string
		harm func(l *line)
		life time.Duration
		want [3]string // at first; when healed; and when what was learned is over
	}{
		{"without EDNS for a minute", func(l *line) { l.NoEDNS(server.Addr()) }, plainLife, [3]string{"Ee+", "e+", "E+"}},
		{"as deaf for a minute", func(l *line) { l.DropDatagrams(server.Addr()) }, deafLife, [3]string{"EeT+", "T+", "E+"}},
		{"as changing letters for an hour", func(l *line) { l.LoseCase(server.Addr()) }, lowerLife, [3]string{"ET+", "E+", "E+"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, a := mustLine(t)
				tt.harm(l)
				got := [3]string{l.ask(t, a, nil)}
				l.Heal(server.Addr())
				got[1] = l.ask(t, a, nil)
				lower := l.name == "www.example."
				time.Sleep(tt.life)
				got[2] = l.ask(t, a, nil)
				if got != tt.want {
					t.Errorf("asked %q, want %q", got, tt.want)
				}
				if want := tt.life == lowerLife; lower != want || l.name == "www.example." {
					t.Errorf("while it was known, in lower case is %t, want %t; then %s", lower, want, l.name)
				}
			})
		})
	}
}

func TestAsker_wantsProofOfNoEDNS(t *testing.T) {
	tests := []struct {
		name   string
		before func(l *line, t *testing.T, a *Asker)
		how    func(*Question)
		want   string
	}{
		{"a server that has shown EDNS is not taken for one without because packets got lost", func(l *line, t *testing.T, a *Asker) {
			l.ask(t, a, nil)
			l.Drop(server.Addr())
		}, nil, "EET"},
		{"nor remembered as one because it was told so", func(l *line, t *testing.T, a *Asker) {
			l.ask(t, a, nil)
			l.Spoof(server.Addr(), says(dns.RcodeFormatError, once(withEDNS)))
			if got := l.ask(t, a, nil); got != "Ee+" {
				t.Errorf("asked %s, want Ee+", got)
			}
		}, nil, "E+"},
		{"what was learned from an unsigned zone does not count for a signed one", func(l *line, t *testing.T, a *Asker) {
			l.Spoof(server.Addr(), says(dns.RcodeFormatError, withEDNS))
			if got := l.ask(t, a, nil) + l.ask(t, a, nil); got != "Ee+e+" {
				t.Errorf("asked %s, want Ee+e+", got)
			}
			l.Heal(server.Addr())
		}, func(q *Question) { q.Secure = true }, "E+"},
		{"one that replies to nothing useful has not shown it", func(l *line, t *testing.T, a *Asker) {
			l.Spoof(server.Addr(), says(dns.RcodeNotImplemented, always))
			l.ask(t, a, nil)
		}, nil, "Ee"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, a := mustLine(t)
				tt.before(l, t, a)
				if got := l.ask(t, a, tt.how); got != tt.want {
					t.Errorf("asked %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestAsker_drawsLetterCase(t *testing.T) {
	const draws = 2_000
	_, a := mustLine(t)
	const name = "abcdefghijklmnopqrstuvwxyz0123456789-_.example."
	upper := make(map[int]int)
	seen := make(map[string]bool)
	for range draws {
		got := a.dress(name, way{})
		if !strings.EqualFold(got, name) {
			t.Fatalf("%s became %s", name, got)
		}
		seen[got] = true
		for i := range got {
			if got[i] != name[i] {
				upper[i]++
			}
		}
	}
	if len(seen) != draws {
		t.Errorf("%d of %d draws repeat", draws-len(seen), draws)
	}
	for i, letter := range name {
		isLetter := 'a' <= letter && letter <= 'z'
		if n := upper[i]; isLetter && (n < draws*9/20 || n > draws*11/20) || !isLetter && n > 0 {
			t.Errorf("octet %d, %c, was in upper case %d times of %d", i, letter, n, draws)
		}
	}
	if got := a.dress(name, way{lower: true}); got != name {
		t.Errorf("in lower case it became %s", got)
	}
}

func TestAsker_countsWhatItLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a := mustLine(t)
		for _, harm := range []func(...netip.Addr){l.NoEDNS, l.DropDatagrams, l.LoseCase} {
			harm(server.Addr())
			l.ask(t, a, nil)
			l.Heal(server.Addr())
			time.Sleep(ednsLife)
		}
		l.Truncate(server.Addr())
		l.NoStream(server.Addr())
		l.ask(t, a, nil)
		want := Stats{
			Exchanges: 10, Streams: 3, Plain: 2, Timeouts: 2, Faults: 1, Suspicious: 1, Limited: 1,
			LearnedPlain: 1, LearnedCase: 1, LearnedDeaf: 1, Remembered: 1,
		}
		if got := a.Stats(); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}
