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

	"proxima/bgpctl/sidecar"
)

// What the admin server may take. None is configurable: a monitoring system
// needs a few connections and one scrape at a time.
const (
	maxAdminConns  = 16              // connections; more wait in the kernel
	maxScrapes     = 2               // of /metrics at the same time; more get 503
	maxAdminHeader = 8 << 10         // octets of a request's header
	adminRead      = 2 * time.Second // for a whole request
	adminWrite     = 5 * time.Second // for a whole reply
	adminIdle      = time.Minute     // for the next request
)

// staleStatus is the age from which the status shows that the sidecar's loop
// stands still. It is renewed ten times a second, but for the 2 s that a call
// of the speaker may take.
const staleStatus = 3 * time.Second

func listenAdmin(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, maxAdminConns), nil
}

// An admin is the HTTP server for operators; without a listener it is off.
type admin struct {
	listener net.Listener
	server   *http.Server
	closed   chan struct{}
}

func newAdmin(l net.Listener, r room) *admin {
	scrape := promhttp.HandlerFor(newRegistry(r), promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, CoalesceGather: true, Timeout: adminWrite,
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, healthy(r.sidecar.Status(), time.Now())) })
	return &admin{l, &http.Server{
		Handler: mux, ErrorLog: zap.NewStdLog(zap.NewNop()), MaxHeaderBytes: maxAdminHeader,
		ReadTimeout: adminRead, WriteTimeout: adminWrite, IdleTimeout: adminIdle,
	}, make(chan struct{})}
}

// serve returns nil after close.
func (a *admin) serve() error {
	if a.listener == nil {
		<-a.closed
		return nil
	}
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

// close ends serve. It is called once.
func (a *admin) close() {
	close(a.closed)
	_ = a.server.Close()
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

// healthy reports why this process should be started anew, or nil. A node
// without a lease or a router that is away is no reason.
func healthy(s sidecar.Status, at time.Time) error {
	if age := at.Sub(s.At); age > staleStatus {
		return fmt.Errorf("the sidecar has stood still for %v", age.Round(time.Second))
	}
	return nil
}
