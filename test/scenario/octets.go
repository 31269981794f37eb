package scenario

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/miekg/dns"

	"proxima/test/corpus"
)

// foreignEntry reads what only foreign files have in entries, and tells whether
// word begins such a thing.
func (in *reader) foreignEntry(e *entry, word string) (is bool, err error) {
	if in.dialect == native {
		return false, nil
	}
	switch word {
	case "MANDATORY":
		e.mandatory = true
	case "FLAGS":
		return true, in.reply(e, strings.Fields(in.lines[in.at-1])[1:])
	case "RAW": // one line
		in.next()
		e.raw, err = hex.DecodeString(in.lines[in.at-1])
	case "HEX_ANSWER_BEGIN":
		e.raw, err = in.octets("HEX_ANSWER_END")
	case "HEX_EDNSDATA_BEGIN":
		e.options, err = in.octets("HEX_EDNSDATA_END")
	case "EXTRA_PACKET", "TSIG":
		return true, in.unfit(corpus.Word(word))
	default:
		return false, nil
	}
	if err != nil {
		err = in.fail("%s: %v", word, err)
	}
	return true, err
}

// octets reads hexadecimal digits up to the line end.
func (in *reader) octets(end string) ([]byte, error) {
	all := []byte{}
	for words := in.next(); words != nil; words = in.next() {
		if words[0] == end {
			return all, nil
		}
		octets, err := hex.DecodeString(strings.Join(words, ""))
		if err != nil {
			return nil, err
		}
		all = append(all, octets...)
	}
	return nil, errors.New("want " + end)
}

// whole puts the message of an entry together at its end.
func (in *reader) whole(e *entry) error {
	if e.options != nil {
		if e.msg.IsEdns0() == nil {
			e.msg.SetEdns0(payloadSize, false)
		}
		opt := []byte{0, 0, byte(dns.TypeOPT), 0, 0, 0, 0, 0, 0} // RFC 6891 section 6.1.2
		opt = binary.BigEndian.AppendUint16(opt, uint16(len(e.options)))
		rr, _, err := dns.UnpackRR(append(opt, e.options...), 0)
		if err != nil {
			return in.fail("HEX_EDNSDATA: %v", err)
		}
		e.msg.IsEdns0().Option = rr.(*dns.OPT).Option
	}
	if e.raw != nil && len(e.msg.Question) == 0 { // else the sections say what is matched
		var m dns.Msg
		if m.Unpack(e.raw) == nil {
			e.msg = &m
		}
	}
	return nil
}

// rawAnswer returns the octets of e as a reply to q, nil if they are none: who
// asks takes no notice of those.
func (e *entry) rawAnswer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	if m.Unpack(e.raw) != nil {
		return nil
	}
	m.Id = q.Id
	return m
}

// packet returns e as octets.
func (e *entry) packet() ([]byte, error) {
	if e.raw != nil {
		return e.raw, nil
	}
	return e.msg.Pack()
}
