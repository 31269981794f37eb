package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"proxima/bgpctl"
)

// What the admin server may take from the DNS server beside it. None is
// configurable: a monitoring system needs a few connections and one scrape at a
// time.
const (
	maxAdminConns  = 8               // connections; more wait in the kernel
	maxScrapes     = 1               // of /metrics at the same time; more get 503
	maxAdminHeader = 8 << 10         // octets of a request's header
	adminRead      = 2 * time.Second // for a whole request
	adminWrite     = 5 * time.Second // for a whole reply
)

// openAdmin binds the admin server, if it is not off.
func (d *daemon) openAdmin() error {
	if !d.c.Admin.Listen.IsValid() {
		return nil
	}
	l, err := net.Listen("tcp", d.c.Admin.Listen.String())
	if err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	d.admin = netutil.LimitListener(l, maxAdminConns)
	return nil
}

// newAdmin returns the admin server: figures for machines, two short words for
// those who ask whether to send clients here.
func (d *daemon) newAdmin() *http.Server {
	scrape := promhttp.HandlerFor(d.newRegistry(), promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: adminWrite, DisableCompression: true,
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, d.healthy()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { say(w, d.ready()) })
	web := &http.Server{
		Handler: mux, ErrorLog: zap.NewStdLog(zap.NewNop()), MaxHeaderBytes: maxAdminHeader,
		ReadTimeout: adminRead, WriteTimeout: adminWrite,
	}
	web.SetKeepAlivesEnabled(false) // nobody keeps a place that another needs
	return web
}

func (d *daemon) serveAdmin(web *http.Server) error {
	if d.admin == nil {
		return nil
	}
	if err := web.Serve(d.admin); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

// say answers "ok", or why not.
func say(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// healthy reports why this process should be started anew, or nil. What ails
// the host or the Internet is no reason.
func (d *daemon) healthy() error { return d.server.Stuck(time.Now(), stuckLimit) }

// ready reports why this node gets no clients, or nil.
func (d *daemon) ready() error { return readiness(d.keeper.Status(), d.link != nil) }

// readiness wants the checks to pass and, where the node is announced at all,
// that it is.
func readiness(s bgpctl.Status, announces bool) error {
	var err error
	if !s.Health.Up {
		err = errors.New("the checks have not passed for long enough")
	}
	for _, c := range s.Checks {
		if c.Err != nil {
			err = errors.Join(err, fmt.Errorf("check %s: %w", c.Name, c.Err))
		}
	}
	switch {
	case s.Draining:
		err = errors.Join(err, errors.New("draining"))
	case announces && s.Sidecar.State != bgpctl.Announced:
		err = errors.Join(err, fmt.Errorf("sidecar: %s %s", s.Sidecar.State, s.Sidecar.Reason))
	}
	return err
}
