// Package program is the command line as both programs have it.
//
// A main hands its commands to a Program's Main, which adds "version" and runs
// what the arguments ask for. What was asked for goes to the standard output; an
// error is one last line on the standard error, or one for each problem of a
// configuration file, and status 1.
package program

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"proxima/cmd/internal/logging"
	"proxima/config"
)

// A Program is who we are.
type Program struct {
	Name    string
	Short   string // what it is, in a line
	Version string // empty = the build says what it knows
}

// Main runs what the arguments ask of command, and ends the process if that
// fails.
func (p Program) Main(command *cobra.Command) {
	if err := command.Execute(); err != nil {
		logging.Print(p.Describe(err))
		os.Exit(1)
	}
}

// Describe returns what is printed for an error. Problems name their file
// themselves.
func (p Program) Describe(err error) string {
	if _, ok := errors.AsType[config.Problems](err); ok {
		return err.Error()
	}
	return p.Name + ": " + err.Error()
}

// Command returns the whole of the command line; what was asked for goes to out.
func (p Program) Command(out io.Writer, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{Use: p.Name, Short: p.Short, SilenceUsage: true, SilenceErrors: true}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(commands...)
	root.AddCommand(&cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(out, "%s %s %s %s/%s\n", p.Name, p.Release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	})
	return root
}

// OnFile returns a command that takes a configuration file and nothing else;
// usage says of it what is not plain.
func OnFile(use, short, usage string, run func(file string) error) *cobra.Command {
	var file string
	c := &cobra.Command{Use: use, Short: short, Args: Args(0, 0), RunE: func(*cobra.Command, []string) error { return run(file) }}
	FileFlag(c, &file, usage)
	return c
}

// Args wants so many arguments, and names those that a command has if there are
// too few or too many.
func Args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		wants := strings.TrimPrefix(c.UseLine(), c.Root().Name()+" ")
		switch {
		case len(args) < least:
			return fmt.Errorf("%s: an argument is missing: %s", c.Name(), wants)
		case len(args) > most:
			return fmt.Errorf("%s: %q is one argument too many: %s", c.Name(), args[most], wants)
		}
		return nil
	}
}

// FileFlag gives a command the flag for its configuration file.
func FileFlag(c *cobra.Command, file *string, usage string) {
	c.Flags().StringVarP(file, "config", "c", "", usage)
}

// Release returns the version of this program.
func (p Program) Release() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
