package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/test/corpus"
	"proxima/test/sim"
)

// maxLine is the longest line of a scenario, in octets.
const maxLine = 64 << 10

// zoneSeed makes the keys of zones, the same in every run.
const zoneSeed = 1

// A Scenario is a parsed file.
type Scenario struct {
	Title   string
	file    string
	dialect dialect
	config  config
	ranges  []*span
	steps   []*step
}

// A span is what some addresses say during some steps.
type span struct {
	first, last int
	addrs       []netip.Addr
	entries     []*entry
	internet    *sim.Internet // the zones of this span, on its addresses
	zones       []zoneText
}

// A zoneText is a zone before the addresses of its span are all known.
type zoneText struct {
	line   int
	name   string
	text   string
	signed bool
	island bool // no parent has its DS
	zone   *sim.Zone
}

// A step is one thing that happens.
type step struct {
	line, number int
	verb         string
	entry        *entry        // nil if there is none
	repeat       int           // QUERY: clients
	after        time.Duration // CHECK_ANSWER
	before       time.Duration // CHECK_ANSWER; 0 means any
	addr         netip.Addr    // CHECK_OUT_QUERY; zero means any
	least, most  int           // CHECK_OUT_QUERY
	elapse       time.Duration // TIME_PASSES
}

// A reader goes through a file line by line.
type reader struct {
	file    string
	dialect dialect
	lines   []string // less comments and outer blanks
	at      int      // lines read so far, so also the number of the line just read
}

// A dialect is whose language a file is written in.
type dialect int

const (
	native dialect = iota
	unbound
	deckard // Unbound's, with settings of its own and servers that always answer
)

// Read parses a scenario. file is its name in errors.
func Read(file string, r io.Reader) (*Scenario, error) { return read(&reader{file: file}, r) }

// ReadForeign parses a scenario of Unbound's or Deckard's. It fails with a
// [corpus.Unfit] for those that are not for Proxima.
func ReadForeign(file string, r io.Reader) (*Scenario, error) {
	return read(&reader{file: file, dialect: unbound}, r)
}

func read(in *reader, r io.Reader) (*Scenario, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		in.lines = append(in.lines, strings.TrimSpace(in.uncomment(scan.Text())))
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", in.file, err)
	}
	s := &Scenario{file: in.file}
	if err := in.scenario(s); err != nil {
		return nil, err
	}
	s.dialect = in.dialect
	return s, nil
}

// uncomment cuts the comment off a line. Where Unbound's files have it, # may
// begin one, too, but not within a word.
func (in *reader) uncomment(line string) string {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				return line[:i]
			}
		case '#':
			if in.dialect != native && !quoted && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
				return line[:i]
			}
		}
	}
	return line
}

// next returns the next line that has words, as words; nil at the end.
func (in *reader) next() []string {
	for in.at < len(in.lines) {
		in.at++
		if words := strings.Fields(in.lines[in.at-1]); len(words) > 0 {
			return words
		}
	}
	return nil
}

// back takes the line just read back.
func (in *reader) back() { in.at-- }

// fail returns an error at the line just read.
func (in *reader) fail(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", in.file, in.at, fmt.Sprintf(format, args...))
}

// unfit returns an error at the line just read if there is a reason for one.
func (in *reader) unfit(reason string) error {
	if reason == "" {
		return nil
	}
	return &corpus.Unfit{File: in.file, Line: in.at, Reason: reason}
}

// scenario reads a whole file.
func (in *reader) scenario(s *Scenario) error {
	if err := in.config(&s.config); err != nil {
		return err
	}
	words := in.next()
	if words == nil || words[0] != "SCENARIO_BEGIN" {
		return in.fail("want SCENARIO_BEGIN after CONFIG_END")
	}
	s.Title = strings.Join(words[1:], " ")
	for words := in.next(); words != nil; words = in.next() {
		switch words[0] {
		case "RANGE_BEGIN":
			r, err := in.span(words[1:])
			if err != nil {
				return err
			}
			s.ranges = append(s.ranges, r)
		case "STEP":
			st, err := in.step(words[1:])
			if err != nil {
				return err
			}
			if n := len(s.steps); n > 0 && s.steps[n-1].number >= st.number {
				return in.fail("step %d after step %d", st.number, s.steps[n-1].number)
			}
			s.steps = append(s.steps, st)
		case "SCENARIO_END":
			s.sign()
			return nil
		default:
			return in.fail("unknown word %q: want RANGE_BEGIN, STEP or SCENARIO_END", words[0])
		}
	}
	return in.fail("want SCENARIO_END")
}

// span reads from after RANGE_BEGIN to RANGE_END.
func (in *reader) span(args []string) (*span, error) {
	r := &span{internet: sim.New(zoneSeed)}
	var err error
	if len(args) == 3 && in.dialect != native { // with the address
		var addr netip.Addr
		if addr, err = netip.ParseAddr(args[2]); err != nil {
			return nil, in.fail("%v", err)
		}
		r.addrs, args = append(r.addrs, addr), args[:2]
	}
	if len(args) != 2 {
		return nil, in.fail("want RANGE_BEGIN first last")
	}
	if r.first, err = strconv.Atoi(args[0]); err == nil {
		r.last, err = strconv.Atoi(args[1])
	}
	if err != nil {
		return nil, in.fail("want RANGE_BEGIN first last: %v", err)
	}
	for words := in.next(); words != nil; words = in.next() {
		switch words[0] {
		case "ADDRESS":
			addr, err := netip.ParseAddr(strings.Join(words[1:], " "))
			if err != nil {
				return nil, in.fail("%v", err)
			}
			r.addrs = append(r.addrs, addr)
		case "ENTRY_BEGIN":
			e, err := in.entry()
			if err != nil {
				return nil, err
			}
			r.entries = append(r.entries, e)
		case "ZONE_BEGIN":
			z, err := in.zone(words[1:])
			if err != nil {
				return nil, err
			}
			r.zones = append(r.zones, z)
		case "RANGE_END":
			return r, in.build(r)
		default:
			return nil, in.fail("unknown word %q: want ADDRESS, ENTRY_BEGIN, ZONE_BEGIN or RANGE_END", words[0])
		}
	}
	return nil, in.fail("want RANGE_END")
}

// build puts the zones of a span on its addresses.
func (in *reader) build(r *span) error {
	r.internet.RoundTrip(roundTrip)
	for i := range r.zones {
		z := &r.zones[i]
		var err error
		if z.zone, err = r.internet.ReadZone(z.name, strings.NewReader(z.text), r.addrs...); err != nil {
			return fmt.Errorf("%s:%d: in the zone that begins here: %w", in.file, z.line, err)
		}
	}
	return nil
}

// sign signs the zones that are to be, and gives their DS to those that delegate
// them, on whatever addresses.
func (s *Scenario) sign() {
	var all []zoneText
	for _, r := range s.ranges {
		all = append(all, r.zones...)
	}
	for _, z := range all {
		if z.signed {
			z.zone.Sign()
		}
	}
	for _, z := range all {
		for _, parent := range all {
			switch {
			case z.signed && !z.island:
				parent.zone.Vouch(z.name)
			case z.island && parent.zone.Name() != z.zone.Name():
				parent.zone.Remove(z.name, dns.TypeDS)
			}
		}
	}
}

// zone reads from after ZONE_BEGIN to ZONE_END.
func (in *reader) zone(args []string) (zoneText, error) {
	z := zoneText{line: in.at}
	switch how := strings.Join(args[min(1, len(args)):], " "); {
	case len(args) == 0 || how != "" && how != "SIGNED" && how != "SIGNED ISLAND":
		return z, in.fail("want ZONE_BEGIN name, and perhaps SIGNED or SIGNED ISLAND")
	default:
		z.name, z.signed, z.island = args[0], how != "", how == "SIGNED ISLAND"
	}
	for words := in.next(); words != nil; words = in.next() {
		if words[0] == "ZONE_END" {
			return z, nil
		}
		z.text += in.lines[in.at-1] + "\n"
	}
	return z, in.fail("want ZONE_END")
}

// step reads from after STEP to the end of its entry.
func (in *reader) step(args []string) (*step, error) {
	if len(args) < 2 {
		return nil, in.fail("want STEP number verb")
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, in.fail("want STEP number verb: %v", err)
	}
	st := &step{line: in.at, number: number, verb: args[1], repeat: 1, least: 1, most: maxExchanges}
	takes, known := verbs[st.verb]
	if foreign, is := foreignVerbs[st.verb]; is && in.dialect != native {
		takes, known = foreign, true
	}
	if !known {
		return nil, in.foreignWord(st.verb, "unknown step")
	}
	for args = args[2:]; len(args) > 0; args = args[2:] {
		if args[0] == "EVAL" && in.dialect != native {
			return nil, in.unfit(corpus.Word("EVAL"))
		}
		if len(args) == 1 || !strings.Contains(takes.options, args[0]) {
			return nil, in.fail("%s takes %q, each with a value, not %q", st.verb, takes.options, args[0])
		}
		if err := st.option(args[0], args[1]); err != nil {
			return nil, in.fail("%s: %v", args[0], err)
		}
	}
	words := in.next()
	if words != nil && words[0] == "ENTRY_BEGIN" && takes.entry != never {
		if st.entry, err = in.entry(); err == nil && st.verb == "QUERY" && in.dialect != native {
			err = in.unfit(corpus.Question(asked(st.entry.msg).Name))
		}
		return st, err
	}
	if words != nil {
		in.back()
	}
	if takes.entry == always {
		return nil, in.fail("%s wants an entry", st.verb)
	}
	return st, nil
}

// How a step stands to entries.
const (
	never = iota
	perhaps
	always
)

// A form is what may follow a verb.
type form struct {
	options string
	entry   int
}

// verbs lists the steps.
var verbs = map[string]form{
	"QUERY":           {"REPEAT", always},
	"CHECK_ANSWER":    {"AFTER BEFORE", always},
	"CHECK_OUT_QUERY": {"ADDRESS COUNT ATMOST", perhaps},
	"TIME_PASSES":     {"ELAPSE", never},
	"PRIME":           {"", never},
}

// foreignVerbs lists the steps that foreign files have more, or otherwise.
var foreignVerbs = map[string]form{
	"QUERY":        {"ADDRESS", always}, // who asks, which makes no difference
	"CHECK_ANSWER": {"ADDRESS", always},
	"REPLY":        {"ADDRESS", always},
	"TIMEOUT":      {"ADDRESS", perhaps},
	"ERROR":        {"ADDRESS", perhaps},
	"NOTHING":      {"", never},
	"TRAFFIC":      {"", never},
}

// foreignWord tells what is the matter with a word that is not known.
func (in *reader) foreignWord(word, otherwise string) error {
	if reason := corpus.Word(word); reason != "" && in.dialect != native {
		return in.unfit(reason)
	}
	return in.fail("%s %q", otherwise, word)
}

// option sets what a word of the step says.
func (st *step) option(word, value string) (err error) {
	switch word {
	case "REPEAT":
		st.repeat, err = strconv.Atoi(value)
	case "AFTER":
		st.after, err = seconds(value)
	case "BEFORE":
		st.before, err = seconds(value)
	case "ADDRESS":
		st.addr, err = netip.ParseAddr(value)
	case "COUNT":
		st.most, err = strconv.Atoi(value)
		st.least = st.most
	case "ATMOST":
		st.most, err = strconv.Atoi(value)
		st.least = 0
	case "ELAPSE":
		st.elapse, err = seconds(value)
	default:
		err = fmt.Errorf("unknown option")
	}
	return err
}

// seconds reads a number of seconds, which may have a fraction.
func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	return time.Duration(f * float64(time.Second)).Round(time.Millisecond), err
}
