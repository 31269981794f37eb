package program

import (
	"errors"
	"strings"
	"testing"

	"proxima/config"
)

// run executes a command line of a program with one command, which fails if it
// is given no file.
func run(args ...string) (out string, err error) {
	var b strings.Builder
	p := Program{Name: "example", Version: "v1"}
	c := p.Command(&b, OnFile("tell", "Tell the file", "a file", func(file string) error {
		if file == "" {
			return errors.New("no file")
		}
		_, err := b.WriteString(file)
		return err
	}))
	c.SetArgs(args)
	err = c.Execute()
	return b.String(), err
}

func TestProgram_Command(t *testing.T) {
	tests := []struct {
		name, args string
		out, err   string // what they begin with
	}{
		{"a file by its short flag", "tell -c a.yaml", "a.yaml", ""},
		{"and its long one", "tell --config=a.yaml", "a.yaml", ""},
		{"no file", "tell", "", "no file"},
		{"a word too many", "tell more", "", `tell: "more" is one argument too many: tell [flags]`},
		{"no such command", "tel", "", `unknown command "tel" for "example"`},
		{"no such flag", "tell -x", "", "unknown shorthand flag: 'x' in -x"},
		{"the version", "version", "example v1 go1.", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(strings.Fields(tt.args)...)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if !strings.HasPrefix(out, tt.out) || !strings.HasPrefix(said, tt.err) || (tt.err == "") != (err == nil) {
				t.Errorf("printed %q, error %q; want %q, %q", out, said, tt.out, tt.err)
			}
		})
	}
}

func TestProgram_Describe(t *testing.T) {
	_, problems := config.ParseNode("a.yaml", []byte("listen: {port: 0}\nlogg:\n"))
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"an error names the program", errors.New("no file"), "example: no file"},
		{"problems name their file", problems, "a.yaml:1: listen.port: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Program{Name: "example"}).Describe(tt.err); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestProgram_Release(t *testing.T) {
	if got := (Program{}).Release(); got == "" {
		t.Error("a build without a version says nothing")
	}
}
