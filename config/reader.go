package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"proxima/config/document"
	"proxima/disk"

	"go.yaml.in/yaml/v3"
)

// Read returns the text of a configuration file, or of one that it names. It
// waits for nobody: a FIFO, a device or a directory is an error. Of a log given
// by mistake it reads a little more than the parsers accept.
func Read(file string) ([]byte, error) {
	f, err := disk.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, document.MaxLen+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, nil
}

// A field is one key of a section, and what reads its value.
type field struct {
	name string
	read func(r *reader, key string, node *yaml.Node)
}

// A reader walks the tree of one file, sets what it finds and collects what is
// wrong. It belongs to one call of a parser.
type reader struct {
	file     string
	lines    map[string]int // the line of each key that the file has
	problems []Problem
	more     int // problems beyond maxProblems
}

// read sets the fields from text and reports whether the text could be
// understood as a whole, so that rules between keys make sense.
func (r *reader) read(text []byte, fields []field) bool {
	root, faults := document.Parse(text)
	for _, f := range faults {
		r.faultAt(f.Line, "", f.Reason, f.Allowed)
	}
	if len(faults) > 0 {
		return false
	}
	if root != nil {
		section("", fields...).read(r, "", root)
	}
	return true
}

// fault notes a problem with a key, on the key's line.
func (r *reader) fault(key, reason, allowed string) {
	r.faultAt(r.line(key), key, reason, allowed)
}

func (r *reader) faultAt(line int, key, reason, allowed string) {
	if len(r.problems) >= maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, Problem{r.file, max(line, 1), key, reason, allowed})
}

// has reports whether the file itself has the key.
func (r *reader) has(key string) bool { return r.lines[key] != 0 }

// line returns the line of a key or, if the file leaves it out, of the section
// that it is missing from.
func (r *reader) line(key string) int {
	for key != "" {
		if n := r.lines[key]; n != 0 {
			return n
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 1
}

// err returns all problems in the order of their lines, or nil.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	if r.more > 0 {
		last := r.problems[len(r.problems)-1].Line
		r.problems = append(r.problems, Problem{File: r.file, Line: last,
			Reason: fmt.Sprintf("and %d more problems", r.more)})
	}
	return Problems(r.problems)
}

// section reads a mapping with the given keys. An empty one leaves the defaults.
func section(name string, fields ...field) field {
	return field{name, func(r *reader, key string, node *yaml.Node) {
		if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
			return
		}
		if node.Kind != yaml.MappingNode {
			r.faultAt(node.Line, key, "is "+describe(node), "keys with values: "+names(fields))
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			r.entry(key, node.Content[i], node.Content[i+1], fields)
		}
	}}
}

// entry reads one key of the section and its value.
func (r *reader) entry(section string, key, value *yaml.Node, fields []field) {
	if key.Kind != yaml.ScalarNode {
		r.faultAt(key.Line, section, "a key is "+describe(key), names(fields))
		return
	}
	path := show(key.Value)
	if section != "" {
		path = section + "." + path
	}
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
	switch first := r.lines[path]; {
	case i < 0 && restarts(key.Value):
		r.faultAt(key.Line, path, "graceful restart is refused: after a crash routers would go on "+
			"sending queries to this node until the restart time ends", "")
	case i < 0:
		r.faultAt(key.Line, path, "unknown key"+suggest(key.Value, fields), names(fields))
	case first != 0:
		r.faultAt(key.Line, path, fmt.Sprintf("is given twice, first on line %d", first), "")
	default:
		r.lines[path] = key.Line
		fields[i].read(r, path, value)
	}
}

// one reads a scalar.
func one[T any](name string, to *T, k kind[T]) field {
	return field{name, func(r *reader, key string, node *yaml.Node) {
		if v, ok := k.read(r, key, node); ok {
			*to = v
		}
	}}
}

// list reads at most limit scalars, all different. They replace the default.
// A faulty one leaves a zero value, so that the others keep their places.
func list[T comparable](name string, to *[]T, limit int, k kind[T]) field {
	return field{name, func(r *reader, key string, node *yaml.Node) {
		if !r.isList(key, node, limit, k.allowed) {
			return
		}
		var values []T
		places := make(map[T]int, len(node.Content))
		for i, item := range node.Content {
			place := fmt.Sprintf("%s[%d]", key, i)
			r.lines[place] = item.Line
			v, ok := k.read(r, place, item)
			values = append(values, v)
			if !ok {
				continue
			}
			if first, twice := places[v]; twice {
				r.fault(place, fmt.Sprintf("%s is the same as %s[%d]", show(item.Value), key, first), "")
			} else {
				places[v] = i
			}
		}
		*to = values
	}}
}

// sections reads at most limit mappings; each begins as a copy of start.
func sections[T any](name string, to *[]T, limit int, start T, fields func(*T) []field) field {
	return field{name, func(r *reader, key string, node *yaml.Node) {
		if !r.isList(key, node, limit, "keys with values: "+names(fields(new(T)))) {
			return
		}
		var values []T
		for i, item := range node.Content {
			values = append(values, start)
			place := fmt.Sprintf("%s[%d]", key, i)
			r.lines[place] = item.Line
			section("", fields(&values[i])...).read(r, place, item)
		}
		*to = values
	}}
}

func (r *reader) isList(key string, node *yaml.Node, limit int, allowed string) bool {
	if node.Kind != yaml.SequenceNode {
		r.faultAt(node.Line, key, "is "+describe(node), "a list of: "+allowed)
		return false
	}
	if len(node.Content) > limit {
		r.fault(key, fmt.Sprintf("has %d entries", len(node.Content)), fmt.Sprintf("%d at most", limit))
		return false
	}
	return true
}

// describe says what a node is, for a message that wanted something else.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a section"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "empty"
	case node.ShortTag() == "!!int" || node.ShortTag() == "!!float":
		return "the number " + show(node.Value)
	case node.ShortTag() == "!!bool":
		return "the truth value " + show(node.Value)
	}
	return "the text " + show(node.Value)
}
