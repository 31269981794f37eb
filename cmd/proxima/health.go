package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// healthLimit bounds a question to the daemon beside. 2 s, not configurable:
	// below the 3 s that the image's health check allows.
	healthLimit = 2 * time.Second

	// maxHealthReply bounds what is read of a reply, in octets: a line or two.
	maxHealthReply = 4 << 10
)

// askHealth prints "ok" if the daemon that was started with this file answers
// so at /healthz; the error says why not.
func askHealth(out io.Writer, file string) error {
	c, _, err := load(file)
	if err != nil {
		return err
	}
	if !c.Admin.Listen.IsValid() {
		return errors.New(`admin.listen: is "", so that there is nobody to ask`)
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin.Listen.String()+"/healthz", nil)
	if err != nil {
		return err
	}
	// The daemon stands beside: no proxy of the environment leads there.
	reply, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("admin.listen: %s takes connections and has said nothing for %v: the daemon is stopped, or hangs", c.Admin.Listen, healthLimit)
	}
	if err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxHealthReply))
	if err != nil {
		return fmt.Errorf("admin.listen: %s: %w", c.Admin.Listen, err)
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s", strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; "))
	}
	_, err = fmt.Fprintln(out, "ok")
	return err
}
