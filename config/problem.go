package config

import (
	"fmt"
	"strconv"
	"strings"
)

// maxProblems bounds how many problems of one file are kept, so that a file of
// another kind given by mistake does not fill the screen. The last one kept
// then says how many more there are. Fixed at 100.
const maxProblems = 100

// maxShown bounds, in octets, how much of a value a message repeats. Fixed at
// 64, enough for an IPv6 prefix or a path of usual length.
const maxShown = 64

// A Problem is one thing wrong with a configuration file.
type Problem struct {
	File    string
	Line    int    // 1 is the first line
	Key     string // with its sections: "listen.port"; empty if the file as a whole is meant
	Reason  string
	Allowed string // what may stand there instead; empty if the reason says it all
}

// String returns the problem as one line: "file:line: key: reason; allowed: …".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Reason)
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	return b.String()
}

// Problems is the error of a file: everything wrong with it, in the order of
// its lines. It is never empty.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// show returns text as a message may repeat it: short, and quoted if it holds
// anything that could break the line, the terminal or the reader's patience.
func show(text string) string {
	short := text
	if len(short) > maxShown {
		short = short[:maxShown]
	}
	quoted := strconv.QuoteToASCII(short)
	if len(text) > maxShown {
		return quoted + "…"
	}
	if quoted != `"`+short+`"` || short == "" || strings.ContainsAny(short, " ;") {
		return quoted
	}
	return short
}
