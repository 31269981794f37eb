package upstream

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestQuery_readBoundsMemory(t *testing.T) {
	const limit = 8 << 20 // octets
	tests := []struct {
		name   string
		record []byte // repeated until the message is full, or most times
		most   int
		want   verdict
	}{
		{"addresses", record(0xc00c, dns.TypeA, []byte{192, 0, 2, 1}), 0, malformed},
		{"unknown types", record(0xc00c, 65280, make([]byte, 60)), 0, genuine},
		{"authorities of two long names", record(0xc00c, dns.TypeSOA, append(bytes.Repeat([]byte{0xc0, 0x0c}, 2), make([]byte, 20)...)), 0, malformed},
		{"as many of them as may be", record(0xc00c, dns.TypeSOA, append(bytes.Repeat([]byte{0xc0, 0x0c}, 2), make([]byte, 20)...)), maxRecords, genuine},
		{"a HIP record of pointers", record(0xc00c, dns.TypeHIP, append([]byte{1, 2, 0, 1, 0, 0}, bytes.Repeat([]byte{0xc0, 0x0c}, 30_000)...)), 0, malformed},
		{"a HIP record of names", record(0xc00c, dns.TypeHIP, append([]byte{1, 2, 0, 1, 0, 0}, bytes.Repeat([]byte("\x01a\x00"), 20_000)...)), 0, genuine},
		{"texts of nothing", record(0xc00c, dns.TypeTXT, make([]byte, 64_000)), 0, genuine},
		{"options of nothing", record(0xc00c, dns.TypeOPT, bytes.Repeat([]byte{0xff, 0xf0, 0, 0}, 16_000)), 0, genuine},
		{"address prefixes of nothing", record(0xc00c, dns.TypeAPL, bytes.Repeat([]byte{0, 1, 0, 0}, 16_000)), 0, genuine},
	}
	q := mustPack(t, strings.Repeat(strings.Repeat(`\200`, 62)+".", 4)) // 1,000 characters
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packet := bytes.Clone(q.packet[:q.end])
			packet[2] |= flagQR
			n := 0
			for ; len(packet)+len(tt.record) <= dns.MaxMsgSize && (tt.most == 0 || n < tt.most); n++ {
				packet = append(packet, tt.record...)
			}
			clear(packet[ancount:headerLen])
			binary.BigEndian.PutUint16(packet[ancount:], uint16(n))

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, got := q.read(packet)
			runtime.ReadMemStats(&after)
			if got != tt.want {
				t.Errorf("verdict on %d records = %d, want %d", n, got, tt.want)
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > limit {
				t.Errorf("took %d octets of memory for %d, want at most %d", taken, len(packet), limit)
			}
		})
	}
}

func TestQuery_readKeepsTheDrawnCaseToTheQuestion(t *testing.T) {
	q := mustPack(t, "wWw.eXaMpLe.")
	packet := bytes.Clone(q.packet[:q.end])
	packet[2] |= flagQR
	clear(packet[ancount:headerLen])
	packet[ancount+1] = 1
	packet = append(packet, record(0xc00c, dns.TypeCNAME, []byte("\x05Other\xc0\x10"))...) // to where eXaMpLe begins
	m, v := q.read(packet)
	if v != genuine {
		t.Fatalf("verdict %d", v)
	}
	got := m.Question[0].Name + " " + m.Answer[0].Header().Name + " " + m.Answer[0].(*dns.CNAME).Target
	if want := "wWw.eXaMpLe. www.example. Other.example."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestQuery_readLeavesDataAsItIs(t *testing.T) {
	tests := []struct {
		name string
		typ  uint16
		data string
	}{
		{"a CAA record with backslashes", dns.TypeCAA, "\x00\x05issuex=a\\b\\097\""},
		{"a CAA record without a tag", dns.TypeCAA, "\x80"},
		{"a CAA record whose tag is longer than its data", dns.TypeCAA, "\x00\xffissue"},
		{"a long CAA record", dns.TypeCAA, "\x00\x05issue" + strings.Repeat("\x00\\", 5_000)},
		{"a URI record with backslashes", dns.TypeURI, "\x00\x01\x00\x02x-\\b:\\097"},
		{"half a URI record", dns.TypeURI, "\x00\x01\x00"},
		{"a long URI record", dns.TypeURI, "\x00\x01\x00\x02" + strings.Repeat("http", 10_000)},
		{"a record of the type that hides them", unknownType, "\\097"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := mustPack(t, "www.example.")
			packet := bytes.Clone(q.packet[:q.end])
			packet[2] |= flagQR
			clear(packet[ancount:headerLen])
			packet[ancount+1], packet[ancount+3] = 1, 2
			packet = append(packet, record(0xc00c, dns.TypeA, []byte{192, 0, 2, 1})...)
			packet = append(packet, record(0xc00c, tt.typ, []byte(tt.data))...)
			packet = append(packet, record(0xc00c, dns.TypeA, []byte{192, 0, 2, 2})...)
			m, v := q.read(packet)
			if v != genuine {
				t.Fatalf("verdict = %d", v)
			}
			m.Compress = true
			if got, err := m.Pack(); err != nil || !bytes.Equal(got, packet) {
				t.Errorf("packed again, error %v:\n%x\nwant\n%x", err, got, packet)
			}
			if got := m.Ns[0].Header().Rrtype; got != tt.typ {
				t.Errorf("type %d, want %d", got, tt.typ)
			}
		})
	}
}

func TestQuery_readTakesNoMemoryForCounts(t *testing.T) {
	q := mustPack(t, "www.example.")
	packet := make([]byte, dns.MaxMsgSize-2)
	copy(packet, q.packet[:q.end])
	packet[2] |= flagQR
	for i := ancount; i < headerLen; i++ {
		packet[i] = 0xff
	}
	n := testing.AllocsPerRun(100, func() {
		if _, v := q.read(packet); v != malformed {
			t.Errorf("verdict = %d, want malformed", v)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestQuery_readSharesNothing(t *testing.T) {
	q := mustPack(t, "www.example.")
	packet := truth(q.packet)
	reply, v := q.read(packet)
	if v != genuine {
		t.Fatalf("verdict = %d", v)
	}
	want := reply.String()
	clear(packet)
	if got := reply.String(); got != want {
		t.Errorf("the message changed with its packet to\n%s", got)
	}
}

func FuzzQuery_read(f *testing.F) {
	q := mustPack(f, "www.example.")
	id := q.packet[:2]
	for _, seed := range [][]byte{
		q.packet,
		truth(q.packet),
		answer(q.packet, func(m *dns.Msg) { m.Truncated = true }),
		answer(q.packet, func(m *dns.Msg) { m.SetEdns0(1232, true) }),
		answer(q.packet, func(m *dns.Msg) { m.Ns = []dns.RR{&dns.CAA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeCAA}}} }),
		append(truth(q.packet), record(0xc00c, dns.TypeHIP, []byte{0, 2, 0, 0, 0xc0, 0x0c})...),
	} {
		f.Add(seed[2:])
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		packet := append(bytes.Clone(id), rest...) // the ID would never be guessed
		before := bytes.Clone(packet)
		m, v := q.read(packet)
		if !bytes.Equal(packet, before) {
			t.Fatal("packet was changed")
		}
		if (m != nil) != (v == genuine) {
			t.Fatalf("message %v with verdict %d", m, v)
		}
		if m == nil {
			return
		}
		if isBare(packet) && m.Response && len(m.Question)+len(m.Answer)+len(m.Ns)+len(m.Extra) == 0 {
			return
		}
		if !m.Response || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 ||
			m.Question[0].Name != "www.example." || m.Question[0].Qtype != dns.TypeA {
			t.Fatalf("accepted\n%v", m)
		}
		if len(m.Answer)+len(m.Ns)+len(m.Extra) > maxRecords {
			t.Fatalf("accepted %d records", len(m.Answer)+len(m.Ns)+len(m.Extra))
		}
	})
}

func BenchmarkQuery_read(b *testing.B) {
	q := mustPack(b, "www.example.")
	packet := truth(q.packet)
	b.ReportAllocs()
	for b.Loop() {
		if _, v := q.read(packet); v != genuine {
			b.Fatal(v)
		}
	}
}

// mustPack packs the question for the address of name.
func mustPack(t testing.TB, name string) *query {
	t.Helper()
	m := question()
	m.Question[0].Name = name
	q, err := pack(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// record is a record of class IN whose owner is a pointer.
func record(owner, typ uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, owner)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = append(b, 0, 1, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func TestPackPlain_isWhatMiekgPacks(t *testing.T) {
	server := &cookie{client: "0011223344556677", server: "8899aabbccddeeff0011223344556677"}
	for _, k := range []*cookie{nil, {client: "0011223344556677"}, server} {
		for _, edit := range []func(*dns.Msg){
			func(*dns.Msg) {},
			func(m *dns.Msg) { m.SetEdns0(1232, true) },
			func(m *dns.Msg) { m.SetEdns0(512, false) },
			func(m *dns.Msg) { m.SetEdns0(1232, true); m.CheckingDisabled, m.RecursionDesired = true, true },
			func(m *dns.Msg) {
				m.SetEdns0(1232, true)
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "ffffffffffffffff"}}
			},
			func(m *dns.Msg) { m.Question[0].Name = "." },
			func(m *dns.Msg) { m.Question[0].Name = `WWW.a\.b\000c.Example.` },
			func(m *dns.Msg) {
				m.Question[0].Name = strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61) + "."
			},
		} {
			m := question()
			m.Id, m.Extra = 0, nil
			edit(m)
			want, err := packAny(m, k)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := packPlain(m, k); !ok || !bytes.Equal(got, want) {
				t.Errorf("%v: packed\n%x, want\n%x", m, got, want)
			}
		}
	}
}

func TestPackPlain_leavesTheRest(t *testing.T) {
	for name, edit := range map[string]func(*dns.Msg){
		"another option": func(m *dns.Msg) {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART}}
		},
		"a flag":            func(m *dns.Msg) { m.AuthenticatedData = true },
		"an opcode":         func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		"a record":          func(m *dns.Msg) { m.Ns = []dns.RR{&dns.NULL{}} },
		"a name of no name": func(m *dns.Msg) { m.Question[0].Name = "a..b." },
	} {
		m := question()
		m.Extra = nil
		m.SetEdns0(1232, true)
		edit(m)
		if packet, ok := packPlain(m, nil); ok {
			t.Errorf("%s: packed %x", name, packet)
		}
	}
}
