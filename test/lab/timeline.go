//go:build linux

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Colours of the timeline, by what a line tells.
const (
	plain  = ""
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// A timeline tells what happens, a line an event, with the time since the
// start. On a terminal it has colours and a last line that counts; elsewhere
// it is plain text.
type timeline struct {
	color bool
	start time.Time

	mu     sync.Mutex // guards out and status
	out    io.Writer
	status string
}

func newTimeline(out io.Writer, color bool) *timeline {
	return &timeline{out: out, color: color, start: time.Now()}
}

// event tells what happened at a place.
func (t *timeline) event(color, where, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.out, "%9.3f s  %-9s %s\n", time.Since(t.start).Seconds(), where, t.paint(color, text))
	t.redraw()
}

// title begins a part.
func (t *timeline) title(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, fmt.Sprintf(format, args...)))
	t.redraw()
}

// print writes lines as they are.
func (t *timeline) print(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.out, format, args...)
	t.redraw()
}

// setStatus changes the last line of a terminal; elsewhere it does nothing.
func (t *timeline) setStatus(format string, args ...any) {
	if !t.color {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.status = fmt.Sprintf(format, args...)
	t.redraw()
}

// clear and redraw keep the status below all that is printed. Both need mu.
func (t *timeline) clear() {
	if t.color && t.status != "" {
		fmt.Fprint(t.out, "\r\x1b[2K")
	}
}

func (t *timeline) redraw() {
	if t.color && t.status != "" {
		fmt.Fprint(t.out, t.status)
	}
}

func (t *timeline) paint(color, text string) string {
	if !t.color || color == plain {
		return text
	}
	return color + text + reset
}
