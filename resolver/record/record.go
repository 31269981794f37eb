// Package record keeps what a walk did, for people who want to know why.
//
// A walk that is to be explained gets a Question from Begin. It tells it, step
// by step, what it recalled, which zone it came to, whom it asked and what that
// was worth, and opens a Question below for each that it raises. End says what
// came of it. Then the tree is printed, by WriteText for people or as JSON for
// programs. Walks that nobody wants explained have a nil Question, on which all
// of this does nothing.
package record

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxSteps bounds what is kept of one tree. 1,000: a Budget allows 100
// exchanges, and each of them brings a handful of steps.
const maxSteps = 1_000

// A Question is one question of the tree and what was done to answer it. It may
// be used by many goroutines until the walk has ended; then it never changes.
type Question struct {
	Name  string        `json:"name"`
	Type  string        `json:"type"`
	Why   string        `json:"why"`
	At    time.Duration `json:"at_ns"` // since the walk began
	Steps []Step        `json:"steps"`
	End   *End          `json:"end,omitempty"`

	tree *tree
}

// A tree is what the Questions of one walk share.
type tree struct {
	mu    sync.Mutex // guards all Questions
	began time.Time
	now   func() time.Time
	steps int
}

// A Step is one thing that was done; exactly one of the fields after At is set.
type Step struct {
	At       time.Duration `json:"at_ns"` // since the walk began
	Recall   *Recall       `json:"recall,omitempty"`
	Cut      *Cut          `json:"cut,omitempty"`
	Exchange *Exchange     `json:"exchange,omitempty"`
	Question *Question     `json:"question,omitempty"`
	Verdict  string        `json:"verdict,omitempty"` // what the reply before was worth
	Limit    string        `json:"limit,omitempty"`   // that was struck
	Cropped  bool          `json:"cropped,omitempty"`
}

// A Recall is what was known already.
type Recall struct {
	Name string        `json:"name"`
	Type string        `json:"type"`
	What string        `json:"what"`              // "answer", "failure", "denial of its zone", ...
	Left time.Duration `json:"left_ns,omitempty"` // of its life
}

// A Cut is a zone that the walk came to.
type Cut struct {
	Zone      string        `json:"zone"`
	From      string        `json:"from"` // "hints", "memory", "referral", "configuration", "local copy"
	Servers   int           `json:"servers"`
	Addresses int           `json:"addresses"` // known, of these
	Trust     string        `json:"trust"`     // "secure", "insecure", "unchecked"
	Why       string        `json:"why,omitempty"`
	Left      time.Duration `json:"left_ns,omitempty"` // of its lease
}

// An Exchange is one query to one server.
type Exchange struct {
	To        netip.AddrPort `json:"to"`
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	Transport string         `json:"transport"` // "udp" or "tcp"
	EDNS      bool           `json:"edns"`
	RTT       time.Duration  `json:"rtt_ns"`
	Reply     string         `json:"reply"` // its rcode and sizes, or why there was none
}

// An End is what came of a Question.
type End struct {
	Took    time.Duration `json:"took_ns"`
	Rcode   string        `json:"rcode"`
	Trust   string        `json:"trust,omitempty"` // "secure", "insecure", "bogus", "unchecked"
	Reason  string        `json:"reason,omitempty"`
	EDE     *uint16       `json:"ede,omitempty"`
	Records []string      `json:"records,omitempty"`
}

// Begin returns the Question at the top of a tree. now is the clock.
func Begin(name, typ string, now func() time.Time) *Question {
	return &Question{Name: name, Type: typ, Why: "asked", tree: &tree{began: now(), now: now}}
}

// Below opens a Question that q raises.
func (q *Question) Below(name, typ, why string) *Question {
	if q == nil {
		return nil
	}
	below := &Question{Name: name, Type: typ, Why: why, tree: q.tree}
	q.add(Step{Question: below})
	return below
}

// Recalled says what was known already.
func (q *Question) Recalled(r Recall) { q.add(Step{Recall: &r}) }

// Reached says to which zone the walk came.
func (q *Question) Reached(c Cut) { q.add(Step{Cut: &c}) }

// Asked says whom the walk asked and what came of it.
func (q *Question) Asked(e Exchange) { q.add(Step{Exchange: &e}) }

// Judged says what the reply was worth.
func (q *Question) Judged(verdict string) { q.add(Step{Verdict: verdict}) }

// Struck says which limit ended something, or kept it from being done.
func (q *Question) Struck(limit string) { q.add(Step{Limit: limit}) }

// A Strike is a limit that was touched.
type Strike struct {
	Limit string `json:"limit"`
	Times int    `json:"times"`
}

// Limits returns the limits that were touched in the tree below q, in the order
// of the tree. It is for walks that have ended.
func (q *Question) Limits() []Strike {
	all := []Strike{}
	var visit func(*Question)
	visit = func(q *Question) {
		for _, s := range q.Steps {
			i := slices.IndexFunc(all, func(known Strike) bool { return known.Limit == s.Limit })
			switch {
			case s.Question != nil:
				visit(s.Question)
			case s.Limit == "":
			case i < 0:
				all = append(all, Strike{s.Limit, 1})
			default:
				all[i].Times++
			}
		}
	}
	visit(q)
	return all
}

// TypeName returns how a type is written: by the name that DNS has for it, or by
// its number if it has none, or one that only says that it stands for nothing.
func TypeName(number uint16, name string) string {
	if name == "" || name == "None" || name == "Reserved" {
		return fmt.Sprintf("TYPE%d", number)
	}
	return name
}

// Ended says what came of the Question.
func (q *Question) Ended(e End) {
	if q == nil {
		return
	}
	q.tree.mu.Lock()
	defer q.tree.mu.Unlock()
	e.Took = q.tree.now().Sub(q.tree.began) - q.At
	q.End = &e
}

// add appends a step, if there is room.
func (q *Question) add(s Step) {
	if q == nil {
		return
	}
	t := q.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps++
	if t.steps > maxSteps {
		return
	}
	s.At = t.now().Sub(t.began)
	if s.Question != nil {
		s.Question.At = s.At
	}
	if t.steps == maxSteps {
		s = Step{At: s.At, Cropped: true}
	}
	q.Steps = append(q.Steps, s)
}
