package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"proxima/resolver/record"
)

// Who explains.
const (
	Daemon = "daemon"
	Alone  = "alone"
)

// By says who explained, and so with what it knew.
type By struct {
	Who     string `json:"who"`               // Daemon or Alone
	Process int    `json:"process,omitempty"` // of the daemon; 0 = unknown
	Socket  string `json:"socket,omitempty"`  // of the daemon
	Why     string `json:"why,omitempty"`     // why alone
}

// String says it in a line.
func (b By) String() string {
	switch {
	case b.Who == Alone:
		return "this process alone, with an empty cache: " + b.Why
	case b.Process == 0:
		return fmt.Sprintf("the daemon at %s, with what it knows", b.Socket)
	}
	return fmt.Sprintf("the daemon at %s (process %d), with what it knows", b.Socket, b.Process)
}

// An Explanation is what is printed. What came of the question stands first: in
// the tree, questions that it has raised end, too.
type Explanation struct {
	By      By               `json:"by"`
	Verdict *record.End      `json:"verdict"` // nil = the walk did not end
	Limits  []record.Strike  `json:"limits"`  // that were touched
	Walk    *record.Question `json:"walk"`
}

func newExplanation(by By, told *record.Question) *Explanation {
	return &Explanation{By: by, Verdict: told.End, Limits: told.Limits(), Walk: told}
}

// WriteJSON writes it for programs.
func (e *Explanation) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(e) }

// WriteText writes it for people.
func (e *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "explained by %v\n", e.By)
	fmt.Fprintf(&b, "%s %s: ", e.Walk.Name, e.Walk.Type)
	if e.Verdict == nil {
		b.WriteString("the walk did not end\n")
	} else {
		fmt.Fprintf(&b, "%v\n", e.Verdict)
		e.Verdict.WriteRecords(&b, "    ")
	}
	b.WriteString("limits touched: ")
	if len(e.Limits) == 0 {
		b.WriteString("none")
	}
	for i, l := range e.Limits {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(l.Limit)
		if l.Times > 1 {
			fmt.Fprintf(&b, " (%d times)", l.Times)
		}
	}
	b.WriteString("\n\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return e.Walk.WriteText(w)
}
