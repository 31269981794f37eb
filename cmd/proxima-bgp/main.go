// Command proxima-bgp is the sidecar of a node: it announces what the node
// holds a lease for, and withdraws when the lease ends.
//
// "proxima-bgp serve" reads its file, takes the socket and opens the sessions
// with the routers; from then on the leases decide. A signal withdraws and ends
// it within 3 s. "proxima-bgp check" says what is wrong with a file, or with this
// host for that file. "proxima-bgp withdraw" is for after its death, where the routes
// are held by another daemon.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"proxima/cmd/internal/program"
	"proxima/cmd/internal/signals"
	"proxima/config"
)

// version is set by the linker.
var version = ""

// self is this program.
func self() program.Program {
	return program.Program{Name: "proxima-bgp", Short: "The sidecar of an anycast node: announces while the node holds a lease", Version: version}
}

func main() { self().Main(command(os.Stdout)) }

// command returns the whole of the command line. What was asked for goes to
// out, everything else to the standard error.
func command(out io.Writer) *cobra.Command {
	return self().Command(out,
		program.OnFile("serve", "Announce for leases until SIGTERM or SIGINT; a second one kills", "configuration file, which is needed",
			func(file string) error { return serve(file, signals.Catch()) }),
		program.OnFile("withdraw", "Withdraw what a sidecar that was killed has left with a daemon of this host", "configuration file, which is needed",
			withdraw),
		program.OnFile("check", "Say what is wrong with a configuration file, and with this host for it", "configuration file, which is needed",
			func(file string) error { return inspect(out, file) }))
}

// load reads the configuration, and where its keys stand.
func load(file string) (*config.Sidecar, config.Lines, error) {
	if file == "" {
		return nil, config.Lines{}, errors.New("a configuration file is needed: -c FILE")
	}
	text, err := config.Read(file)
	if err != nil {
		return nil, config.Lines{}, err
	}
	c, err := config.ParseSidecar(file, text)
	return c, config.SidecarLines(file, text), err
}

// inspect reads the file and prints everything that is wrong with it or, if
// nothing is, with this host for it. The error says only that there is something.
func inspect(out io.Writer, file string) error {
	c, lines, err := load(file)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		fmt.Fprintln(out, err)
		return fmt.Errorf("%s: not ok", file)
	case err != nil:
		return err
	}
	if err := checkSpeaker(c); err != nil {
		fmt.Fprintf(out, "%s: %v\n", file, err)
		return fmt.Errorf("%s: not ok", file)
	}
	if c.Guard.Source != "none" {
		if _, err := guardOptions(c); err != nil {
			fmt.Fprintf(out, "%s: %v\n", file, err)
			return fmt.Errorf("%s: not ok", file)
		}
	}
	wrong, lesser := checkPlaces(c, lines)
	for _, err := range lesser {
		fmt.Fprintf(out, "%s (warning)\n", program.Locate(err, lines))
	}
	for _, err := range wrong {
		fmt.Fprintln(out, program.Locate(err, lines))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s: not ok on this host", file)
	}
	_, err = fmt.Fprintf(out, "%s: ok\n", file)
	return err
}
