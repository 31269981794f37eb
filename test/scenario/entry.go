package scenario

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/corpus"
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
	copyID    bool   // makes a CHECK_OUT_QUERY of Unbound's an answer, too
	mandatory bool   // it must have been used in the end
	lenient   bool   // see compare
	raw       []byte // the whole message, if the file gives its octets
	options   []byte // of the OPT record
}

// anyEDE means that extended errors do not matter, noEDE that there is none,
// someEDE that there is one.
const (
	anyEDE  = -1
	noEDE   = -2
	someEDE = -3
)

// entry reads from after ENTRY_BEGIN to ENTRY_END.
func (in *reader) entry() (*entry, error) {
	e := &entry{line: in.at, ede: anyEDE, msg: new(dns.Msg), lenient: in.dialect != native}
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
			return e, in.whole(e)
		default:
			var is bool
			if is, err = in.foreignEntry(e, words[0]); !is {
				err = in.record(e, section, words)
			}
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
		case w == "ede=any":
			e.ede = someEDE
		case isEDE:
			n, err := strconv.Atoi(code)
			if err != nil {
				return in.fail("MATCH %s: %v", w, err)
			}
			e.ede = n
		case w == "noede":
			e.ede = noEDE
		case w == "all", w == "all_noedns":
			e.match = append(e.match, "opcode", "question", "rcode", "flags", "answer", "authority", "additional")
		case matchers[w] == nil && w != "ttl":
			return in.foreignWord(w, "MATCH does not know")
		default:
			e.match = append(e.match, w)
		}
	}
	return nil
}

func (in *reader) adjust(e *entry, words []string) error {
	for _, w := range words {
		value, isSleep := strings.CutPrefix(strings.TrimPrefix(w, "packet_"), "sleep=")
		switch {
		case w == "copy_id", w == "raw_id":
			e.copyID = true
		case w == "copy_query":
			e.copyQuery = true
		case w == "silence", w == "do_not_answer":
			e.silent = true
		case isSleep:
			d, err := seconds(value)
			if err != nil {
				return in.fail("ADJUST %s: %v", w, err)
			}
			e.sleep = d
		default:
			return in.foreignWord(w, "ADJUST does not know")
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
		case w == "NOTIMPL":
			m.Rcode = dns.RcodeNotImplemented
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
	sortTypes(rr)
	if reason := corpus.Record(rr); reason != "" && in.dialect != native {
		return in.unfit(reason)
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
	if in.dialect != native { // a TTL may stand there
		words = slices.DeleteFunc(words, func(w string) bool { return w != words[0] && strings.Trim(w, "0123456789") == "" })
	}
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

// sortTypes sorts the types in a denial of existence, which may stand in any
// order in a text, but not in a packet.
func sortTypes(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.NSEC:
		slices.Sort(rr.TypeBitMap)
	case *dns.NSEC3:
		slices.Sort(rr.TypeBitMap)
	}
}

// answer returns what a server says to q with this entry, nil for silence.
func (e *entry) answer(q *dns.Msg) *dns.Msg {
	if e.silent {
		return nil
	}
	if e.raw != nil {
		return e.rawAnswer(q)
	}
	m := e.msg.Copy()
	m.Id = q.Id
	if e.copyQuery || matchers["question"](e, q) == "" { // the same, as the asker wrote it
		m.Question = slices.Clone(q.Question)
	}
	return m
}
