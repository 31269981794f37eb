package localroot

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// wireRecord is a record as a message has it: its owner is the name at offset 12.
func wireRecord(typ uint16, data []byte) []byte {
	b := []byte{0xc0, 12}
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// What takes least in a message and most in memory.
func TestPile_estimatesNoLessThanARecordTakes(t *testing.T) {
	long := append(bytes.Repeat(append([]byte{62}, bytes.Repeat([]byte{0xff}, 62)...), 4), 0) // written \255\255…
	pointer := []byte{0xc0, 12}
	hip := func(names []byte) []byte { return append([]byte{0, 2, 0, 0}, names...) }
	window := func(i int) []byte { return append([]byte{byte(i), 32}, bytes.Repeat([]byte{0xff}, 32)...) }
	bitmap := pointer
	for i := range 256 {
		bitmap = append(bitmap[:len(bitmap):len(bitmap)], window(i)...)
	}
	var parameters []byte
	for i := range 1000 {
		parameters = binary.BigEndian.AppendUint16(parameters, uint16(1000+i))
		parameters = append(parameters, 0, 0)
	}
	tests := []struct {
		name string
		typ  uint16
		data []byte
	}{
		{"strings without letters", dns.TypeTXT, make([]byte, 10000)},
		{"strings of one letter", dns.TypeTXT, bytes.Repeat([]byte{1, 0xff}, 5000)},
		{"one server with a long name", dns.TypeNS, pointer},
		{"two long names", dns.TypeRP, append(pointer[:2:2], pointer...)},
		{"the root many times", dns.TypeHIP, hip(make([]byte, 10000))},
		{"a long name many times", dns.TypeHIP, hip(bytes.Repeat(pointer, 500))},
		{"prefixes", dns.TypeAPL, bytes.Repeat([]byte{0, 1, 0, 0}, 2000)},
		{"prefixes of IPv6", dns.TypeAPL, bytes.Repeat([]byte{0, 2, 0, 0}, 2000)},
		{"all types", dns.TypeNSEC, bitmap},
		{"all types of an NSEC3", dns.TypeNSEC3, append([]byte{1, 0, 0, 0, 0, 1, 1}, bitmap[2:]...)},
		{"parameters of a service", dns.TypeSVCB, append([]byte{0, 1, 0}, parameters...)},
		{"addresses of a service", dns.TypeSVCB, append([]byte{0, 1, 0, 0, 4, 0x20, 0}, make([]byte, 8192)...)},
		{"an address", dns.TypeA, make([]byte, 4)},
		{"a signature", dns.TypeRRSIG, append(append(make([]byte, 18), pointer...), make([]byte, 500)...)},
		{"what nobody knows", 65280, make([]byte, 500)},
		{"nothing", 65280, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message := append(make([]byte, 12), long...)
			message = append(message, 0, 2, 0, 1)
			message[5], message[7] = 1, 1
			message = append(message, wireRecord(tt.typ, tt.data)...)
			const times = 50
			all := make([]dns.RR, 0, times)
			before := heap()
			for range times {
				m := new(dns.Msg)
				if err := m.Unpack(message); err != nil || len(m.Answer) != 1 {
					t.Fatal(len(m.Answer), err)
				}
				all = append(all, m.Answer[0])
			}
			takes := (int(heap()) - int(before)) / times
			if cost := costOf(all[0]); cost < takes {
				t.Errorf("estimated at %d octets, takes %d", cost, takes)
			} else {
				t.Logf("estimated at %d octets, takes %d; %d in a message", cost, takes, len(message)-len(long)-16)
			}
			clear(all)
		})
	}
}

func TestPile_isBounded(t *testing.T) {
	const name = "a."
	tests := []struct {
		name string
		rr   dns.RR
		want string
	}{
		{"small records", &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA}}, "more than 200000 records"},
		{"large records", &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT}, Txt: make([]string, 1000)}, "more than 64 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Pile
			var err error
			for err == nil && len(p.Records()) <= MaxRecords {
				err = p.Add(tt.rr)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v after %d records, want %q", err, len(p.Records()), tt.want)
			}
		})
	}
}
