// Package systemd tells the service manager how a program is, sd_notify(3):
// that it is ready, that it lives, that it stops. Where nobody wants to know,
// nothing is sent.
package systemd

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// Ready says that the program serves. An error is logged: the manager will
// wait in vain, and say so.
func Ready(log *zap.Logger) { tell(log, daemon.SdNotifyReady) }

// Stopping says that the program has begun to end.
func Stopping(log *zap.Logger) { tell(log, daemon.SdNotifyStopping) }

func tell(log *zap.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", zap.String("state", state), zap.Error(err))
	}
}

// Alive returns what a loop calls each time it turns, so that the manager kills
// a program whose loop does not turn any more (WatchdogSec=). It tells the
// manager four times within its limit, so that one late turn is no death.
func Alive(log *zap.Logger) func() {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog is not served", zap.Error(err))
	}
	if limit == 0 {
		return func() {}
	}
	var told time.Time
	return func() {
		if now := time.Now(); now.Sub(told) >= limit/4 {
			told = now
			tell(log, daemon.SdNotifyWatchdog)
		}
	}
}
