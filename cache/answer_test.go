package cache

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"proxima/wire"
)

// learned is when the answers of these tests were.
var learned = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// mustMessage packs a compressed reply. Records after a line "--" are in the
// authority section, after a second one in the additional section.
func mustMessage(t testing.TB, name string, typ uint16, rcode int, records string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.Response, m.Compress, m.Rcode = true, true, rcode
	sections := []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra}
	for line := range strings.Lines(records) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if line == "--" {
			sections = sections[1:]
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		*sections[0] = append(*sections[0], rr)
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func mustAnswer(t testing.TB, msg []byte, m Meta) *Answer {
	t.Helper()
	if m.At.IsZero() {
		m.At = learned
	}
	a, err := NewAnswer(msg, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mustQuery is a query as a client sends it.
func mustQuery(t testing.TB, name string, typ uint16, edit func(*dns.Msg)) *wire.Query {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.Id = 0x1234
	if edit != nil {
		edit(m)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(wire.Query)
	if f := wire.ParseQuery(q, packet); f != wire.OK {
		t.Fatalf("fault = %d", f)
	}
	return q
}

func withDO(m *dns.Msg) { m.SetEdns0(4096, true) }

func withEDNS(m *dns.Msg) { m.SetEdns0(4096, false) }

// text is a reply as lines: flags, question, records with their sections.
func text(t testing.TB, reply []byte) string {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("the reply does not parse: %v\n% x", err, reply)
	}
	if _, ok := wire.AppendRecords(nil, reply); !ok {
		t.Fatalf("the counts of the reply are wrong:\n% x", reply)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %#x", dns.RcodeToString[m.Rcode], m.Id)
	for _, f := range []struct {
		on   bool
		name string
	}{
		{m.Response, " qr"}, {m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionDesired, " rd"},
		{m.RecursionAvailable, " ra"}, {m.AuthenticatedData, " ad"}, {m.CheckingDisabled, " cd"},
	} {
		if f.on {
			b.WriteString(f.name)
		}
	}
	for _, q := range m.Question {
		fmt.Fprintf(&b, "\n? %s %s", q.Name, dns.Type(q.Qtype))
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if opt, ok := rr.(*dns.OPT); ok {
				fmt.Fprintf(&b, "\n+ OPT %d do=%t", opt.UDPSize(), opt.Do())
				for _, o := range opt.Option {
					e := o.(*dns.EDNS0_EDE)
					fmt.Fprintf(&b, " EDE %d %q", e.InfoCode, e.ExtraText)
				}
				continue
			}
			fmt.Fprintf(&b, "\n%c %s", "!-+"[i], strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return b.String()
}

// lines joins the lines of a raw string, without their indentation.
func lines(s string) string {
	var kept []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

const signature = "8 2 300 20260201000000 20260101000000 4242 example. c2lnbmF0dXJl"

// raced is set under the race detector, which makes a sync.Pool forgetful.
var raced bool

func TestAnswer_State(t *testing.T) {
	addresses := "www.example. 300 IN A 192.0.2.1\nwww.example. 60 IN A 192.0.2.2"
	denial := "--\nexample. 90 IN SOA ns.example. h.example. 1 2 3 4 90\n--\nx.example. 5 IN A 192.0.2.1"
	tests := []struct {
		name    string
		records string
		meta    Meta
		age     time.Duration
		want    State
	}{
		{"new", addresses, Meta{}, 0, Fresh},
		{"asked for before it was learned", addresses, Meta{}, -time.Second, Fresh},
		{"just below the least TTL", addresses, Meta{}, time.Minute - 1, Fresh},
		{"at the least TTL", addresses, Meta{Stale: time.Hour}, time.Minute, Stale},
		{"never stale unless wanted", addresses, Meta{}, time.Minute, Dead},
		{"just below the end of staleness", addresses, Meta{Stale: time.Hour}, time.Hour + time.Minute - 1, Stale},
		{"at the end of staleness", addresses, Meta{Stale: time.Hour}, time.Hour + time.Minute, Dead},
		{"the authority section counts", denial, Meta{}, 89 * time.Second, Fresh},
		{"the authority section ends it", denial, Meta{}, 90 * time.Second, Dead},
		{"without records the given life counts", "", Meta{TTL: 5 * time.Second}, 5*time.Second - 1, Fresh},
		{"without records the given life ends", "", Meta{TTL: 5 * time.Second}, 5 * time.Second, Dead},
		{"with records the given life does not count", addresses, Meta{TTL: time.Second}, 2 * time.Second, Fresh},
		{"no life, no staleness", "www.example. 0 IN A 192.0.2.1", Meta{Stale: time.Hour}, 0, Dead},
		{"a TTL with its top bit set is 0", "www.example. 2147483648 IN A 192.0.2.1", Meta{Stale: time.Hour}, 0, Dead},
		{"the largest TTL", "www.example. 2147483647 IN A 192.0.2.1", Meta{}, 1<<31*time.Second - 2*time.Second, Fresh},
		{"the largest staleness", addresses, Meta{Stale: 1<<63 - 1}, 1 << 62, Stale},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, dns.RcodeSuccess, tt.records), tt.meta)
			if got := a.State(learned.Add(tt.age)); got != tt.want {
				t.Errorf("State = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAnswer_accessors(t *testing.T) {
	msg := mustMessage(t, "wWw.Example.", dns.TypeMX, dns.RcodeNameError, "--\nexample. 90 IN SOA ns.example. h.example. 1 2 3 4 90")
	want := bytes.Replace(msg, []byte("wWw\x07Example"), []byte("www\x07example"), 1)
	a := mustAnswer(t, msg, Meta{})
	if got := string(a.Name()); got != "\x03www\x07example\x00" {
		t.Errorf("Name = %q", got)
	}
	if a.Type() != dns.TypeMX || a.Class() != dns.ClassINET || a.Rcode() != dns.RcodeNameError {
		t.Errorf("Type, Class, Rcode = %d, %d, %d", a.Type(), a.Class(), a.Rcode())
	}
	if got := a.Expires(); !got.Equal(learned.Add(90 * time.Second)) {
		t.Errorf("Expires = %v", got)
	}
	want[0], want[1] = a.Packet()[0], a.Packet()[1]
	if !slices.Equal(a.Packet(), want) {
		t.Errorf("Packet = %x, want %x", a.Packet(), want)
	}
}

func TestNewAnswer_refuses(t *testing.T) {
	msg := mustMessage(t, "www.example.", dns.TypeMX, 0, "www.example. 60 IN MX 10 mail.example.")
	edit := func(off int, octets ...byte) []byte {
		m := slices.Clone(msg)
		copy(m[off:], octets)
		return m
	}
	opt := append(edit(10, 0, 1), "\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00"...)
	tests := []struct {
		name string
		msg  []byte
	}{
		{"nothing", nil},
		{"half a message", msg[:len(msg)-1]},
		{"a trailing octet", append(slices.Clone(msg), 0)},
		{"no question", append(append([]byte{0, 0, 0x80, 0, 0, 0}, make([]byte, 6)...), nil...)},
		{"two questions", append([]byte("\x00\x00\x80\x00\x00\x02\x00\x00\x00\x00\x00\x00"), strings.Repeat("\x00\x00\x01\x00\x01", 2)...)},
		{"an OPT record", opt},
		{"a name in the data that points to itself", edit(len(msg)-2, 0xC0, byte(len(msg)-2))},
		{"a name in the data that leaves it", edit(len(msg)-7, 7)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if a, err := NewAnswer(tt.msg, Meta{}); err == nil || a != nil {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
}

func TestAnswer_AppendReply(t *testing.T) {
	const addresses = "www.example. 300 IN A 192.0.2.1\nwww.example. 60 IN A 192.0.2.2"
	const signed = addresses + "\nwww.example. 60 IN RRSIG A " + signature
	const denial = "--\nexample. 90 IN SOA ns.example. h.example. 1 2 3 4 90"
	tests := []struct {
		name    string
		records string
		rcode   int
		meta    Meta
		age     time.Duration
		ask     string
		edit    func(*dns.Msg)
		want    string
	}{
		{"a new answer", addresses, 0, Meta{}, 0, "www.example.", nil, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 300 IN A 192.0.2.1
			! www.example. 60 IN A 192.0.2.2`},
		{"TTLs less age in whole seconds", addresses, 0, Meta{}, 29999 * time.Millisecond, "www.example.", nil, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 271 IN A 192.0.2.1
			! www.example. 31 IN A 192.0.2.2`},
		{"TTLs never grow when the clock goes back", addresses, 0, Meta{}, -time.Hour, "www.example.", nil, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 300 IN A 192.0.2.1
			! www.example. 60 IN A 192.0.2.2`},
		{"TTLs never fall below 0", addresses, 0, Meta{}, 80 * time.Second, "www.example.", nil, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 220 IN A 192.0.2.1
			! www.example. 0 IN A 192.0.2.2`},
		{"the client's letter case", addresses, 0, Meta{}, 0, "wWw.eXample.", nil, `
			NOERROR 0x1234 qr rd ra
			? wWw.eXample. A
			! wWw.eXample. 300 IN A 192.0.2.1
			! wWw.eXample. 60 IN A 192.0.2.2`},
		{"RD and CD come back, AD does not", addresses, 0, Meta{}, 0, "www.example.", func(m *dns.Msg) {
			m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = false, true, true
		}, `
			NOERROR 0x1234 qr ra cd
			? www.example. A
			! www.example. 300 IN A 192.0.2.1
			! www.example. 60 IN A 192.0.2.2`},
		{"OPT for who sent OPT", addresses, 0, Meta{}, 0, "www.example.", withEDNS, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 300 IN A 192.0.2.1
			! www.example. 60 IN A 192.0.2.2
			+ OPT 1232 do=false`},
		{"signatures for who set DO", signed, 0, Meta{}, 10 * time.Second, "www.example.", withDO, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 290 IN A 192.0.2.1
			! www.example. 50 IN A 192.0.2.2
			! www.example. 50 IN RRSIG A ` + signature + `
			+ OPT 1232 do=true`},
		{"no signatures for others", signed, 0, Meta{}, 10 * time.Second, "www.example.", withEDNS, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 290 IN A 192.0.2.1
			! www.example. 50 IN A 192.0.2.2
			+ OPT 1232 do=false`},
		{"a stale answer has a TTL of 30 and EDE 3", addresses, 0, Meta{Stale: time.Hour}, time.Minute, "www.example.", withEDNS, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 30 IN A 192.0.2.1
			! www.example. 30 IN A 192.0.2.2
			+ OPT 1232 do=false EDE 3 ""`},
		{"a stale denial has EDE 19", denial, dns.RcodeNameError, Meta{Stale: time.Hour}, 2 * time.Minute, "www.example.", withEDNS, `
			NXDOMAIN 0x1234 qr rd ra
			? www.example. A
			- example. 30 IN SOA ns.example. h.example. 1 2 3 4 90
			+ OPT 1232 do=false EDE 19 ""`},
		{"an answer's own reason comes first", addresses, 0,
			Meta{Stale: time.Hour, EDE: &wire.EDE{Code: 29, Text: "made up"}}, time.Minute, "www.example.", withEDNS, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 30 IN A 192.0.2.1
			! www.example. 30 IN A 192.0.2.2
			+ OPT 1232 do=false EDE 29 "made up"`},
		{"a failure has its reason", "", dns.RcodeServerFailure,
			Meta{TTL: 5 * time.Second, EDE: &wire.EDE{Code: 22, Text: "all silent"}}, 0, "www.example.", withEDNS, `
			SERVFAIL 0x1234 qr rd ra
			? www.example. A
			+ OPT 1232 do=false EDE 22 "all silent"`},
		{"without EDNS there is no room for a reason", "", dns.RcodeServerFailure,
			Meta{TTL: 5 * time.Second, EDE: &wire.EDE{Code: 22, Text: "all silent"}}, 0, "www.example.", nil, `
			SERVFAIL 0x1234 qr rd ra
			? www.example. A`},
		{"a TTL with its top bit set is 0, for this transaction", "www.example. 4294967295 IN A 192.0.2.1", 0,
			Meta{Stale: time.Hour}, time.Millisecond, "www.example.", nil, `
			NOERROR 0x1234 qr rd ra
			? www.example. A
			! www.example. 0 IN A 192.0.2.1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, tt.rcode, tt.records), tt.meta)
			q := mustQuery(t, tt.ask, dns.TypeA, tt.edit)
			reply := a.AppendReply([]byte("dst"), q, learned.Add(tt.age))
			if got, want := text(t, reply[3:]), lines(tt.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAnswer_AppendReply_allocatesNothing(t *testing.T) {
	a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, 0,
		"www.example. 60 IN A 192.0.2.1\nwww.example. 60 IN RRSIG A "+signature), Meta{Stale: time.Hour})
	q := mustQuery(t, "www.example.", dns.TypeA, withDO)
	dst := make([]byte, 0, wire.PayloadSize)
	for _, age := range []time.Duration{time.Second, 2 * time.Minute} {
		at := learned.Add(age)
		if n := testing.AllocsPerRun(100, func() { a.AppendReply(dst, q, at) }); n != 0 {
			t.Errorf("%v allocations at the age of %v, want 0", n, age)
		}
	}
}

func TestSet_knowsItsSize(t *testing.T) {
	if n := unsafe.Sizeof(set{}); n != setOctets {
		t.Errorf("a set has %d octets, setOctets is %d", n, setOctets)
	}
}

// An answer is one allocation, in which there is nothing for the garbage
// collector to follow.
func TestNewAnswer_makesOneBlock(t *testing.T) {
	msg := mustMessage(t, "www.example.", dns.TypeA, 0, "www.example. 60 IN CNAME a.from.test.\nwww.example. 60 IN RRSIG CNAME "+
		signature+"\na.from.test. 60 IN A 192.0.2.1")
	meta := Meta{At: learned, EDE: &wire.EDE{Code: 29, Text: "made up"}}
	if n := testing.AllocsPerRun(1000, func() { mustAnswer(t, msg, meta) }); n != 1 && !raced {
		t.Errorf("%v allocations, want 1", n)
	}
	for i := range reflect.TypeFor[Answer]().NumField() {
		f := reflect.TypeFor[Answer]().Field(i)
		if k := f.Type.Kind(); (k < reflect.Bool || k > reflect.Uint64) && f.Type != reflect.TypeFor[atomic.Bool]() {
			t.Errorf("%s is of type %v: the collector does not look for pointers here", f.Name, f.Type)
		}
	}
}

// What is in the block is found again, whatever lies before it.
func TestAnswer_EDE(t *testing.T) {
	const signed = "www.example. 60 IN CNAME a.from.test.\nwww.example. 60 IN RRSIG CNAME " + signature + "\na.from.test. 60 IN A 192.0.2.1"
	for _, records := range []string{"", "www.example. 60 IN A 192.0.2.1", signed} {
		for _, want := range []*wire.EDE{nil, {Code: 7}, {Code: 6, Text: "x"}, {Code: 22, Text: strings.Repeat("ab", 40_000)}} {
			a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, 0, records), Meta{TTL: time.Second, EDE: want})
			if want != nil {
				want.Text = want.Text[:min(len(want.Text), maxReason)]
			}
			if got := a.EDE(); !reflect.DeepEqual(got, want) {
				t.Errorf("EDE = %.40v, want %.40v", got, want)
			}
		}
	}
}
