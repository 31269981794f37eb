// Package explain is the command that says how a name is resolved.
//
// The daemon of the configuration walks for it, with what it knows; Answer is
// its side. Where there is none, this process walks alone, with an empty cache,
// and says so: the two may differ. A daemon that is there and cannot be asked is
// an error, because what is wrong with it may be what somebody is looking for.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"proxima/cmd/internal/control"
	"proxima/resolver"
	"proxima/resolver/record"
)

// path is where the daemon explains.
const path = "/explain"

// A Question is what somebody wants explained.
type Question struct {
	Name string // with the final dot
	Type uint16
	CD   bool // prove nothing
}

// A Walker walks for a question.
type Walker func(context.Context, Question) (*record.Question, error)

// Host is what the command needs of the program.
type Host struct {
	Out, Err io.Writer

	// Configure reads a configuration file. It returns the socket of its daemon, ""
	// for none, and what walks in this process.
	Configure func(file string) (socket string, alone Walker, err error)

	Flag func(c *cobra.Command, file *string) // adds the flag for the file
	Args cobra.PositionalArgs                 // wants one or two arguments
}

// help is what the command says of itself.
const help = `Resolve a name and print what came of it, which limits were touched, and the
tree of what was done: zones and their servers, questions, replies, round trips,
trust.

The daemon of the configuration file does it, with what it knows, if one listens
at its control.socket. If none does, this process does it alone, with an empty
cache, and says so. A daemon that listens but cannot be asked, as one that was
stopped, is an error after 3 s; --alone does without it.`

// Command returns the command "explain".
func Command(h Host) *cobra.Command {
	var file string
	var q Question
	var alone, asJSON bool
	c := &cobra.Command{
		Use:   "explain NAME [TYPE]",
		Short: "Resolve a name and say what was asked, of whom, and why",
		Long:  help,
		Args:  h.Args,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := q.read(args); err != nil {
				return fmt.Errorf("explain: %w", err)
			}
			e, err := h.explain(context.Background(), file, q, alone)
			if err != nil {
				return err
			}
			if asJSON {
				return e.WriteJSON(h.Out)
			}
			return e.WriteText(h.Out)
		},
	}
	h.Flag(c, &file)
	c.Flags().BoolVar(&q.CD, "cd", false, "prove nothing, as for a client that sets CD")
	c.Flags().BoolVar(&alone, "alone", false, "do not ask the daemon")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON; times are nanoseconds")
	return c
}

// read takes the question from the arguments.
func (q *Question) read(args []string) (err error) {
	q.Name, q.Type = dns.Fqdn(args[0]), dns.TypeA
	if _, ok := dns.IsDomainName(q.Name); !ok || args[0] == "" {
		return fmt.Errorf("%q is no name", args[0])
	}
	if len(args) == 2 {
		if q.Type, err = readType(args[1]); err != nil {
			return err
		}
	}
	return resolver.Explainable(q.Type)
}

// readType reads a type's name, or its number as RFC 3597 writes it.
func readType(text string) (uint16, error) {
	upper := strings.ToUpper(text)
	if t, ok := dns.StringToType[upper]; ok {
		return t, nil
	}
	number, ok := strings.CutPrefix(upper, "TYPE")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || !ok {
		return 0, fmt.Errorf("%q is no type: want one such as AAAA or TYPE65", text)
	}
	return uint16(n), nil
}

// explain has the question explained by the daemon or, if there is none, alone.
func (h Host) explain(ctx context.Context, file string, q Question, alone bool) (*Explanation, error) {
	socket, walk, err := h.Configure(file)
	if err != nil {
		return nil, err
	}
	by := By{Who: Alone, Why: "--alone was given"}
	switch {
	case alone:
	case socket == "":
		by.Why = `control.socket is "": there is no daemon to ask`
	default:
		e, err := ask(ctx, socket, q)
		if !errors.Is(err, control.ErrAbsent) {
			return e, err
		}
		by.Why = err.Error()
		fmt.Fprintf(h.Err, "%v; explaining alone, with an empty cache\n", err)
	}
	told, err := walk(ctx, q)
	if err != nil {
		return nil, err
	}
	return newExplanation(by, told), nil
}

// ask asks the daemon at a socket. The type goes there as a number, which means
// the same to both.
func ask(ctx context.Context, socket string, q Question) (*Explanation, error) {
	told := new(record.Question)
	with := url.Values{"name": {q.Name}, "type": {fmt.Sprintf("TYPE%d", q.Type)}, "cd": {strconv.FormatBool(q.CD)}}
	d, err := control.Find(ctx, socket)
	if err == nil {
		err = d.Ask(ctx, path, with, told)
	}
	switch {
	case errors.Is(err, control.ErrAbsent):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w; --alone explains without it", err)
	}
	return newExplanation(By{Who: Daemon, Process: d.Process, Socket: d.Socket}, told), nil
}

// Answer has a daemon explain at its control socket, by walk.
func Answer(s *control.Server, walk Walker) {
	s.Answer(path, func(ctx context.Context, with url.Values) (any, error) {
		typ, err := readType(with.Get("type"))
		if err != nil {
			return nil, err
		}
		return walk(ctx, Question{Name: with.Get("name"), Type: typ, CD: with.Get("cd") == "true"})
	})
}
