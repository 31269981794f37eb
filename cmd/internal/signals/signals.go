// Package signals says which signals end a program.
//
// SIGTERM and SIGINT do. SIGHUP does so on a terminal alone, whose end it
// is: elsewhere it asks daemons to read their files again, which ours do not do,
// and nobody who sends it wants the route withdrawn. Nor is it a reason to end
// that nobody reads the standard error any more: SIGPIPE is ignored, so that
// writes fail instead.
package signals

import (
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/term"
)

// maxPending bounds the signals that wait to be looked at: one that ends the
// program and one that hurries it. More say nothing new.
const maxPending = 2

// Signals are those that a program has caught. A channel may be nil.
type Signals struct {
	Ends    <-chan os.Signal // asks the program to end
	Hangups <-chan os.Signal // is to be told to IgnoreHangup
}

// Catch takes the signals from the runtime, which would end the program at once.
func Catch() Signals {
	ends, hangups := make(chan os.Signal, maxPending), make(chan os.Signal, maxPending)
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		signal.Notify(ends, syscall.SIGHUP)
	} else {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	return Signals{ends, hangups}
}

// Release lets the next SIGTERM or SIGINT end the program at once.
func Release() { signal.Reset(syscall.SIGTERM, syscall.SIGINT) }

// IgnoreHangup tells whoever sent SIGHUP what it is not good for.
func IgnoreHangup(log *zap.Logger) {
	log.Warn("SIGHUP ignored: a change of configuration needs a restart")
}
