// Command proxima is an anycast DNS resolver, and its operator's client.
//
// "proxima serve" reads its file, holds the anycast addresses, listens, and
// answers; when its checks of itself pass, it asks the sidecar to announce the
// addresses. A signal takes the same way back: the announcement first, the
// addresses last. "proxima check" says what is wrong with a file, or with this
// host for that file; "proxima health" asks the daemon beside how it is;
// "proxima explain" says how a name is resolved; and "proxima grant" gives the
// program its capabilities when it is installed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"proxima/cmd/internal/logging"
	"proxima/cmd/internal/signals"
	"proxima/config"
)

// version is set by the linker; without that, the build says what it knows.
var version = ""

func main() {
	// The Go runtime keeps from a program with file capabilities where it has
	// panicked, for strangers might start it. A daemon's operator wants to know.
	debug.SetTraceback("single")
	if err := command(os.Stdout).Execute(); err != nil {
		logging.Print(describe(err))
		os.Exit(1)
	}
}

// describe returns what is printed for an error. Problems name their file
// themselves.
func describe(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		return err.Error()
	}
	return "proxima: " + err.Error()
}

// command returns the whole of the command line. What was asked for goes to
// out, everything else to the standard error.
func command(out io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "proxima",
		Short:         "An anycast DNS resolver",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(serveCommand(), checkCommand(out), healthCommand(out), explainCommand(out), grantCommand(), versionCommand(out))
	return root
}

func serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer until a signal to end; a second one hurries, a third one kills",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return serve(file, signals.Catch())
		},
	}
	configFlag(c, &file)
	return c
}

func checkCommand(out io.Writer) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with a configuration file, and with this host for it",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return inspect(out, file) },
	}
	configFlag(c, &file)
	return c
}

func healthCommand(out io.Writer) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask the daemon of this configuration file whether it should go on",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return askHealth(out, file) },
	}
	configFlag(c, &file)
	return c
}

func grantCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grant FILE",
		Short: "Give a program's file the two capabilities of serve, as setcap does",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return grant(args[0]) },
	}
}

func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file (default: none, every key has a default)")
}

func versionCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(out, "proxima %s %s %s/%s\n", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// release returns the version of this program.
func release() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// load reads the configuration; no file means the defaults.
func load(file string) (*config.Node, error) {
	if file == "" {
		return config.ParseNode("defaults", nil)
	}
	text, err := config.Read(file)
	if err != nil {
		return nil, err
	}
	return config.ParseNode(file, text)
}
