// Command proxima-bgp is the sidecar of a node: it announces what the node
// holds a lease for, and withdraws when the lease ends.
//
// "proxima-bgp serve" reads its file, takes the socket and opens the sessions
// with the routers; from then on the leases decide. A signal withdraws and ends
// it within 3 s. "proxima-bgp check" says what is wrong with a file, or with this
// host for that file.
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
	return "proxima-bgp: " + err.Error()
}

// command returns the whole of the command line. What was asked for goes to
// out, everything else to the standard error.
func command(out io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "proxima-bgp",
		Short:         "The sidecar of an anycast node: announces while the node holds a lease",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(serveCommand(), checkCommand(out), versionCommand(out))
	return root
}

func serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Announce for leases until SIGTERM or SIGINT; a second one kills",
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

func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic("proxima-bgp: " + err.Error())
	}
}

func versionCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(out, "proxima-bgp %s %s %s/%s\n", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
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

// load reads the configuration.
func load(file string) (*config.Sidecar, error) {
	text, err := config.Read(file)
	if err != nil {
		return nil, err
	}
	return config.ParseSidecar(file, text)
}

// inspect reads the file and prints everything that is wrong with it or, if
// nothing is, with this host for it. The error says only that there is something.
func inspect(out io.Writer, file string) error {
	c, err := load(file)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		fmt.Fprintln(out, err)
		return fmt.Errorf("%s: not ok", file)
	case err != nil:
		return err
	}
	if c.Speaker == "gobgp" {
		o, err := gobgpOptions(c, nil)
		if err == nil {
			err = o.Check()
		}
		if err != nil {
			fmt.Fprintf(out, "%s: %v\n", file, err)
			return fmt.Errorf("%s: not ok", file)
		}
	}
	if err := checkSocket(c.Socket); err != nil {
		fmt.Fprintf(out, "this host: %v\n", err)
		return fmt.Errorf("%s: not ok on this host", file)
	}
	_, err = fmt.Fprintf(out, "%s: ok\n", file)
	return err
}
