package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// mustParse reads a message that must be sound, to its last octet.
func mustParse(t testing.TB, msg []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("the reply does not parse: %v\n% x", err, msg)
	}
	if _, ok := AppendRecords(nil, msg); !ok {
		t.Fatalf("the counts of the reply are wrong:\n% x", msg)
	}
	return m
}

func TestAppendFault(t *testing.T) {
	plain := mustQuery(t, func(m *dns.Msg) { m.CheckingDisabled = true })
	update := bytes.Clone(plain)
	update[2] |= 0x28
	edns := mustQuery(t, func(m *dns.Msg) { m.SetEdns0(4096, true) })
	version := bytes.Clone(edns)
	version[len(version)-5] = 1
	tests := []struct {
		name   string
		packet []byte
		want   string // in hexadecimal, after the ID
	}{
		{"a short packet gets nothing", plain[:11], ""},
		{"a sound packet gets nothing", plain, ""},
		{"an update gets its header back", update, "a994 0000 0000 0000 0000"},
		{"half a question gets FORMERR alone", plain[:20], "8191 0000 0000 0000 0000"},
		{"a trailing octet gets FORMERR with the question", append(bytes.Clone(plain), 0),
			"8191 0001 0000 0000 0000 03777777076578616d706c6500 0001 0001"},
		{"a bad version gets BADVERS in OPT", version,
			"8180 0001 0000 0000 0001 03777777076578616d706c6500 0001 0001 00 0029 04d0 01 00 8000 0000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var q Query
			got := AppendFault([]byte("dst"), &q, ParseQuery(&q, tt.packet))
			want := "dst"
			if tt.want != "" {
				want += "\x12\x34" + mustHex(t, tt.want)
			}
			if string(got) != want {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func mustHex(t testing.TB, s string) string {
	t.Helper()
	octets, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(octets)
}

func TestAppendError(t *testing.T) {
	long := strings.Repeat("é", 100)
	tests := []struct {
		name  string
		edit  func(*dns.Msg)
		rcode uint16
		ede   *EDE
		want  string // "rcode flags; OPT"
	}{
		{"without EDNS the reason is left out", nil, RcodeRefused, &EDE{Code: EDEProhibited, Text: "not allowed"},
			"REFUSED qr rd ra"},
		{"with EDNS the reason is in OPT", withOptions(), RcodeServFail, &EDE{Code: EDENetworkError, Text: "gone"},
			"SERVFAIL qr rd ra; 1232 23 gone"},
		{"no reason, no option", withOptions(), RcodeServFail, nil, "SERVFAIL qr rd ra; 1232"},
		{"DO comes back", func(m *dns.Msg) { m.SetEdns0(512, true) }, RcodeNoError, nil, "NOERROR qr rd ra; 1232 do"},
		{"RD and CD come back, AD does not", func(m *dns.Msg) {
			m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = false, true, true
		}, RcodeRefused, nil, "REFUSED qr ra cd"},
		{"a long text is cut between characters", withOptions(), RcodeServFail, &EDE{Text: "a" + long},
			"SERVFAIL qr rd ra; 1232 0 a" + long[:126]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var q Query
			if f := ParseQuery(&q, mustQuery(t, tt.edit)); f != OK {
				t.Fatalf("fault = %d", f)
			}
			m := mustParse(t, AppendError(nil, &q, tt.rcode, tt.ede))
			if got := summary(m); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if m.Id != 0x1234 || len(m.Question) != 1 || m.Question[0].Name != "www.example." {
				t.Errorf("got ID %#x and question %v", m.Id, m.Question)
			}
		})
	}
}

// summary is the rcode, the flags and what OPT says.
func summary(m *dns.Msg) string {
	s := dns.RcodeToString[m.Rcode]
	for _, f := range []struct {
		on   bool
		name string
	}{
		{m.Response, " qr"}, {m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionDesired, " rd"},
		{m.RecursionAvailable, " ra"}, {m.AuthenticatedData, " ad"}, {m.CheckingDisabled, " cd"},
	} {
		if f.on {
			s += f.name
		}
	}
	opt := m.IsEdns0()
	if opt == nil {
		return s
	}
	s += fmt.Sprintf("; %d", opt.UDPSize())
	if opt.Do() {
		s += " do"
	}
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *dns.EDNS0_EDE:
			s += fmt.Sprintf(" %d %s", o.InfoCode, o.ExtraText)
		default:
			s += " " + o.String()
		}
	}
	return s
}

// mustReply makes a reply with n address records to the query that edit makes.
func mustReply(t testing.TB, n int, edit func(*dns.Msg)) (q Query, reply []byte) {
	t.Helper()
	if f := ParseQuery(&q, mustQuery(t, edit)); f != OK {
		t.Fatalf("fault = %d", f)
	}
	reply = AppendError(nil, &Query{Packet: q.Packet, End: q.End}, RcodeNoError, nil)
	for range n {
		reply = append(reply, "\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\xC0\x00\x02\x01"...)
		reply[7]++
	}
	return q, AppendOPT(reply, 0, &q, RcodeNoError, nil)
}

func TestAddOption(t *testing.T) {
	q, reply := mustReply(t, 3, withOptions())
	reply = append([]byte("dst"), reply...)
	reply = AddOption(reply, 3, OptionNSID, []byte("ams1"))
	reply = AddOption(reply, 3, OptionCookie, []byte("12345678"))
	m := mustParse(t, reply[3:])
	if got, want := summary(m), "NOERROR qr rd ra; 1232 616d7331 3132333435363738"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(m.Answer) != 3 {
		t.Errorf("%d answers, want 3", len(m.Answer))
	}
	if !bytes.Equal(reply[3+HeaderLen:3+q.End], q.Packet[HeaderLen:q.End]) {
		t.Error("the question changed")
	}
}

func TestAddOption_leavesAlone(t *testing.T) {
	_, plain := mustReply(t, 3, nil)
	_, edns := mustReply(t, 3, withOptions())
	_, other := mustReply(t, 1, nil)
	other[7], other[11] = 0, 1 // the last record is additional, but no OPT
	tests := []struct {
		name  string
		reply []byte
		data  int
	}{
		{"a reply without OPT", plain, 4},
		{"a reply whose last record is not OPT", other, 4},
		{"an OPT that would outgrow its length", edns, 65_532},
		{"a reply with octets after OPT", append(bytes.Clone(edns), 0), 4},
		{"a header that counts too much", edns[:HeaderLen], 4},
		{"half a header", edns[:5], 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AddOption(bytes.Clone(tt.reply), 0, OptionNSID, make([]byte, tt.data))
			if !bytes.Equal(got, tt.reply) {
				t.Errorf("got  %x\nwant %x", got, tt.reply)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	tests := []struct {
		name    string
		records int
		edit    func(*dns.Msg)
		options int // octets of an NSID
		limit   int
		want    string
		answers int
	}{
		{"what fits stays", 30, nil, 0, 512, "NOERROR qr rd ra", 30},
		{"what does not fit loses its records", 31, nil, 0, 512, "NOERROR qr tc rd ra", 0},
		{"OPT counts", 30, withOptions(), 0, 512, "NOERROR qr tc rd ra; 1232", 0},
		{"more room, more records", 70, withOptions(), 0, 1232, "NOERROR qr rd ra; 1232", 70},
		{"options that fit are kept", 40, withOptions(), 3, 512, "NOERROR qr tc rd ra; 1232 000000", 0},
		{"options that do not fit are lost", 40, withOptions(), 500, 512, "NOERROR qr tc rd ra; 1232", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, reply := mustReply(t, tt.records, tt.edit)
			if tt.options > 0 {
				reply = AddOption(reply, 0, OptionNSID, make([]byte, tt.options))
			}
			got := Truncate(append([]byte("dst"), reply...), 3, &q, tt.limit)[3:]
			m := mustParse(t, got)
			if s := summary(m); s != tt.want || len(m.Answer) != tt.answers {
				t.Errorf("got %q with %d answers, want %q with %d", s, len(m.Answer), tt.want, tt.answers)
			}
			if len(got) > tt.limit {
				t.Errorf("%d octets, more than %d", len(got), tt.limit)
			}
			if m.Question[0].Name != "www.example." {
				t.Errorf("the question is %v", m.Question)
			}
		})
	}
}

func TestDropEDE(t *testing.T) {
	tests := []struct {
		name  string
		spare int // octets of the limit beyond the reply without its EDE
		nsid  string
		want  string
	}{
		{"a reply that fits without its reason loses it", 0, "", "NOERROR qr rd ra; 1232"},
		{"other options stay", 0, "ams1", "NOERROR qr rd ra; 1232 616d7331"},
		{"one that does not fit either keeps it", -1, "", "NOERROR qr rd ra; 1232 3 old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, _ := mustReply(t, 0, withOptions())
			reply := AppendError([]byte("dst"), &q, RcodeNoError, &EDE{Code: EDEStaleAnswer, Text: "old"})
			limit := len(reply) - 3 - 9 + tt.spare
			if tt.nsid != "" {
				reply = AddOption(reply, 3, OptionNSID, []byte(tt.nsid))
				limit += 4 + len(tt.nsid)
			}
			if got := summary(mustParse(t, DropEDE(reply, 3, limit)[3:])); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestDropEDE_leavesAlone(t *testing.T) {
	_, plain := mustReply(t, 3, nil)
	_, edns := mustReply(t, 3, withOptions())
	tests := []struct {
		name  string
		reply []byte
	}{
		{"a reply without OPT", plain},
		{"an OPT without a reason", edns},
		{"half a header", edns[:5]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := DropEDE(bytes.Clone(tt.reply), 0, 0); !bytes.Equal(got, tt.reply) {
				t.Errorf("got  %x\nwant %x", got, tt.reply)
			}
		})
	}
}

func TestReply_allocatesNothing(t *testing.T) {
	q, reply := mustReply(t, 40, withOptions())
	dst := make([]byte, 0, 2048)
	ede := &EDE{Code: EDEOther, Text: "a reason"}
	nsid := []byte("ams1")
	if n := testing.AllocsPerRun(100, func() {
		AppendError(dst, &q, RcodeServFail, ede)
		msg := AddOption(append(dst, reply...), 0, OptionNSID, nsid)
		Truncate(DropEDE(msg, 0, MinUDP), 0, &q, MinUDP)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkAppendError(b *testing.B) {
	q, _ := mustReply(b, 1, withOptions())
	ede := &EDE{Code: EDEProhibited, Text: "not allowed to ask"}
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		AppendError(dst, &q, RcodeRefused, ede)
	}
}
