//go:build linux

package node

import (
	"strings"
	"sync"
)

// maxOutput bounds what is kept of a program's output, in octets: the end says
// what went wrong.
const maxOutput = 64 << 10

// An output is what a program has printed so far.
type output struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	o.text = o.text[max(0, len(o.text)-maxOutput):]
	return len(p), nil
}

// String returns the end of the output.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// crashed reports whether the text is that of a Go program that crashed.
func crashed(text string) bool {
	return strings.Contains(text, "goroutine ") || strings.Contains(text, "panic:") || strings.Contains(text, "fatal error:")
}
