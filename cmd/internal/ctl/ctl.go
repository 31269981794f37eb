// Package ctl is what an operator says to a sidecar, and reads of it: the
// commands, and the answers at the sidecar's control socket.
package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"proxima/bgpctl"
	"proxima/bgpctl/sidecar"
	"proxima/cmd/internal/control"
)

// The paths at the control socket.
const (
	statusPath  = "/bgp/status"
	historyPath = "/bgp/history"
	orderPath   = "/bgp/order" // with the parameter "order"
)

// DefaultSocket is that of the sidecar's configuration.
const DefaultSocket = "/run/proxima/bgp-control.sock"

// A Status is what a sidecar does now.
type Status struct {
	State           bgpctl.State   `json:"state"`
	Since           time.Time      `json:"since"`
	Reason          string         `json:"reason"`
	Check           string         `json:"check,omitempty"` // that caused the state, if one did
	Class           bgpctl.Class   `json:"class"`           // of its fault
	Announced       []netip.Prefix `json:"announced"`       // confirmed by the speaker
	Degraded        bool           `json:"degraded"`        // with degraded attributes
	Leased          bool           `json:"leased"`
	LeaseAgeSeconds float64        `json:"lease_age_seconds"`
	HoldDownSeconds float64        `json:"hold_down_seconds"` // until anything may be announced; 0 = none
	Merit           float64        `json:"merit"`             // figure of merit, RFC 2439
	SessionsUp      int            `json:"sessions_up"`
	Sessions        int            `json:"sessions"` // 0 = the speaker has none, or cannot tell
	SpeakerError    string         `json:"speaker_error,omitempty"`
	OthersKnown     bool           `json:"others_known"` // what follows means something
	OthersAnnounce  int            `json:"others_announcing"`
	OthersWithdrawn int            `json:"others_withdrawn"` // or silent
}

// Serve answers for a sidecar at a control server; sessions may be nil.
func Serve(at *control.Server, s *sidecar.Sidecar, sessions func() (up, all int)) {
	if sessions == nil {
		sessions = func() (up, all int) { return 0, 0 }
	}
	tell := func(now sidecar.Status) Status {
		status := Status{
			State: now.State, Since: now.Since, Reason: now.Reason, Check: now.Check, Class: now.Class,
			Announced: now.Announced, Degraded: now.Low, Leased: now.Leased, LeaseAgeSeconds: now.LeaseAge.Seconds(),
			HoldDownSeconds: now.HoldDown.Seconds(), Merit: now.Merit,
			OthersKnown: now.Others.Known, OthersAnnounce: now.Others.Announcing, OthersWithdrawn: now.Others.Withdrawn,
		}
		status.SessionsUp, status.Sessions = sessions()
		if now.SpeakerErr != nil {
			status.SpeakerError = now.SpeakerErr.Error()
		}
		return status
	}
	at.Answer(statusPath, func(context.Context, url.Values) (any, error) { return tell(s.Status()), nil })
	at.Answer(historyPath, func(context.Context, url.Values) (any, error) { return s.History(), nil })
	at.Obey(orderPath, func(ctx context.Context, with url.Values) (any, error) {
		now, err := s.Order(ctx, with.Get("order"), control.User(ctx))
		if err != nil {
			return nil, err
		}
		return tell(now), nil
	})
}

// An order is a command that changes something.
type order struct{ word, short string }

var orders = []order{
	{"drain", "Send clients elsewhere, then withdraw, and stay away until undrain"},
	{"undrain", "Call a drain off, or come back after one"},
	{"maintenance", "The same as drain: stay away, also over restarts"},
	{"withdraw", "Withdraw at once, which loses what is under way, and stay away until undrain"},
	{"freeze", "Keep what is announced whatever the checks say; the end of the process still withdraws"},
	{"unfreeze", "Let the checks decide again"},
}

// Command returns "ctl"; what was asked for goes to out.
func Command(out io.Writer) *cobra.Command {
	var socket string
	var asJSON bool
	bgp := &cobra.Command{Use: "bgp", Short: "See and change what this node announces", Args: cobra.NoArgs}
	bgp.PersistentFlags().StringVarP(&socket, "socket", "s", DefaultSocket, "control.socket of the sidecar")
	bgp.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	show := func(v any, text func(io.Writer) error) error {
		if !asJSON {
			return text(out)
		}
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	bgp.AddCommand(
		&cobra.Command{Use: "status", Short: "Say what is announced, and why", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			var s Status
			if err := control.Ask(c.Context(), socket, statusPath, nil, &s); err != nil {
				return err
			}
			return show(s, s.print)
		}},
		&cobra.Command{Use: "history", Short: "Print the last changes of state, and what caused them", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			var h []sidecar.Transition
			if err := control.Ask(c.Context(), socket, historyPath, nil, &h); err != nil {
				return err
			}
			return show(h, func(out io.Writer) error { return printHistory(out, h) })
		}})
	for _, o := range orders {
		bgp.AddCommand(&cobra.Command{Use: o.word, Short: o.short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			var s Status
			word := strings.Replace(o.word, "maintenance", "drain", 1)
			if err := control.Tell(c.Context(), socket, orderPath, url.Values{"order": {word}}, &s); err != nil {
				return err
			}
			return show(s, s.print)
		}})
	}
	c := &cobra.Command{Use: "ctl", Short: "Talk to the programs of this node", Args: cobra.NoArgs}
	c.AddCommand(bgp)
	return c
}

// print writes the status for a person.
func (s Status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("state", "%v since %s", s.State, s.Since.Local().Format(time.DateTime))
	row("reason", "%s", s.Reason)
	if s.Check != "" {
		row("check", "%s (%v)", s.Check, s.Class)
	}
	switch {
	case len(s.Announced) == 0:
		row("announced", "nothing")
	case s.Degraded:
		row("announced", "%v, degraded", s.Announced)
	default:
		row("announced", "%v", s.Announced)
	}
	if s.Sessions > 0 {
		row("sessions", "%d of %d up", s.SessionsUp, s.Sessions)
	}
	if s.Leased {
		row("lease", "renewed %.1f s ago", s.LeaseAgeSeconds)
	} else {
		row("lease", "none: no node asks for an announcement")
	}
	if s.HoldDownSeconds > 0 {
		row("hold-down", "for %.0f s more", s.HoldDownSeconds)
	}
	if s.OthersKnown {
		row("other nodes", "%d announce, %d do not", s.OthersAnnounce, s.OthersWithdrawn)
	} else {
		row("other nodes", "nothing is known")
	}
	row("merit", "%.0f", s.Merit)
	if s.SpeakerError != "" {
		row("speaker", "failed: %s", s.SpeakerError)
	}
	return w.Flush()
}

func printHistory(out io.Writer, history []sidecar.Transition) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range history {
		cause := t.Reason
		if t.Check != "" {
			cause = fmt.Sprintf("%s (%v): %s", t.Check, t.Class, t.Reason)
		}
		fmt.Fprintf(w, "%s\t%v\t-> %v\t%s\n", t.At.Local().Format("2006-01-02 15:04:05.000"), t.From, t.To, cause)
	}
	return w.Flush()
}
