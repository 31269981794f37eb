package corpus

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Setting is one of test/scenario's own. Without a Key a section begins.
type Setting struct {
	Section string // "server:", "stub-zone:" or "forward-zone:"
	Key     string // with its colon
	Value   string
}

// Settings reads what stands before CONFIG_END, line by line.
type Settings struct {
	Deckard       bool // the file has settings that only Deckard knows
	IteratorOnly  bool // nothing is validated
	insideSection string
}

// texts are the parts of a line: in quotes, or between blanks.
var (
	texts = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	key   = regexp.MustCompile(`^[a-z][a-z0-9-]*:$`)
)

// Line translates a line, without its comment, or says why the file is unfit.
// A setting that test/scenario does not know either is left as it is.
func (s *Settings) Line(line string) (all []Setting, unfit string) {
	if reason := Word(strings.SplitN(line, " ", 2)[0]); reason != "" {
		return nil, reason
	}
	for _, w := range split(line) {
		more, reason := s.translate(w)
		if reason != "" {
			return nil, reason
		}
		all = append(all, more...)
	}
	return all, ""
}

// split finds the settings of a line: unbound.conf lets several stand on one.
func split(line string) []Setting {
	var all []Setting
	for _, w := range texts.FindAllString(line, -1) {
		last := len(all) - 1
		switch {
		case key.MatchString(w) || last < 0:
			all = append(all, Setting{Key: w})
		case all[last].Value == "":
			all[last].Value = strings.Trim(w, `"'`)
		default:
			all[last].Value += " " + w
		}
	}
	return all
}

// translate takes one setting. What stands before any section is of server.
func (s *Settings) translate(w Setting) (all []Setting, unfit string) {
	if sections[w.Key] {
		s.insideSection = w.Key
		return []Setting{{Section: w.Key}}, ""
	}
	for _, u := range unfitSettings {
		if strings.HasPrefix(w.Key, u.prefix) && (u.unless == "" || !regexp.MustCompile(u.unless).MatchString(w.Value)) {
			return nil, u.reason
		}
	}
	if strings.Contains(meaningless, " "+w.Key+" ") {
		return nil, ""
	}
	switch strings.ToLower(w.Value) {
	case "on", "true":
		w.Value = "yes"
	case "off", "false":
		w.Value = "no"
	}
	if s.insideSection == "" || s.insideSection == "server:" {
		w.Section = "server:"
		return s.server(w)
	}
	w.Section = s.insideSection
	return []Setting{w}, ""
}

// sections of unbound.conf that matter.
var sections = map[string]bool{"server:": true, "stub-zone:": true, "forward-zone:": true}

// server takes a setting of server, or one that only Deckard has.
func (s *Settings) server(w Setting) (all []Setting, unfit string) {
	switch w.Key {
	case "query-minimization:":
		s.Deckard = true
		w.Key = "qname-minimisation:"
	case "stub-addr:", "forward-addr:": // of the root
		s.Deckard = true
		section := strings.TrimSuffix(w.Key, "addr:") + "zone:"
		return []Setting{{Section: section}, {section, "name:", "."}, {section, w.Key, w.Value}, {Section: "server:"}}, ""
	case "stub-name:", "feature-list:", "features:": // the name of the root's server; no switches of kresd
		s.Deckard = true
		return nil, ""
	case "name:": // of the root, which some files of Deckard's have kept
		return nil, ""
	case "module-config:":
		s.IteratorOnly = !strings.Contains(w.Value, "validator")
		return nil, ""
	case "trust-anchor:":
		if rr, err := dns.NewRR(w.Value); err == nil && rr != nil {
			return []Setting{w}, Record(rr)
		}
	case "val-override-date:", "val-override-timestamp:":
		if seconds, err := strconv.ParseInt(w.Value, 10, 64); err == nil && len(w.Value) != len(date) {
			w.Value = time.Unix(seconds, 0).UTC().Format(date)
		}
		w.Key = "val-override-date:"
	}
	return []Setting{w}, ""
}

// date is how test/scenario has val-override-date.
const date = "20060102150405"
