// Package document reads one YAML document that every reader understands alike:
// plain mappings, lists and scalars in UTF-8, one document a file. What a library
// would accept beyond that is a fault with its line.
package document

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxLen bounds a document, in octets: the text is held in memory as a tree many
// times its size. Fixed at 1 MiB, several hundred times a usual file.
const MaxLen = 1 << 20

// A Fault says what is wrong with a line.
type Fault struct {
	Line    int
	Reason  string
	Allowed string // instead; empty = that says itself
}

// Parse returns the root of the tree, nil for an empty document, or else what
// is wrong with text.
func Parse(text []byte) (*yaml.Node, []Fault) {
	if len(text) > MaxLen {
		return nil, []Fault{{1, "the file is too long", "1MiB at most"}}
	}
	if faults := checkText(text); len(faults) > 0 {
		return nil, faults
	}
	var doc, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, []Fault{syntax(err)}
	}
	var faults []Fault
	if err := decoder.Decode(&next); err == nil {
		faults = append(faults, Fault{next.Line, "a second document begins", "one document a file"})
	} else if !errors.Is(err, io.EOF) {
		faults = append(faults, syntax(err))
	}
	if faults = append(faults, checkPlain(&doc)...); len(faults) > 0 {
		return nil, faults
	}
	return doc.Content[0], nil
}

// checkText refuses what YAML libraries treat differently: other encodings,
// control characters, and tabs where indentation counts.
func checkText(text []byte) (faults []Fault) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		switch {
		case !utf8.Valid(line):
			faults = append(faults, Fault{i + 1, "the line is not UTF-8 text", ""})
		case bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			faults = append(faults, Fault{i + 1, "the line has a control character", ""})
		case bytes.ContainsRune(indent, '\t'):
			faults = append(faults, Fault{i + 1, "a tab in the indentation", "spaces"})
		}
	}
	return faults
}

// syntaxError matches the YAML library's messages that name a line.
var syntaxError = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

func syntax(err error) Fault {
	reason, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
		reason = m[2]
		line, _ = strconv.Atoi(m[1]) // the pattern admits digits only
	}
	return Fault{line, "not YAML: " + reason, `values that begin with a colon, like "::1", in quotes`}
}

// checkPlain refuses anchors, aliases and tags anywhere below node. A file
// without aliases cannot be small on disk and huge in memory.
func checkPlain(node *yaml.Node) (faults []Fault) {
	switch {
	case node.Anchor != "" || node.Kind == yaml.AliasNode:
		faults = append(faults, Fault{node.Line, "YAML anchors and aliases are not allowed", ""})
	case node.Style&yaml.TaggedStyle != 0:
		faults = append(faults, Fault{node.Line, "YAML tags are not allowed", ""})
	}
	for _, child := range node.Content {
		faults = append(faults, checkPlain(child)...)
	}
	return faults
}
