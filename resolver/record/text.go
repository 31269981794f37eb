package record

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the tree below q for people: a line for each step, indented
// by depth.
func (q *Question) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	q.write(out, "")
	return out.Flush()
}

// write writes q and what is below it.
func (q *Question) write(w io.Writer, indent string) {
	fmt.Fprintf(w, "%s%s %s  (%s)\n", indent, q.Name, q.Type, q.Why)
	indent += "  "
	for _, s := range q.Steps {
		if s.Question != nil {
			s.Question.write(w, indent)
			continue
		}
		fmt.Fprintf(w, "%s%7s  %s\n", indent, short(s.At), s.text())
	}
	if q.End != nil {
		q.End.write(w, indent, q.At)
	}
}

// text says in a line what was done.
func (s Step) text() string {
	switch {
	case s.Recall != nil:
		return s.Recall.text()
	case s.Cut != nil:
		return s.Cut.text()
	case s.Exchange != nil:
		return s.Exchange.text()
	case s.Verdict != "":
		return "  worth  " + s.Verdict
	case s.Limit != "":
		return "limit    " + s.Limit
	}
	return "…        there was more than is kept"
}

func (r *Recall) text() string {
	text := fmt.Sprintf("known    %s %s: %s", r.Name, r.Type, r.What)
	if r.Left > 0 {
		text += ", " + short(r.Left) + " left"
	}
	return text
}

func (c *Cut) text() string {
	text := fmt.Sprintf("zone     %s (%s), %d servers, %d addresses known, %s", c.Zone, c.From, c.Servers, c.Addresses, c.Trust)
	if c.Why != "" {
		text += ": " + c.Why
	}
	if c.Left > 0 {
		text += ", lease " + short(c.Left)
	}
	return text
}

func (e *Exchange) text() string {
	how := e.Transport
	if !e.EDNS {
		how += " without EDNS"
	}
	return fmt.Sprintf("ask      %s %s %s over %s: %s, %s", e.To, e.Name, e.Type, how, e.Reply, short(e.RTT))
}

// String says in a line what came of a question.
func (e *End) String() string {
	text := []string{e.Rcode}
	if e.Trust != "" {
		text = append(text, e.Trust)
	}
	if e.EDE != nil {
		text = append(text, fmt.Sprintf("EDE %d", *e.EDE))
	}
	if e.Reason != "" {
		text = append(text, e.Reason)
	}
	return fmt.Sprintf("%s, after %s", strings.Join(text, ", "), short(e.Took))
}

// WriteRecords writes the records of an end, each in a line.
func (e *End) WriteRecords(w io.Writer, indent string) {
	for _, rr := range e.Records {
		fmt.Fprintf(w, "%s%s\n", indent, strings.ReplaceAll(rr, "\t", " "))
	}
}

// write writes what came of a question that began at a time.
func (e *End) write(w io.Writer, indent string, began time.Duration) {
	fmt.Fprintf(w, "%s%7s  end      %s\n", indent, short(began+e.Took), e)
	e.WriteRecords(w, indent+strings.Repeat(" ", 18))
}

// short writes a time with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
