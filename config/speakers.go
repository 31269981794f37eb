package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Exec is the section exec: programs of the operator's.
type Exec struct {
	Command []string // the program that announces, and its arguments
	Show    []string // one that prints what is announced; empty = the first is believed
	ASN     uint32
}

// Kernel is the section kernel: a daemon that reads the kernel's tables.
type Kernel struct {
	Daemon string // bird or frr
}

// BIRD is the section bird: a daemon whose file includes ours.
type BIRD struct {
	ASN    uint32
	File   string // that BIRD includes
	Socket string // on which it is controlled
}

// maxArguments bounds a command line of the file: more belongs into a script.
const maxArguments = 64

func (e *Exec) fields() []field {
	return []field{
		arguments("command", &e.Command),
		arguments("show", &e.Show),
		one("asn", &e.ASN, asn),
	}
}

func (e *Exec) check(r *reader) {
	require(r, "exec.asn", e.ASN, asn)
	if len(e.Command) == 0 {
		r.fault("exec.command", "is missing or empty", "a list of words, the first an absolute path")
	}
	for key, words := range map[string][]string{"exec.command": e.Command, "exec.show": e.Show} {
		if len(words) > 0 && words[0] != "" && !filepath.IsAbs(words[0]) {
			r.fault(key+"[0]", words[0]+" is no absolute path", "an absolute path")
		}
	}
}

// argument is a word of a command line; no shell will look at it.
var argument = kind[string]{"text", "", func(text string) (string, string) {
	if text == "" || strings.ContainsRune(text, 0) {
		return "", refused
	}
	return text, ""
}}

// arguments reads a command line. Unlike in a list, words may come again.
func arguments(name string, to *[]string) field {
	return field{name, func(r *reader, key string, node *yaml.Node) {
		if !r.isList(key, node, maxArguments, argument.allowed) {
			return
		}
		words := make([]string, len(node.Content))
		for i, item := range node.Content {
			place := fmt.Sprintf("%s[%d]", key, i)
			r.lines[place] = item.Line
			words[i], _ = argument.read(r, place, item)
		}
		*to = words
	}}
}
