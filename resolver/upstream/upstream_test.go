package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"proxima/crew"

	"github.com/miekg/dns"
)

const (
	patience = time.Minute            // more than any test needs
	moment   = 150 * time.Millisecond // how long silence is listened to
)

func TestExchange_ignoresWhatIsNoReply(t *testing.T) {
	tests := []struct {
		name   string
		before script // what comes before the truth
		want   Stats
	}{
		{"nothing", func([]byte) [][]byte { return nil }, Stats{}},
		{"a wrong name", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.exbmple." })}
		}, Stats{WrongQuestion: 1}},
		{"a longer name", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.example.example." })}
		}, Stats{WrongQuestion: 1}},
		{"a wrong type", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA })}
		}, Stats{WrongQuestion: 1}},
		{"a wrong class", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })}
		}, Stats{WrongQuestion: 1}},
		{"no question", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question = nil; m.Rcode = dns.RcodeServerFailure })}
		}, Stats{WrongQuestion: 1}},
		{"the query itself", func(q []byte) [][]byte { return [][]byte{q} }, Stats{Malformed: 1}},
		{"another opcode", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify })}
		}, Stats{Malformed: 1}},
		{"an empty datagram", func([]byte) [][]byte { return [][]byte{{}} }, Stats{Malformed: 1}},
		{"half a header", func(q []byte) [][]byte { return [][]byte{q[:6]} }, Stats{Malformed: 1}},
		{"noise", func([]byte) [][]byte {
			return [][]byte{[]byte("GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")}
		}, Stats{Malformed: 1}},
		{"counts that lie", func(q []byte) [][]byte {
			p := truth(q)
			binary.BigEndian.PutUint16(p[ancount:], 0xffff)
			return [][]byte{p}
		}, Stats{Malformed: 1}},
		{"a record cut off", func(q []byte) [][]byte {
			p := truth(q)
			return [][]byte{p[:len(p)-2]}
		}, Stats{Malformed: 1}},
		{"more than a datagram should hold", func(q []byte) [][]byte {
			return [][]byte{append(truth(q)[:20], make([]byte, 2*maxDatagram)...)}
		}, Stats{WrongQuestion: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return append(tt.before(q), truth(q)) })
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if len(reply.Answer) != 1 {
				t.Errorf("reply is\n%v\nwant one address", reply)
			}
			tt.want.Datagrams, tt.want.Replies = 1, 1
			if got := c.Stats(); got != tt.want {
				t.Errorf("Stats = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestExchange_keepsTheQuestionAsGiven(t *testing.T) {
	asked := make(chan []byte, 1)
	to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
		asked <- slices.Clone(q)
		return [][]byte{truth(q)}
	})
	q := question()
	q.Id = 4711
	reply, err := mustClient(t, Options{}).Exchange(within(t, patience), to, q, false)
	if err != nil {
		t.Fatal(err)
	}
	var got dns.Msg
	if err := got.Unpack(<-asked); err != nil {
		t.Fatal(err)
	}
	if q.Id != 4711 || reply.Id != got.Id {
		t.Errorf("query's ID became %d; asked %d, got %d", q.Id, got.Id, reply.Id)
	}
	if got.Question[0] != q.Question[0] || got.IsEdns0() == nil || got.IsEdns0().UDPSize() != 1232 || !got.IsEdns0().Do() {
		t.Errorf("asked\n%v\nwant\n%v", &got, q)
	}
}

func TestExchange_endsAtANearMiss(t *testing.T) {
	tests := []struct {
		name string
		miss script
		want Stats // whether the truth follows or not
	}{
		{"a wrong ID", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Id++ })}
		}, Stats{WrongID: 1}},
		{"two hundred wrong IDs", func(q []byte) [][]byte {
			return slices.Repeat([][]byte{answer(q, func(m *dns.Msg) { m.Id ^= 0x100 })}, 200)
		}, Stats{WrongID: 1}},
		{"a wrong ID without a question", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Id++; m.Question = nil; m.Rcode = dns.RcodeFormatError })}
		}, Stats{WrongID: 1}},
		{"a letter in lower case", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.Example." })}
		}, Stats{WrongCase: 1}},
		{"all letters in lower case, truncated", func(q []byte) [][]byte {
			return [][]byte{answer(q, func(m *dns.Msg) { m.Question[0].Name = "www.example."; m.Truncated = true })}
		}, Stats{WrongCase: 1}},
		{"an ignored packet first", func(q []byte) [][]byte {
			return [][]byte{q, answer(q, func(m *dns.Msg) { m.Id++ })}
		}, Stats{WrongID: 1, Malformed: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return append(tt.miss(q), truth(q)) })
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), false)
			if !errors.Is(err, ErrSuspicious) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("reply %v, err = %v, want ErrSuspicious", reply, err)
			}
			var s interface{ Suspicious() bool } // by which dialogue knows it
			if !errors.As(err, &s) || !s.Suspicious() {
				t.Error("it does not say that it is suspicious")
			}
			tt.want.Datagrams, tt.want.Suspicious = 1, 1
			if got := c.Stats(); got != tt.want {
				t.Errorf("Stats = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestExchange_takesAnyLetterCaseOverTCP(t *testing.T) {
	to := serveTCP(t, "127.0.0.1", func(conn net.Conn, q []byte) {
		conn.Write(frames(answer(q, func(m *dns.Msg) { m.Question[0].Name = "WwW.eXAMPLE." })))
	})
	if _, err := mustClient(t, Options{}).Exchange(within(t, patience), to, question(), true); err != nil {
		t.Error(err)
	}
}

func TestExchange_returnsFailuresAsReplies(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeBadVers} {
		t.Run(dns.RcodeToString[rcode], func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte {
				return [][]byte{answer(q, func(m *dns.Msg) {
					m.SetEdns0(1232, false)
					m.Rcode = rcode
				})}
			})
			reply, err := mustClient(t, Options{}).Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if reply.Rcode != rcode {
				t.Errorf("rcode = %d, want %d", reply.Rcode, rcode)
			}
		})
	}
}

func TestExchange_returnsTruncationWithoutRecords(t *testing.T) {
	tests := []struct {
		name   string
		packet func(q []byte) []byte
	}{
		{"whole records", func(q []byte) []byte {
			p := truth(q)
			p[2] |= flagTC
			return p
		}},
		{"longer than is read, without TC", func(q []byte) []byte {
			return answer(q, func(m *dns.Msg) {
				m.Answer = slices.Repeat([]dns.RR{&dns.A{
					Hdr: dns.RR_Header{Name: "www.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, 1),
				}}, maxDatagram/16)
			})
		}},
		{"cut within a record", func(q []byte) []byte {
			p := truth(q)
			p[2] |= flagTC
			return p[:len(p)-3]
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := serveUDP(t, "127.0.0.1", func(q []byte) [][]byte { return [][]byte{tt.packet(q)} })
			c := mustClient(t, Options{})
			reply, err := c.Exchange(within(t, patience), to, question(), false)
			if err != nil {
				t.Fatal(err)
			}
			if !reply.Truncated || len(reply.Question) != 1 || len(reply.Answer)+len(reply.Ns)+len(reply.Extra) != 0 {
				t.Errorf("reply is\n%v\nwant TC and the question alone", reply)
			}
			if got := c.Stats().Truncated; got != 1 {
				t.Errorf("Truncated = %d, want 1", got)
			}
		})
	}
}

func TestQuery_readTakesABareHeader(t *testing.T) {
	tests := []struct {
		name  string
		rcode int
		tc    bool
		ok    bool
	}{
		{"FORMERR", dns.RcodeFormatError, false, true},
		{"NOTIMP", dns.RcodeNotImplemented, false, true},
		{"SERVFAIL is ignored", dns.RcodeServerFailure, false, false},
		{"so is FORMERR with TC", dns.RcodeFormatError, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := mustPack(t, "www.example.")
			packet := answer(q.packet, func(m *dns.Msg) { m.Question, m.Rcode, m.Truncated = nil, tt.rcode, tt.tc })
			m, v := q.read(packet)
			if ok := v == genuine; ok != tt.ok || ok && (m.Rcode != tt.rcode || len(m.Question) != 0) {
				t.Errorf("verdict %d, message %v", v, m)
			}
		})
	}
}

func TestExchange_endsInTime(t *testing.T) {
	silent := serveUDP(t, "127.0.0.1", func([]byte) [][]byte { return nil })
	mute := serveTCP(t, "127.0.0.1", func(conn net.Conn, _ []byte) { hangUp(conn) })
	tests := []struct {
		name   string
		to     netip.AddrPort
		stream bool
	}{
		{"a silent server", silent, false},
		{"a silent server over TCP", mute, true},
	}
	for _, tt := range tests {
		t.Run(tt.name+" at the deadline", func(t *testing.T) {
			c := mustClient(t, Options{})
			_, err := c.Exchange(within(t, moment), tt.to, question(), tt.stream)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want DeadlineExceeded", err)
			}
			if got := c.Stats().Timeouts; got != 1 {
				t.Errorf("Timeouts = %d, want 1", got)
			}
		})
		t.Run(tt.name+" when cancelled", func(t *testing.T) {
			c := mustClient(t, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(moment, cancel)
			_, err := c.Exchange(ctx, tt.to, question(), tt.stream)
			if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want Canceled", err)
			}
		})
		t.Run(tt.name+" when closed", func(t *testing.T) {
			c := mustClient(t, Options{})
			time.AfterFunc(moment, func() { c.Close() })
			_, err := c.Exchange(t.Context(), tt.to, question(), tt.stream)
			if !errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
				t.Errorf("err = %v, want ErrClosed", err)
			}
		})
	}
}

func TestExchange_refusesToAsk(t *testing.T) {
	c := mustClient(t, Options{})
	tests := []struct {
		name      string
		questions []dns.Question
	}{
		{"no question", nil},
		{"two questions", []dns.Question{{Name: "a.example."}, {Name: "b.example."}}},
		{"no name", []dns.Question{{Name: strings.Repeat("a", 64) + ".example."}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Exchange(t.Context(), netip.MustParseAddrPort("127.0.0.1:53"), &dns.Msg{Question: tt.questions}, false)
			if err == nil {
				t.Error("no error")
			}
		})
	}
	if got := c.Stats(); got != (Stats{}) {
		t.Errorf("Stats = %+v, want nothing counted", got)
	}
}

func TestNew_refuses(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"too many sockets", Options{Sockets: maxSockets + 1}, "Sockets"},
		{"a negative number of sockets", Options{Sockets: -1}, "Sockets"},
		{"no address as a source", Options{Sources: []netip.Addr{{}}}, "Sources"},
		{"the wildcard as a source", Options{Sources: []netip.Addr{netip.IPv6Unspecified()}}, "Sources"},
		{"a multicast source", Options{Sources: []netip.Addr{netip.MustParseAddr("224.0.0.1")}}, "Sources"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one that names %s", err, tt.want)
			}
		})
	}
}

func TestClose_twiceIsHarmless(t *testing.T) {
	c := mustClient(t, Options{})
	c.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	_, err := c.Exchange(t.Context(), netip.MustParseAddrPort("127.0.0.1:53"), question(), false)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("err = %v after Close, want ErrClosed", err)
	}
}

// An askedTerm is a Term that tells when somebody asks for its end.
type askedTerm struct {
	*crew.Term
	asked chan struct{}
}

func (a askedTerm) Done() <-chan struct{} {
	close(a.asked)
	return a.Term.Done()
}

func TestExchange_endsInTimeAlsoIfItHasWaited(t *testing.T) {
	c := mustClient(t, Options{Sockets: 1})
	silent := serveUDP(t, "127.0.0.1", func([]byte) [][]byte { return nil })
	q, err := pack(question(), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.began = time.Now().Add(-time.Hour) // so long it waits for the one slot
	c.slots <- struct{}{}
	ctx := askedTerm{crew.Within(t.Context(), moment), make(chan struct{})}
	defer ctx.Stop()
	ended := make(chan error, 1)
	go func() {
		_, err := c.exchange(ctx, silent, q, false)
		ended <- err
	}()
	<-ctx.asked
	<-c.slots
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("goes on after its end")
	}
}
