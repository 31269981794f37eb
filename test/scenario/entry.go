package scenario

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// payloadSize is the datagram size, in octets, that clients and servers of a
// scenario offer in OPT records.
const payloadSize = 1232

// An entry is a message and how to compare others with it.
type entry struct {
	line      int
	match     []string // words of MATCH
	ede       int      // wanted extended error; anyEDE
	msg       *dns.Msg
	copyQuery bool
	silent    bool
	sleep     time.Duration
}

// anyEDE means that extended errors do not matter, noEDE that there is none.
const (
	anyEDE = -1
	noEDE  = -2
)

// entry reads from after ENTRY_BEGIN to ENTRY_END.
func (in *reader) entry() (*entry, error) {
	e := &entry{line: in.at, ede: anyEDE, msg: new(dns.Msg)}
	section := ""
	for words := in.next(); words != nil; words = in.next() {
		var err error
		switch words[0] {
		case "MATCH":
			err = in.match(e, words[1:])
		case "ADJUST":
			err = in.adjust(e, words[1:])
		case "REPLY":
			err = in.reply(e, words[1:])
		case "SECTION":
			section = strings.Join(words[1:], " ")
			if !slices.Contains([]string{"QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL"}, section) {
				err = in.fail("unknown section %q", section)
			}
		case "ENTRY_END":
			return e, nil
		default:
			err = in.record(e, section, words)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, in.fail("want ENTRY_END")
}

func (in *reader) match(e *entry, words []string) error {
	for _, w := range words {
		code, isEDE := strings.CutPrefix(w, "ede=")
		switch {
		case isEDE:
			n, err := strconv.Atoi(code)
			if err != nil {
				return in.fail("MATCH %s: %v", w, err)
			}
			e.ede = n
		case w == "noede":
			e.ede = noEDE
		case w == "all":
			e.match = append(e.match, "opcode", "question", "rcode", "flags", "answer", "authority", "additional")
		case matchers[w] == nil && w != "ttl":
			return in.fail("MATCH does not know %q", w)
		default:
			e.match = append(e.match, w)
		}
	}
	return nil
}

func (in *reader) adjust(e *entry, words []string) error {
	for _, w := range words {
		value, isSleep := strings.CutPrefix(w, "sleep=")
		switch {
		case w == "copy_id":
		case w == "copy_query":
			e.copyQuery = true
		case w == "silence":
			e.silent = true
		case isSleep:
			d, err := seconds(value)
			if err != nil {
				return in.fail("ADJUST %s: %v", w, err)
			}
			e.sleep = d
		default:
			return in.fail("ADJUST does not know %q", w)
		}
	}
	return nil
}

func (in *reader) reply(e *entry, words []string) error {
	m := e.msg
	flags := map[string]*bool{"QR": &m.Response, "AA": &m.Authoritative, "TC": &m.Truncated, "RD": &m.RecursionDesired,
		"RA": &m.RecursionAvailable, "AD": &m.AuthenticatedData, "CD": &m.CheckingDisabled}
	for _, w := range words {
		opcode, isOpcode := dns.StringToOpcode[w]
		rcode, isRcode := dns.StringToRcode[w]
		switch flag := flags[w]; {
		case flag != nil:
			*flag = true
		case w == "DO" || w == "EDNS":
			m.SetEdns0(payloadSize, w == "DO")
		case isOpcode:
			m.Opcode = opcode
		case isRcode:
			m.Rcode = rcode
		default:
			return in.fail("REPLY does not know %q", w)
		}
	}
	return nil
}

// record reads a line of a section.
func (in *reader) record(e *entry, section string, words []string) error {
	if section == "QUESTION" {
		return in.question(e, words)
	}
	rr, err := dns.NewRR(in.lines[in.at-1])
	if err != nil {
		return in.fail("%v", err)
	}
	switch section {
	case "ANSWER":
		e.msg.Answer = append(e.msg.Answer, rr)
	case "AUTHORITY":
		e.msg.Ns = append(e.msg.Ns, rr)
	case "ADDITIONAL":
		e.msg.Extra = append(e.msg.Extra, rr)
	default:
		return in.fail("%q is in no section", words[0])
	}
	return nil
}

// question reads "name [class] type".
func (in *reader) question(e *entry, words []string) error {
	if len(words) < 2 || len(words) > 3 {
		return in.fail("want name, class and type")
	}
	q := dns.Question{Name: dns.Fqdn(words[0]), Qclass: dns.ClassINET}
	var known bool
	if len(words) == 3 {
		if q.Qclass, known = dns.StringToClass[words[1]]; !known {
			return in.fail("unknown class %q", words[1])
		}
	}
	typ := words[len(words)-1]
	if q.Qtype, known = dns.StringToType[typ]; !known { // RFC 3597 section 5
		number, err := strconv.ParseUint(strings.TrimPrefix(typ, "TYPE"), 10, 16)
		if err != nil {
			return in.fail("unknown type %q", typ)
		}
		q.Qtype = uint16(number)
	}
	e.msg.Question = append(e.msg.Question, q)
	return nil
}

// answer returns what a server says to q with this entry, nil for silence.
func (e *entry) answer(q *dns.Msg) *dns.Msg {
	if e.silent {
		return nil
	}
	m := e.msg.Copy()
	m.Id = q.Id
	if e.copyQuery || matchers["question"](e, q) == "" { // the same, as the asker wrote it
		m.Question = slices.Clone(q.Question)
	}
	return m
}
