package scenario

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"proxima/test/corpus"
)

const (
	// unboundHead and deckardHead forward everything.
	unboundHead = "forward-zone: name: \".\" forward-addr: 192.0.2.1 # one line\nCONFIG_END\nSCENARIO_BEGIN u\n"
	deckardHead = "query-minimization: off\nforward-addr: 192.0.2.1\nCONFIG_END\nSCENARIO_BEGIN d\n"

	asked1 = "STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\nwww.example. IN A\nENTRY_END\n"
)

// said is an entry that answers to www.example. A with the address.
func said(words, addr string) string {
	return "ENTRY_BEGIN\nMATCH opcode qtype qname\nADJUST copy_id\n" + words +
		"REPLY QR RD RA NOERROR\nSECTION QUESTION\nwww.example. IN A\nSECTION ANSWER\nwww.example. IN A " + addr + "\nENTRY_END\n"
}

// span1 is a range of all steps.
func span1(entries string) string {
	return "RANGE_BEGIN 0 100\nADDRESS 192.0.2.1\n" + entries + "RANGE_END\n"
}

// step is a step with an entry.
func step1(what, entry string) string { return "STEP " + what + "\n" + entry }

func TestReadForeign_Run(t *testing.T) {
	good := said("", "192.0.2.80")
	wanted := strings.Replace(good, "opcode qtype qname", "all", 1)
	checked := step1("9 CHECK_ANSWER", wanted)
	const failed = "STEP 9 CHECK_ANSWER\nENTRY_BEGIN\nMATCH rcode\nREPLY QR RD RA SERVFAIL\nENTRY_END\n"
	const other = "STEP 2 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\na.example. IN A\nENTRY_END\n"
	const raw = "0000858000010001000000000377777707657861 6d706c650000010001c00c00010001000000780004c0000250" // www.example. A 192.0.2.80
	tests := []struct{ name, text, want string }{
		{"a range answers", unboundHead + span1(good) + asked1 + checked, ""},
		{"a wrong answer", unboundHead + span1(said("", "192.0.2.81")) + asked1 + checked, "u.rpl:22: STEP 9 CHECK_ANSWER: the answer to line 16: answer section:"},
		{"a range without address speaks for all", unboundHead + "RANGE_BEGIN 0 9\n" + good + "RANGE_END\n" + asked1 + checked, ""},
		{"a range has its address in the line", unboundHead + "RANGE_BEGIN 0 9 192.0.2.1\n" + good + "RANGE_END\n" + asked1 + checked, ""},
		{"a step answers what no range does", unboundHead + asked1 + step1("2 REPLY", good) + checked, ""},
		{"a step answers what was sent to its address", unboundHead + asked1 + step1("2 REPLY ADDRESS 192.0.2.1", good) + checked, ""},
		{"but not what was sent to another", unboundHead + asked1 + step1("2 REPLY ADDRESS 192.0.2.2", good) + checked,
			"u.rpl:10: STEP 2 REPLY: no query waits for this"},
		{"a check of queries answers, too", unboundHead + asked1 + step1("2 CHECK_OUT_QUERY", good) + checked, ""},
		{"steps of nothing", unboundHead + span1(good) + asked1 + "STEP 2 NOTHING\nSTEP 3 TRAFFIC\n" + checked, ""},
		{"timeouts end in SERVFAIL", unboundHead + asked1 + "STEP 2 TIMEOUT\nSTEP 3 TIMEOUT\nSTEP 4 TIMEOUT\nSTEP 5 TIMEOUT\n" + failed, ""},
		{"so do errors", unboundHead + asked1 + "STEP 2 ERROR\nSTEP 3 ERROR\nSTEP 4 ERROR\nSTEP 5 ERROR\n" + failed, ""},
		{"a client has an address", unboundHead + span1(good) + strings.Replace(asked1, "QUERY", "QUERY ADDRESS 198.51.100.1", 1) +
			strings.Replace(checked, "CHECK_ANSWER", "CHECK_ANSWER ADDRESS 198.51.100.1", 1), ""},
		{"answers are looked at in any order", unboundHead + span1(good+strings.ReplaceAll(good, "www", "a")) + asked1 + other +
			step1("3 CHECK_ANSWER", strings.ReplaceAll(wanted, "www", "a")) + checked, ""},
		{"nobody has to look at answers", unboundHead + span1(good) + asked1, ""},

		{"Deckard looks at the last answer", deckardHead + span1(good) + other + strings.Replace(asked1, "1", "3", 1) + checked, ""},
		{"Deckard's servers answer all", deckardHead + span1(strings.ReplaceAll(good, "www", "a")) + asked1 + failed, ""},
		{"and for addresses nobody has", deckardHead + strings.Replace(span1(good), "192.0.2.1", "192.0.2.9", 1) + asked1 + checked, ""},
		{"while the step of the query lasts", deckardHead + strings.Replace(span1(good), "100", "1", 1) + asked1 + checked, ""},
		{"Deckard counts no queries", deckardHead + span1(good) + asked1 + step1("2 CHECK_OUT_QUERY", strings.ReplaceAll(good, "www", "a")) + checked, ""},
		{"an entry that was used may be mandatory", deckardHead + span1(strings.Replace(good, "MATCH", "MANDATORY\nMATCH", 1)) + asked1 + checked, ""},
		{"one that was not", deckardHead + span1(good+strings.Replace(strings.ReplaceAll(good, "www", "a"), "MATCH", "MANDATORY\nMATCH", 1)) + asked1 + checked,
			"u.rpl:16: this entry is mandatory, and nobody asked for it"},
		{"a server is silent", deckardHead + span1(said("ADJUST do_not_answer\n", "192.0.2.80")) + asked1 + failed, ""},

		{"an answer as octets", unboundHead + span1("ENTRY_BEGIN\nMATCH qname\nHEX_ANSWER_BEGIN ; header\n"+raw+"\nHEX_ANSWER_END\nENTRY_END\n") + asked1 + checked, ""},
		{"Deckard's answer as octets", deckardHead + span1("ENTRY_BEGIN\nMATCH qname\nADJUST raw_id\nSECTION QUESTION\nwww.example. IN A\nRAW\n"+
			strings.ReplaceAll(raw, " ", "")+"\nENTRY_END\n") + asked1 + checked, ""},
		{"octets that are no message are no answer", deckardHead + span1("ENTRY_BEGIN\nMATCH qname\nSECTION QUESTION\nwww.example. IN A\nRAW\n00ff\nENTRY_END\n") +
			asked1 + failed, ""},
		{"a query as octets", deckardHead + span1(good) + "STEP 1 QUERY\nENTRY_BEGIN\nRAW\n00ff\nENTRY_END\n" + strings.Replace(asked1, "1", "3", 1) + checked, ""},
		{"EDNS options as octets", unboundHead + span1(good) + "STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\nwww.example. IN A\nSECTION ADDITIONAL\n" +
			"HEX_EDNSDATA_BEGIN\nfdff 0001 00 ; a private option\nHEX_EDNSDATA_END\nENTRY_END\n" + strings.Replace(checked, "all", "all edns", 1), ""},
		{"without them there is no EDNS", unboundHead + span1(good) + asked1 + strings.Replace(checked, "all", "all noedns", 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { playForeign(t, tt.text, tt.want) })
	}
}

// playForeign plays a scenario and wants an error that begins so, or none.
func playForeign(t *testing.T, text, want string) {
	t.Helper()
	s, err := ReadForeign("u.rpl", strings.NewReader(text+"SCENARIO_END\n"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		got := ""
		if err := s.Run(t.Context(), 1); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("error %q, want it to begin with %q", got, want)
		}
	})
}

func TestReadForeign_errors(t *testing.T) {
	const head = "CONFIG_END\nSCENARIO_BEGIN u\n"
	entry := func(line string) string { return head + "STEP 1 QUERY\nENTRY_BEGIN\n" + line + "\n" }
	tests := []struct{ name, text, want string }{
		{"an unknown setting", "server:\n\tluck: good\n", "u.rpl:2: luck: is unknown"},
		{"an unknown setting of a zone", "stub-zone:\n\tstub-luck: good\n", "u.rpl:2: stub-luck: is unknown"},
		{"an anchor that is no record", "trust-anchor: \"example. DS 1\"\n", "u.rpl:1: trust-anchor: dns: bad DS"},
		{"an anchor that is another record", "trust-anchor: \"example. A 192.0.2.1\"\n", "u.rpl:1: trust-anchor: wants DS or DNSKEY"},
		{"settings without end", "do-ip6: no\n", "u.rpl:1: want CONFIG_END"},
		{"an unknown step", head + "STEP 1 LEAP\n", `u.rpl:3: unknown step "LEAP"`},
		{"octets that are none", entry("HEX_ANSWER_BEGIN\nluck\n"), "u.rpl:6: HEX_ANSWER_BEGIN: encoding/hex"},
		{"octets without end", entry("HEX_EDNSDATA_BEGIN\n00\n"), "u.rpl:7: HEX_EDNSDATA_BEGIN: want HEX_EDNSDATA_END"},
		{"options that are none", entry("HEX_EDNSDATA_BEGIN\n00\nHEX_EDNSDATA_END\nENTRY_END\n"), "u.rpl:8: HEX_EDNSDATA: "},
		{"a bad address of a range", head + "RANGE_BEGIN 0 1 luck\n", "u.rpl:3: ParseAddr"},

		{"a setting that is not for Proxima", "server:\n\tlocal-zone: a.example. static\n", "u.rpl:2: not for Proxima: local zones"},
		{"a step", head + "STEP 1 CHECK_AUTOTRUST example.com\n", "u.rpl:3: not for Proxima: the state file"},
		{"a computed time", head + "STEP 1 TIME_PASSES EVAL ${2*3}\n", "u.rpl:3: not for Proxima: computed times"},
		{"a word of MATCH", entry("MATCH serial"), "u.rpl:5: not for Proxima: zones that Unbound serves"},
		{"a word of ADJUST", entry("ADJUST copy_ednsdata_assume_clientsubnet"), "u.rpl:5: not for Proxima: ECS"},
		{"more packets", entry("EXTRA_PACKET"), "u.rpl:5: not for Proxima: zones that Unbound serves"},
		{"a signed query", entry("TSIG key secret"), "u.rpl:5: not for Proxima: TSIG"},
		{"a record", entry("SECTION ANSWER\nexample. DS 1 3 1 00"), "u.rpl:6: not for Proxima: DSA"},
		{"a question", entry("SECTION QUESTION\nwww.test. IN A\nENTRY_END"), "u.rpl:7: not for Proxima: special names"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadForeign("u.rpl", strings.NewReader(tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("error %v, want it to begin with %q", err, tt.want)
			}
			var u *corpus.Unfit
			if unfit := strings.Contains(tt.want, "not for Proxima"); errors.As(err, &u) != unfit {
				t.Errorf("%#v, want Unfit %t", err, unfit)
			}
		})
	}
}

// TestReadForeign_entry compares an entry with a message that differs from it as
// the name of the test says.
func TestReadForeign_entry(t *testing.T) {
	const proof = "a.example. NSEC b.example. "
	tests := []struct {
		name      string
		want, got string // lines of an entry
		same      bool
	}{
		{"other extra records", "MATCH all\nSECTION ADDITIONAL\nns.example. A 192.0.2.1", "", true},
		{"no NS records of the zone", "MATCH all\nSECTION AUTHORITY\nexample. NS ns.example.", "", true},
		{"another proof", "MATCH all\nSECTION AUTHORITY\n" + proof + "A", "", false},
		{"a proof with its types in another order", "MATCH all\nSECTION AUTHORITY\n" + proof + "NSEC A", "SECTION AUTHORITY\n" + proof + "A NSEC", true},
		{"a TTL in the question", "MATCH all\nSECTION QUESTION\nwww.example. 60 IN A", "SECTION QUESTION\nwww.example. IN A", true},
		{"the old name of NOTIMP", "MATCH rcode\nREPLY NOTIMPL", "REPLY NOTIMP", true},
		{"Deckard's other word for REPLY", "MATCH flags\nFLAGS QR RD", "REPLY QR RD", true},
		{"all but EDNS", "MATCH all_noedns\nREPLY QR", "REPLY QR DO", true},
		{"the same EDNS option", "MATCH ednsdata\nHEX_EDNSDATA_BEGIN\nfdff000100\nHEX_EDNSDATA_END", "HEX_EDNSDATA_BEGIN\nfdff 0001 00\nHEX_EDNSDATA_END", true},
		{"another EDNS option", "MATCH ednsdata\nHEX_EDNSDATA_BEGIN\nfdff000100\nHEX_EDNSDATA_END", "HEX_EDNSDATA_BEGIN\nfdff000101\nHEX_EDNSDATA_END", false},
		{"any extended error", "MATCH ede=any", "HEX_EDNSDATA_BEGIN\n000f00020009\nHEX_EDNSDATA_END", true},
		{"no extended error", "MATCH ede=any", "", false},
		{"what exactly is bogus", "MATCH ede=6", "HEX_EDNSDATA_BEGIN\n000f00020009\nHEX_EDNSDATA_END", true},
		{"an error that is not bogus", "MATCH ede=6", "HEX_EDNSDATA_BEGIN\n000f00020016\nHEX_EDNSDATA_END", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, got := mustEntry(t, tt.want), mustEntry(t, tt.got)
			if d := want.differences(got.msg); (d == nil) != tt.same {
				t.Errorf("differences %q, want the same: %t", d, tt.same)
			}
		})
	}
}

// mustEntry reads the lines of a foreign entry.
func mustEntry(t testing.TB, lines string) *entry {
	t.Helper()
	in := &reader{file: "u.rpl", dialect: unbound, lines: strings.Split(lines+"\nENTRY_END", "\n")}
	e, err := in.entry()
	if err != nil {
		t.Fatal(err)
	}
	return e
}
