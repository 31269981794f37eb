package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"proxima/cmd/internal/control"
	"proxima/cmd/internal/explain"
	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/program"
	"proxima/config"
	"proxima/netsetup"
	"proxima/resolver/record"
)

// explainCommand explains by the daemon of the file, or by one in this process
// that serves nobody.
func explainCommand(out io.Writer) *cobra.Command {
	return explain.Command(explain.Host{
		Out: out, Err: os.Stderr, Args: program.Args(1, 2),
		Flag: func(c *cobra.Command, file *string) { program.FileFlag(c, file, noFile) },
		Configure: func(file string) (socket string, alone explain.Walker, err error) {
			c, lines, err := load(file)
			if err != nil {
				return "", nil, err
			}
			d := &daemon{c: c, log: &logging.Log{Logger: zap.NewNop()}, links: netsetup.Kernel()}
			return c.Control.Socket, func(ctx context.Context, q explain.Question) (*record.Question, error) {
				told, err := d.explainAlone(ctx, q)
				if p, ok := program.Find(err, lines); ok {
					err = config.Problems{p}
				}
				return told, err
			}, nil
		},
	})
}

// explainAlone walks without serving.
func (d *daemon) explainAlone(ctx context.Context, q explain.Question) (*record.Question, error) {
	if err := d.findAddresses(); err != nil {
		return nil, err
	}
	if err := d.buildResolver(); err != nil {
		return nil, errors.Join(err, d.takeApart())
	}
	told, err := d.explain(ctx, q)
	return told, errors.Join(err, d.takeApart())
}

// explain walks for a question.
func (d *daemon) explain(ctx context.Context, q explain.Question) (*record.Question, error) {
	return d.resolver.Explain(ctx, q.Name, q.Type, q.CD)
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
func (d *daemon) fillControl() { explain.Answer(d.control, d.explain) }
