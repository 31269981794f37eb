package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"proxima/cmd/internal/control"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/program"
	"proxima/netsetup"
	"proxima/resolver/record"
)

// explainPath is where the daemon explains.
const explainPath = "/explain"

// An explanation is what somebody wants explained, and how.
type explanation struct {
	name  string
	typ   uint16
	cd    bool // prove nothing
	alone bool // do not ask the daemon
	json  bool
}

func explainCommand(out io.Writer) *cobra.Command {
	var file string
	var e explanation
	c := &cobra.Command{
		Use:   "explain NAME [TYPE]",
		Short: "Resolve a name and say what was asked, of whom, and why",
		Long: `Resolve a name and print the tree of what was done: zones and their servers,
questions, replies, round trips, trust, limits. The daemon of the configuration
file does it, with what it knows, if its control.socket can be opened; else this
program does, knowing nothing.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			e.name, e.typ = dns.Fqdn(args[0]), dns.TypeA
			if len(args) == 2 {
				if e.typ, err = readType(args[1]); err != nil {
					return err
				}
			}
			if _, ok := dns.IsDomainName(e.name); !ok {
				return fmt.Errorf("explain: %q is no name", args[0])
			}
			return explain(out, file, e)
		},
	}
	program.FileFlag(c, &file, noFile)
	c.Flags().BoolVar(&e.cd, "cd", false, "prove nothing, as for a client that sets CD")
	c.Flags().BoolVar(&e.alone, "alone", false, "do not ask the daemon")
	c.Flags().BoolVar(&e.json, "json", false, "print JSON; times are nanoseconds")
	return c
}

// readType reads a type's name, or its number as RFC 3597 writes it.
func readType(text string) (uint16, error) {
	upper := strings.ToUpper(text)
	if t, ok := dns.StringToType[upper]; ok {
		return t, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(upper, "TYPE"), 10, 16)
	if err != nil || !strings.HasPrefix(upper, "TYPE") {
		return 0, fmt.Errorf("explain: %q is no type: want one such as AAAA or TYPE65", text)
	}
	return uint16(n), nil
}

// explain prints an explanation.
func explain(out io.Writer, file string, e explanation) error {
	c, _, err := load(file)
	if err != nil {
		return err
	}
	var told record.Question
	known := errors.New("asked to be alone")
	if !e.alone && c.Control.Socket != "" {
		with := url.Values{"name": {e.name}, "type": {dns.Type(e.typ).String()}, "cd": {strconv.FormatBool(e.cd)}}
		known = control.Ask(context.Background(), c.Control.Socket, explainPath, with, &told)
	}
	switch {
	case known == nil:
	case e.alone || c.Control.Socket == "" || errors.Is(known, control.ErrAbsent):
		d := &daemon{c: c, log: &logging.Log{Logger: zap.NewNop()}, links: netsetup.Kernel()}
		q, err := d.explainAlone(e)
		if err != nil {
			return err
		}
		told = *q
	default:
		return known
	}
	if e.json {
		return json.NewEncoder(out).Encode(&told)
	}
	return told.WriteText(out)
}

// explainAlone walks without a daemon.
func (d *daemon) explainAlone(e explanation) (*record.Question, error) {
	if err := d.findAddresses(); err != nil {
		return nil, err
	}
	if err := d.buildResolver(); err != nil {
		return nil, errors.Join(err, d.takeApart())
	}
	q, err := d.resolver.Explain(context.Background(), e.name, e.typ, e.cd)
	return q, errors.Join(err, d.takeApart())
}

// openControl takes the control socket. Without it the daemon does its work all
// the same.
func (d *daemon) openControl() (err error) {
	if d.control, err = control.Listen(d.c.Control.Socket); err != nil {
		d.log.Warn("control socket could not be opened", zap.Error(err))
		d.control, err = control.Listen("")
	}
	return err
}

// fillControl says what the control socket answers.
func (d *daemon) fillControl() {
	d.control.Answer(explainPath, func(ctx context.Context, with url.Values) (any, error) {
		typ, err := readType(with.Get("type"))
		if err != nil {
			return nil, err
		}
		return d.resolver.Explain(ctx, with.Get("name"), typ, with.Get("cd") == "true")
	})
}
