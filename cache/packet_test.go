package cache

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"proxima/wire"
)

func TestAnswer_plain(t *testing.T) {
	rrsig := func(owner, typ string) string { return owner + " 60 IN RRSIG " + typ + " " + signature + "\n" }
	tests := []struct {
		name    string
		typ     uint16
		records string
		want    string
	}{
		{"RRSIG, NSEC and NSEC3 go", dns.TypeA,
			"--\nexample. 60 IN SOA ns.example. h.example. 1 2 3 4 5\n" + rrsig("example.", "SOA") +
				"a.example. 60 IN NSEC z.example. A\n" + rrsig("a.example.", "NSEC") +
				"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
			`- example. 60 IN SOA ns.example. h.example. 1 2 3 4 5`},
		{"RRSIG stays if it was asked for", dns.TypeRRSIG, rrsig("www.example.", "A") + "--\na.example. 60 IN NSEC z.example. A",
			`! www.example. 60 IN RRSIG A ` + signature},
		{"NSEC stays if it was asked for, its signature goes", dns.TypeNSEC, "www.example. 60 IN NSEC z.example. A\n" + rrsig("www.example.", "NSEC"),
			`! www.example. 60 IN NSEC z.example. A`},
		{"DS and DNSKEY stay", dns.TypeDS, "www.example. 60 IN DS 1 8 2 AA\nwww.example. 60 IN DNSKEY 256 3 8 AAAA\n" + rrsig("www.example.", "DS"), `
			! www.example. 60 IN DS 1 8 2 AA
			! www.example. 60 IN DNSKEY 256 3 8 AAAA`},
		{"a chain keeps its order", dns.TypeA,
			"www.example. 60 IN CNAME a.b.example.\n" + rrsig("www.example.", "CNAME") + "a.b.example. 60 IN CNAME c.b.example.\n" +
				rrsig("a.b.example.", "CNAME") + "c.b.example. 60 IN A 192.0.2.1\n" + rrsig("c.b.example.", "A"), `
			! www.example. 60 IN CNAME a.b.example.
			! a.b.example. 60 IN CNAME c.b.example.
			! c.b.example. 60 IN A 192.0.2.1`},
		{"owners that pointed into what went are spelled out", dns.TypeA,
			"www.example. 60 IN A 192.0.2.1\n--\n" + rrsig("far.from.test.", "NS") +
				"far.from.test. 60 IN NS ns.far.from.test.\nfar.from.test. 60 IN NS ns2.from.test.", `
			! www.example. 60 IN A 192.0.2.1
			- far.from.test. 60 IN NS ns.far.from.test.
			- far.from.test. 60 IN NS ns2.from.test.`},
		{"names in data that pointed into what went are spelled out", dns.TypeMX,
			rrsig("mail.from.test.", "A") + "www.example. 60 IN MX 10 mail.from.test.\nwww.example. 60 IN MX 20 mail2.from.test.\n" +
				"--\nfrom.test. 60 IN SOA mail.from.test. h.mail.from.test. 1 2 3 4 5\n--\nmail.from.test. 60 IN A 192.0.2.1", `
			! www.example. 60 IN MX 10 mail.from.test.
			! www.example. 60 IN MX 20 mail2.from.test.
			- from.test. 60 IN SOA mail.from.test. h.mail.from.test. 1 2 3 4 5
			+ mail.from.test. 60 IN A 192.0.2.1`},
		{"all data with names survives", dns.TypePTR,
			rrsig("n.test.", "PTR") + "www.example. 60 IN PTR n.test.\nwww.example. 60 IN MINFO n.test. m.n.test.\nwww.example. 60 IN RP n.test. m.n.test.\n" +
				"www.example. 60 IN AFSDB 1 n.test.\nwww.example. 60 IN SRV 1 2 3 n.test.\n" +
				"www.example. 60 IN NAPTR 1 2 \"u\" \"sip\" \"!x!y!\" n.test.\nwww.example. 60 IN DNAME n.test.\nwww.example. 60 IN PX 1 n.test. m.n.test.\n" +
				"www.example. 60 IN HTTPS 1 n.test. alpn=h2\nwww.example. 60 IN TXT \"n\" \"test\"", `
			! www.example. 60 IN PTR n.test.
			! www.example. 60 IN MINFO n.test. m.n.test.
			! www.example. 60 IN RP n.test. m.n.test.
			! www.example. 60 IN AFSDB 1 n.test.
			! www.example. 60 IN SRV 1 2 3 n.test.
			! www.example. 60 IN NAPTR 1 2 "u" "sip" "!x!y!" n.test.
			! www.example. 60 IN DNAME n.test.
			! www.example. 60 IN PX 1 n.test. m.n.test.
			! www.example. 60 IN HTTPS 1 n.test. alpn="h2"
			! www.example. 60 IN TXT "n" "test"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := mustAnswer(t, mustMessage(t, "www.example.", tt.typ, 0, tt.records), Meta{})
			reply := a.AppendReply(nil, mustQuery(t, "www.example.", tt.typ, nil), learned)
			_, got, _ := strings.Cut(text(t, reply), "\n! ")
			if got == "" {
				_, got, _ = strings.Cut(text(t, reply), "\n- ")
			}
			if want := lines(tt.want)[2:]; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if full := a.Packet(); len(reply) >= len(full) {
				t.Errorf("%d octets of %d left", len(reply), len(full))
			}
		})
	}
}

func TestAnswer_plainIsSharedIfNothingWent(t *testing.T) {
	a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, 0, "www.example. 60 IN A 192.0.2.1"), Meta{})
	if n := a.plainOctets(); n != 0 {
		t.Errorf("%d octets are kept twice", n)
	}
}

// In a message that is nearly as long as can be, and whose names point beyond
// the reach of a pointer once a signature is left out, stripping gives up
// rather than grow.
func TestAnswer_plainThatOutgrowsAMessage(t *testing.T) {
	msg := []byte("\x00\x00\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01q\x00\x00\x01\x00\x01")
	record := func(owner string, typ byte, data string) {
		msg = append(append(msg, owner...), 0, typ, 0, 1, 0, 0, 0, 60)
		msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(data))), data...)
		binary.BigEndian.PutUint16(msg[6:], binary.BigEndian.Uint16(msg[6:])+1)
	}
	record("\xC0\x0C", wire.TypeTXT, strings.Repeat("\x00", 16_300))
	at := len(msg)
	record(strings.Repeat("\x3F"+strings.Repeat("a", 63), 3)+"\x00", wire.TypeRRSIG, strings.Repeat("\x00", 19))
	record("\xC0\x0C", wire.TypeTXT, strings.Repeat("\x00", 300))
	for len(msg) < 60_000 {
		record(string([]byte{0xC0 | byte(at>>8), byte(at)}), wire.TypeA, "1234")
	}
	a := mustAnswer(t, msg, Meta{})
	reply := a.AppendReply(nil, mustQuery(t, "q.", dns.TypeA, nil), learned)
	if !bytes.Equal(reply[12:], a.Packet()[12:]) {
		t.Errorf("got %d octets, want the whole answer of %d", len(reply), len(a.Packet()))
	}
}
