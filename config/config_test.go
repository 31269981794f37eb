package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"proxima/config/document"
)

func mustRead(t testing.TB, file string) []byte {
	t.Helper()
	text, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parseNode(text string) error {
	_, err := ParseNode("proxima.yaml", []byte(text))
	return err
}

func parseSidecar(text string) error {
	_, err := ParseSidecar("proxima-bgp.yaml", []byte(text))
	return err
}

// saysAll fails unless err is exactly the wanted lines.
func saysAll(t *testing.T, err error, want ...string) {
	t.Helper()
	var problems Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("error is a %T, want Problems", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRead_stopsAfterTheLimit(t *testing.T) {
	file := t.TempDir() + "/long.yaml"
	if err := os.WriteFile(file, make([]byte, 3*document.MaxLen), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(mustRead(t, file)); n != document.MaxLen+1 {
		t.Errorf("read %d octets, want %d", n, document.MaxLen+1)
	}
}

func TestRead_waitsForNobody(t *testing.T) {
	dir := t.TempDir()
	fifo := dir + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, file, what string }{
		{"a FIFO that nobody writes", fifo, "a FIFO"},
		{"a device", "/dev/zero", "a device"},
		{"a directory", dir, "a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(tt.file); err == nil || err.Error() != tt.file+": is "+tt.what+", not a regular file" {
				t.Errorf("Read = %v", err)
			}
		})
	}
}

func TestParse_refusesTheFileAsAWhole(t *testing.T) {
	bomb := "a: &a [x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"a list is no file", "- listen\n", []string{
			"1: is a list; allowed: keys with values: node, listen, anycast, upstream, recursion, dnssec, " +
				"cache, access, health, bgp, admin, control, log"}},
		{"anchors and aliases, so that nothing expands", bomb, []string{
			"1: YAML anchors and aliases are not allowed",
			"2: YAML anchors and aliases are not allowed",
			"2: YAML anchors and aliases are not allowed",
			"2: YAML anchors and aliases are not allowed",
			"2: YAML anchors and aliases are not allowed",
			"3: YAML anchors and aliases are not allowed",
			"3: YAML anchors and aliases are not allowed",
			"3: YAML anchors and aliases are not allowed"}},
		{"tags", "node: {id: !!binary YQ==}\n", []string{"1: YAML tags are not allowed"}},
		{"a second document", "node:\n---\nnode:\n", []string{"2: a second document begins; allowed: one document a file"}},
		{"a tab in the indentation", "listen:\n\tport: 53\n", []string{"2: a tab in the indentation; allowed: spaces"}},
		{"control characters", "listen:\n  # \x1b[2J\n", []string{"2: the line has a control character"}},
		{"another encoding", "n\xf6de:\n", []string{"1: the line is not UTF-8 text"}},
		{"broken syntax", "listen:\n  port: [\n", []string{
			`2: not YAML: did not find expected node content; allowed: values that begin with a colon, like "::1", in quotes`}},
		{"an endless file", strings.Repeat("#", document.MaxLen+1), []string{"1: the file is too long; allowed: 1MiB at most"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, w := range tt.want {
				want = append(want, "proxima.yaml:"+w)
			}
			saysAll(t, parseNode(tt.text), want...)
		})
	}
}

func TestParse_boundsTheProblems(t *testing.T) {
	var problems Problems
	if !errors.As(parseNode(strings.Repeat("? [x]\n: 1\n", 1000)), &problems) {
		t.Fatal("no Problems")
	}
	if last := problems[len(problems)-1]; len(problems) != maxProblems+1 || last.Reason != "and 900 more problems" {
		t.Errorf("%d problems, the last %q", len(problems), last)
	}
}

func TestProblem_staysOneLine(t *testing.T) {
	err := parseNode("node: {id: \"a\\nb\\e[2J\"}\n\"x\\ny\": 1\n" + strings.Repeat("z", 10000) + ": 1\n")
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "proxima.yaml:") || strings.Contains(line, "\x1b") || len(line) > 400 {
			t.Errorf("line %q", line)
		}
	}
}

func TestSuggest(t *testing.T) {
	fields := []field{{name: "addresses"}, {name: "port"}, {name: "id"}}
	tests := []struct{ name, key, want string }{
		{"a letter missing", "adresses", ", did you mean addresses?"},
		{"two letters swapped", "prot", ", did you mean port?"},
		{"another case", "Port", ", did you mean port?"},
		{"an unlike word", "timeout", ""},
		{"a short key is not everything's neighbour", "xy", ""},
		{"a very long one", strings.Repeat("a", 100000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := suggest(tt.key, fields); got != tt.want {
				t.Errorf("suggest(%.20q) = %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}
