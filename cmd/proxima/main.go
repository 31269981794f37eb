// Command proxima is an anycast DNS resolver, and its operator's client.
//
// "proxima serve" reads its file, holds the anycast addresses, listens, and
// answers; when its checks of itself pass, it asks the sidecar to announce the
// addresses. A signal takes the same way back: the announcement first, the
// addresses last. "proxima check" says what is wrong with a file, or with this
// host for that file; "proxima health" asks the daemon beside how it is;
// "proxima explain" says how a name is resolved; "proxima ctl bgp" sees and changes
// what the sidecar announces; and "proxima grant" gives the
// program its capabilities when it is installed.
package main

import (
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"proxima/cmd/internal/ctl"
	"proxima/cmd/internal/program"
	"proxima/cmd/internal/signals"
	"proxima/config"
)

// version is set by the linker.
var version = ""

// self is this program.
func self() program.Program {
	return program.Program{Name: "proxima", Short: "An anycast DNS resolver", Version: version}
}

func main() {
	// The Go runtime keeps from a program with file capabilities where it has
	// panicked, for strangers might start it. A daemon's operator wants to know.
	debug.SetTraceback("single")
	self().Main(command(os.Stdout))
}

// noFile says what commands do that are given no configuration file.
const noFile = "configuration file (default: none, every key has a default)"

// command returns the whole of the command line. What was asked for goes to
// out, everything else to the standard error.
func command(out io.Writer) *cobra.Command {
	return self().Command(out,
		program.OnFile("serve", "Answer until a signal to end; a second one hurries, a third one kills", noFile,
			func(file string) error { return serve(file, signals.Catch()) }),
		program.OnFile("check", "Say what is wrong with a configuration file, and with this host for it", noFile,
			func(file string) error { return inspect(out, file) }),
		program.OnFile("health", "Ask the daemon of this configuration file whether it should go on", noFile,
			func(file string) error { return askHealth(out, file) }),
		explainCommand(out),
		ctl.Command(out),
		&cobra.Command{
			Use:   "grant FILE",
			Short: "Give a program's file the two capabilities of serve, as setcap does",
			Args:  program.Args(1, 1),
			RunE:  func(_ *cobra.Command, args []string) error { return grant(args[0]) },
		})
}

// load reads the configuration, and where its keys stand; no file means the
// defaults.
func load(file string) (*config.Node, config.Lines, error) {
	if file == "" {
		c, err := config.ParseNode("defaults", nil)
		return c, config.Lines{}, err
	}
	text, err := config.Read(file)
	if err != nil {
		return nil, config.Lines{}, err
	}
	c, err := config.ParseNode(file, text)
	return c, config.NodeLines(file, text), err
}
