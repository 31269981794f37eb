package config

import "strings"

// Lines say where the keys of a file stand, for who finds fault with a value only
// when it meets the host.
type Lines struct {
	file string
	keys map[string]int
}

// NodeLines returns the lines of proxima's file.
func NodeLines(file string, text []byte) Lines {
	return readLines(file, text, defaultNode().fields())
}

// SidecarLines returns the lines of proxima-bgp's file.
func SidecarLines(file string, text []byte) Lines {
	return readLines(file, text, new(Sidecar).fields())
}

func readLines(file string, text []byte, fields []field) Lines {
	r := &reader{file: file, lines: make(map[string]int)}
	r.read(text, fields)
	return Lines{file, r.lines}
}

// Has reports whether the file itself has the key; else its value is the
// default.
func (l Lines) Has(key string) bool { return l.keys[key] != 0 }

// Find returns what an error says as a problem of the file, if the error begins
// with a key that the file has: "listen.port: 53 needs a privilege".
func (l Lines) Find(err error) (p Problem, ok bool) {
	key, reason, ok := strings.Cut(err.Error(), ": ")
	if !ok || !l.Has(key) {
		return Problem{}, false
	}
	return Problem{File: l.file, Line: l.keys[key], Key: key, Reason: reason}, true
}
