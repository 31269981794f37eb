package wire

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// FuzzParseQuery compares what ParseQuery reads with what miekg/dns reads, both
// in the packet as it is and in the packet that miekg/dns makes of it.
func FuzzParseQuery(f *testing.F) {
	f.Add(mustQuery(f, nil))
	f.Add(mustQuery(f, withOptions(local(OptionCookie, "12345678"), local(OptionNSID, ""))))
	f.Add(mustQuery(f, func(m *dns.Msg) { m.SetEdns0(1232, true); m.SetEdns0(0, false) }))
	f.Add([]byte("\x00\x00\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\xC0\x0C\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > MaxMessage {
			return
		}
		var q Query
		fault := ParseQuery(&q, packet)
		checkReply(t, &q, fault)
		m := new(dns.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		if fault == OK {
			compare(t, &q, m)
		}
		packed, err := m.Pack()
		if err != nil || !acceptable(m) {
			return
		}
		if fault := ParseQuery(&q, packed); fault != OK {
			t.Fatalf("fault = %d for what is acceptable:\n%v", fault, m)
		}
		compare(t, &q, m)
	})
}

// checkReply composes the replies that a transport would, which must parse.
func checkReply(t *testing.T, q *Query, fault Fault) {
	t.Helper()
	reply := AppendFault(nil, q, fault)
	if fault == OK {
		reply = AppendError(nil, q, RcodeRefused, &EDE{Code: EDEProhibited, Text: "not allowed to ask"})
		reply = AddOption(reply, 0, OptionNSID, []byte("ams1"))
	}
	if fault == Drop && reply == nil {
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("the reply does not parse: %v", err)
	}
	if (m.IsEdns0() != nil) != q.EDNS || !m.Response || len(reply) > MinUDP {
		t.Fatalf("a bad reply of %d octets:\n%v", len(reply), m)
	}
}

// acceptable tells whether a message is one that ParseQuery must accept.
func acceptable(m *dns.Msg) bool {
	if m.Response || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 ||
		len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > maxAdditional {
		return false
	}
	opts := 0
	for _, rr := range m.Extra {
		opt, ok := rr.(*dns.OPT)
		if !ok {
			continue
		}
		opts++
		if opts > 1 || opt.Hdr.Name != "." || opt.Version() != 0 || len(opt.Option) > maxOptions {
			return false
		}
		for _, o := range opt.Option {
			if o.Option() == OptionCookie {
				return false // the lengths have their own test
			}
		}
	}
	return true
}

func compare(t *testing.T, q *Query, m *dns.Msg) {
	t.Helper()
	name, _, err := dns.UnpackDomainName(q.Name, 0)
	if err != nil || name != m.Question[0].Name {
		t.Fatalf("Name = %q, %v; want %q", name, err, m.Question[0].Name)
	}
	want := Query{
		Packet: q.Packet, Name: q.Name, Cookie: q.Cookie, NSID: q.NSID, Keepalive: q.Keepalive, // as they are
		Type: m.Question[0].Qtype, Class: m.Question[0].Qclass, End: HeaderLen + len(q.Name) + 4,
		RD: m.RecursionDesired, CD: m.CheckingDisabled, AD: m.AuthenticatedData, UDPSize: MinUDP,
	}
	if opt := m.IsEdns0(); opt != nil {
		want.EDNS, want.DO, want.UDPSize = true, opt.Do(), max(opt.UDPSize(), MinUDP)
	}
	if !equal(*q, want) {
		t.Fatalf("got  %+v\nwant %+v", *q, want)
	}
}

// FuzzAppendRecords compares the index with what miekg/dns finds, and sees
// that AddOption survives any message.
func FuzzAppendRecords(f *testing.F) {
	_, plain := mustReply(f, 3, nil)
	_, edns := mustReply(f, 40, withOptions())
	f.Add(plain)
	f.Add(edns)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > MaxMessage {
			return
		}
		records, ok := AppendRecords(nil, msg)
		AddOption(bytes.Clone(msg), 0, OptionNSID, []byte("ams1"))
		if !ok {
			return
		}
		end := 0
		for _, r := range records {
			if r.Start < end || r.TTL < r.Start || r.RData != r.TTL+6 || r.End < r.RData || r.End > len(msg) {
				t.Fatalf("a record out of order: %+v", r)
			}
			end = r.End
		}
		m := new(dns.Msg)
		if m.Unpack(msg) != nil {
			return
		}
		all := append(append(append([]dns.RR(nil), m.Answer...), m.Ns...), m.Extra...)
		if len(all) != len(records) {
			t.Fatalf("%d records, want %d", len(records), len(all))
		}
		for i, rr := range all {
			h, r := rr.Header(), records[i]
			owner, _, err := dns.UnpackDomainName(msg, r.Start)
			if err != nil || owner != h.Name || r.Type != h.Rrtype || r.Class != h.Class {
				t.Fatalf("record %d is %q %+v, want %v", i, owner, r, h)
			}
		}
	})
}
