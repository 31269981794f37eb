// Package admin serves a program's figures and short words to those who watch
// it.
//
// Listen takes the address before the program begins its work, Serve answers,
// and Close ends it. The server takes little from what the program is there
// for: a few connections, of which the oldest goes when one more comes, and a
// scrape or two at a time. A fault ends the server and never the program.
package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// What the server may take from the program. None is configurable: a monitoring
// system needs a few connections and one scrape at a time.
const (
	maxConns   = 64              // connections
	maxScrapes = 2               // of /metrics at the same time; more get 503
	maxHeader  = 8 << 10         // octets of a request's header
	readLimit  = 2 * time.Second // for a whole request
	writeLimit = 5 * time.Second // for a whole reply
)

// A Server answers over HTTP; one without an address does nothing.
type Server struct {
	listener net.Listener // nil = off
	mux      *http.ServeMux
	web      *http.Server
}

// Listen binds the address. The zero value is none.
func Listen(at netip.AddrPort) (*Server, error) {
	mux := http.NewServeMux()
	s := &Server{mux: mux, web: &http.Server{
		Handler: mux, ErrorLog: zap.NewStdLog(zap.NewNop()), MaxHeaderBytes: maxHeader,
		ReadTimeout: readLimit, WriteTimeout: writeLimit,
	}}
	s.web.SetKeepAlivesEnabled(false) // nobody keeps a place that another needs
	if !at.IsValid() {
		return s, nil
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	s.listener = &listener{Listener: l}
	return s, nil
}

// Metrics serves figures at /metrics. It is called before Serve, like Answer.
func (s *Server) Metrics(figures prometheus.Gatherer) {
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(figures, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: writeLimit, DisableCompression: true,
	}))
}

// Label returns what a label of a metric says for a text of ours: lower case, and
// one word, so that nobody has to remember how each of them is written.
func Label(text string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(text))
}

// Answer serves a text at path, with 200 if all is well and 503 otherwise.
func (s *Server) Answer(path string, ask func() (text string, well bool)) {
	s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text, well := ask()
		if !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, text)
	})
}

// Word is the answer of those who have only an error to tell.
func Word(err error) (text string, well bool) {
	if err != nil {
		return err.Error(), false
	}
	return "ok", true
}

// Serve answers until Close. A fault before that is logged: the program goes
// on without.
func (s *Server) Serve(log *zap.Logger) {
	if s.listener == nil {
		return
	}
	if err := s.web.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("admin server failed", zap.Error(err))
	}
}

// Close ends Serve, also one that has not begun, and every connection: requests
// in flight are worth nothing at the end of a program.
func (s *Server) Close() {
	_ = s.web.Close()
	if s.listener != nil {
		_ = s.listener.Close()
	}
}
