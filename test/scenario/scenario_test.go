package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
)

// seeds is with how many seeds each scenario is played: what holds must not
// depend on the server that happens to be asked first.
const seeds = 5

// TestScenarios plays every file of testdata in virtual time.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.rpl")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no scenarios")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".rpl"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s, err := Read(file, f)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(seeds) {
				synctest.Test(t, func(t *testing.T) {
					if err := s.Run(t.Context(), seed); err != nil {
						t.Errorf("%s, with seed %d: %v", s.Title, seed, err)
					}
				})
			}
		})
	}
}

// frame is a scenario in which one answer is checked, without its end.
const frame = `stub-zone:
	name: "."
	stub-addr: 192.0.2.1
CONFIG_END
SCENARIO_BEGIN frame
RANGE_BEGIN 0 100
	ADDRESS 192.0.2.1
ZONE_BEGIN .
www.example. A 192.0.2.80
ZONE_END
RANGE_END
STEP 1 QUERY
ENTRY_BEGIN
REPLY RD
SECTION QUESTION
www.example. IN A
ENTRY_END
`

func TestRead_errors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an unknown setting", "server:\n\tfoo: 1\nCONFIG_END\n", "f.rpl:2: foo: is unknown"},
		{"an unknown section", "nowhere:\nCONFIG_END\n", "f.rpl:1: nowhere: unknown section"},
		{"neither yes nor no", "server:\n\tdo-ip6: 1\n", "f.rpl:2: do-ip6: wants yes or no"},
		{"a zone without address", "stub-zone:\n\tname: a.\nCONFIG_END\n", "f.rpl:3: a zone wants name and address"},
		{"a setting of another section", "stub-zone:\n\tstub-first: yes\n", "f.rpl:2: stub-first: is unknown"},
		{"no end of settings", "server:\n", "f.rpl:1: want CONFIG_END"},
		{"no beginning", "CONFIG_END\nSTEP 1 PRIME\n", "f.rpl:2: want SCENARIO_BEGIN after CONFIG_END"},
		{"no end", frame, "f.rpl:17: want SCENARIO_END"},
		{"an unknown word", frame + "GO\n", `f.rpl:18: unknown word "GO": want RANGE_BEGIN, STEP or SCENARIO_END`},
		{"steps out of order", frame + "STEP 1 PRIME\n", "f.rpl:18: step 1 after step 1"},
		{"an unknown step", frame + "STEP 2 LEAP\n", `f.rpl:18: unknown step "LEAP"`},
		{"a step without its entry", frame + "STEP 2 QUERY\nSCENARIO_END\n", "f.rpl:18: QUERY wants an entry"},
		{"an option of another step", frame + "STEP 2 PRIME COUNT 1\n", `f.rpl:18: PRIME takes "", each with a value, not "COUNT"`},
		{"a bad number", frame + "STEP 2 TIME_PASSES ELAPSE long\n",
			`f.rpl:18: ELAPSE: strconv.ParseFloat: parsing "long": invalid syntax`},
		{"a bad address", frame + "RANGE_BEGIN 0 1\nADDRESS 192.0.2\n",
			`f.rpl:19: ParseAddr("192.0.2"): IPv4 address too short`},
		{"a bad zone", frame + "RANGE_BEGIN 0 1\nADDRESS 192.0.2.9\nZONE_BEGIN a.example.\nwww.b.example. A 192.0.2.1\nZONE_END\nRANGE_END\n",
			"f.rpl:20: in the zone that begins here: zone a.example.: www.b.example. is not in the zone"},
		{"a zone that is neither signed nor not", frame + "RANGE_BEGIN 0 1\nADDRESS 192.0.2.9\nZONE_BEGIN a.example. SEALED\n",
			"f.rpl:20: want ZONE_BEGIN name, and perhaps SIGNED or SIGNED ISLAND"},
		{"a bad matcher", frame + "STEP 2 QUERY\nENTRY_BEGIN\nMATCH luck\n", `f.rpl:20: MATCH does not know "luck"`},
		{"a bad adjustment", frame + "STEP 2 QUERY\nENTRY_BEGIN\nADJUST luck\n", `f.rpl:20: ADJUST does not know "luck"`},
		{"a bad flag", frame + "STEP 2 QUERY\nENTRY_BEGIN\nREPLY luck\n", `f.rpl:20: REPLY does not know "luck"`},
		{"a bad section", frame + "STEP 2 QUERY\nENTRY_BEGIN\nSECTION LUCK\n", `f.rpl:20: unknown section "LUCK"`},
		{"a bad type", frame + "STEP 2 QUERY\nENTRY_BEGIN\nSECTION QUESTION\na. IN LUCK\n", `f.rpl:21: unknown type "LUCK"`},
		{"a bad record", frame + "STEP 2 QUERY\nENTRY_BEGIN\nSECTION ANSWER\na. IN A luck\n",
			`f.rpl:21: dns: bad A A: "luck" at line: 1:12`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("f.rpl", strings.NewReader(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestScenario_Run_errors(t *testing.T) {
	check := func(entry string) string {
		return "STEP 2 CHECK_ANSWER BEFORE 1\nENTRY_BEGIN\n" + entry + "SECTION QUESTION\nwww.example. IN A\nSECTION ANSWER\nwww.example. IN A 192.0.2.80\nENTRY_END\n"
	}
	right := check("MATCH all\nREPLY QR RD RA NOERROR\n")
	tests := []struct{ name, text, want string }{
		{"the right answer is no error", right, ""},
		{"a wrong rcode", check("MATCH rcode\nREPLY NXDOMAIN\n"),
			"f.rpl:18: STEP 2 CHECK_ANSWER: the answer to line 12: rcode NOERROR, want NXDOMAIN"},
		{"wrong flags", check("MATCH flags\nREPLY QR AA\n"),
			"f.rpl:18: STEP 2 CHECK_ANSWER: the answer to line 12: flags QR RD RA, want QR AA"},
		{"wrong records", strings.Replace(right, "192.0.2.80", "192.0.2.81", 1),
			"f.rpl:18: STEP 2 CHECK_ANSWER: the answer to line 12: answer section:"},
		{"too early", strings.Replace(right, "BEFORE 1", "AFTER 1", 1),
			"f.rpl:18: STEP 2 CHECK_ANSWER: the answer to line 12: after 30ms, want at least 1s"},
		{"too late", strings.Replace(right, "BEFORE 1", "BEFORE 0.005", 1),
			"f.rpl:18: STEP 2 CHECK_ANSWER: the answer to line 12: after 30ms, want at most 5ms"},
		{"no answer looked at", "", "f.rpl:12: no CHECK_ANSWER for this QUERY"},
		{"no answer to look at", right + strings.Replace(right, "STEP 2", "STEP 3", 1),
			"f.rpl:27: STEP 3 CHECK_ANSWER: no QUERY waits for an answer"},
		{"a query that was not sent", right + "STEP 3 CHECK_OUT_QUERY ADDRESS 192.0.2.9\n",
			"f.rpl:27: STEP 3 CHECK_OUT_QUERY: 0 queries match, want 1 to 10000; sent were"},
		{"a query too many", right + "STEP 3 CHECK_OUT_QUERY ADDRESS 192.0.2.1 COUNT 0\n",
			"f.rpl:27: STEP 3 CHECK_OUT_QUERY: 3 queries match, want 0 to 0; sent were"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read("f.rpl", strings.NewReader(frame+tt.text+"SCENARIO_END\n"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				err := s.Run(t.Context(), 1)
				got := ""
				if err != nil {
					got = err.Error()
				}
				if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
					t.Errorf("error %q, want it to begin with %q", got, tt.want)
				}
			})
		})
	}
}

func TestEntry_takes(t *testing.T) {
	tests := []struct {
		name   string
		match  string
		stream bool
		edns   bool
		want   bool
	}{
		{"the same name and type", "qname qtype", false, false, true},
		{"names in another letter case", "qname", false, false, true},
		{"but not with qcase", "qcase", false, false, false},
		{"the name lies below itself", "subdomain", false, false, true},
		{"a datagram for UDP", "UDP", false, false, true},
		{"a stream for UDP", "UDP", true, false, false},
		{"a stream for TCP", "TCP", true, false, true},
		{"an OPT record for edns", "edns", false, true, true},
		{"none for edns", "edns", false, false, false},
		{"an OPT record for noedns", "noedns", false, true, false},
		{"DO for DO", "DO", false, true, true},
		{"no OPT record for DO", "DO", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "ENTRY_BEGIN\nMATCH " + tt.match + "\nSECTION QUESTION\nwww.example. IN A\nENTRY_END\n"
			in := &reader{file: "f.rpl", lines: strings.Split(text, "\n"), at: 1}
			e, err := in.entry()
			if err != nil {
				t.Fatal(err)
			}
			q := new(dns.Msg)
			q.SetQuestion("WWW.example.", dns.TypeA)
			if tt.edns {
				q.SetEdns0(payloadSize, true)
			}
			if got := e.takes(q, tt.stream); got != tt.want {
				t.Errorf("takes = %t, want %t: %v", got, tt.want, e.differences(q))
			}
		})
	}
}

func TestEntry_differences_order(t *testing.T) {
	const first, second, data = "www.example. CNAME a.example.", "a.example. CNAME b.example.", "b.example. A 192.0.2.1"
	tests := []struct {
		name string
		got  []string
		same bool
	}{
		{"aliases, then the data", []string{first, second, data}, true},
		{"aliases in another order", []string{second, first, data}, false},
		{"an alias behind the data", []string{first, data, second}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{match: []string{"answer"}, ede: anyEDE, msg: &dns.Msg{Answer: mustRecords(t, first, second, data)}}
			d := e.differences(&dns.Msg{Answer: mustRecords(t, tt.got...)})
			if (d == nil) != tt.same {
				t.Errorf("differences %q", d)
			}
		})
	}
}

// mustRecords reads records, each from a line.
func mustRecords(t testing.TB, lines ...string) []dns.RR {
	t.Helper()
	var rrs []dns.RR
	for _, l := range lines {
		rr, err := dns.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

func TestUncomment(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"a comment is cut off", "a ; b", "a "},
		{"a semicolon in quotes is none", `a "b;c" ; d`, `a "b;c" `},
		{"a semicolon after a backslash is none", `a\;b`, `a\;b`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := new(reader).uncomment(tt.line); got != tt.want {
				t.Errorf("uncomment(%q) = %q, want %q", tt.line, got, tt.want)
			}
		})
	}
}
