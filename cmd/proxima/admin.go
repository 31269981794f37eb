package main

import (
	"fmt"
	"strings"
	"time"

	"proxima/bgpctl"
	"proxima/cmd/internal/admin"
	"proxima/cmd/internal/checks"
)

// openAdmin binds the admin server, if it is not off.
func (d *daemon) openAdmin() (err error) {
	d.admin, err = admin.Listen(d.c.Admin.Listen)
	return err
}

// fillAdmin says what the admin server answers: figures for machines, a word or
// two for those who ask whether to send clients here.
func (d *daemon) fillAdmin() {
	d.admin.Metrics(d.newRegistry())
	d.admin.Answer("/healthz", func() (string, bool) { return admin.Word(d.healthy()) })
	d.admin.Answer("/readyz", func() (string, bool) { return readiness(d.keeper.Status(), d.link != nil) })
}

// healthy reports why this process should be started anew, or nil. What ails
// the host or the Internet is no reason.
func (d *daemon) healthy() error { return d.server.Stuck(time.Now(), checks.StuckLimit) }

// readiness says whether clients are sent here: whether the hard checks pass and,
// where the node is announced at all, what the sidecar makes of that. Of the
// others it says which have a fault.
func readiness(s bgpctl.Status, announces bool) (text string, ready bool) {
	var lines []string
	if !s.Health.Up {
		lines = append(lines, "the checks have not passed for long enough")
	}
	var worse []string // what makes the node worse than others, but not unfit
	for _, c := range s.Checks {
		switch {
		case c.Fault > bgpctl.HardLocal:
			worse = append(worse, fmt.Sprintf("%v fault of check %s: %v", c.Fault, c.Name, c.Cause))
		case c.Err != nil && c.Class == bgpctl.HardLocal:
			lines = append(lines, fmt.Sprintf("check %s: %v", c.Name, c.Err))
		}
	}
	if s.Draining {
		lines = append(lines, "draining")
	}
	ready = len(lines) == 0
	lines = append(lines, worse...)
	if announces {
		ready = ready && announced(s.Sidecar)
		lines = append(lines, sidecarLine(s))
	}
	if ready {
		lines = append([]string{"ok"}, lines...)
	}
	return strings.Join(lines, "\n"), ready
}

// announced reports whether somebody has heard of the announcement, as far as
// the sidecar can tell.
func announced(r bgpctl.Reply) bool {
	return len(r.Announced) > 0 && r.State != bgpctl.Draining && (r.Sessions == 0 || r.SessionsUp > 0)
}

func sidecarLine(s bgpctl.Status) string {
	line := "sidecar: " + s.Sidecar.State.String()
	if s.Sidecar.Reason != "" {
		line += ", " + s.Sidecar.Reason
	}
	if s.Sidecar.Sessions > 0 {
		line += fmt.Sprintf("; %d of %d BGP sessions up", s.Sidecar.SessionsUp, s.Sidecar.Sessions)
	}
	if s.LinkErr != nil {
		line += fmt.Sprintf("; %v", s.LinkErr)
	}
	return line
}
