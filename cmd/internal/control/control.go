// Package control lets the operator's client ask the daemon on the same host.
//
// The daemon listens on a Unix socket that only its user and its group may
// open, and answers questions with JSON. At the other end Find looks who listens,
// and whether it lives; then it is asked. What is asked there is for people: a few
// requests at a time, each with a limit.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"proxima/cmd/internal/peer"
)

// None of these is configurable: one or two people ask.
const (
	socketMode = 0o660            // the daemon's user and group, nobody else
	maxAsked   = 4                // requests at the same time; more get 503
	maxHeader  = 8 << 10          // octets of a request's header
	askLimit   = 15 * time.Second // for a whole request: longer than any walk
)

// A Server answers at a socket; one without a path does nothing.
type Server struct {
	listener net.Listener // nil = off
	mux      *http.ServeMux
	web      *http.Server
	places   chan struct{}
}

// Listen takes the socket; "" is none. A socket that nobody listens at any more
// is replaced, anything else that stands in the way is an error.
func Listen(path string) (*Server, error) {
	mux := http.NewServeMux()
	s := &Server{mux: mux, places: make(chan struct{}, maxAsked), web: &http.Server{
		Handler: mux, ConnContext: withUser, ErrorLog: zap.NewStdLog(zap.NewNop()), MaxHeaderBytes: maxHeader,
		ReadTimeout: askLimit, WriteTimeout: askLimit,
	}}
	mux.HandleFunc("GET "+lifePath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if path == "" {
		return s, nil
	}
	if err := clear(path); err != nil {
		return nil, fmt.Errorf("control.socket: %w", err)
	}
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		// The file gets its mode from the socket, less the umask: it is never open
		// to more than socketMode.
		if e := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) }); e != nil {
			return e
		}
		return err
	}}
	l, err := c.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control.socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("control.socket: %w", err), l.Close())
	}
	s.listener = l
	return s, nil
}

// clear removes a socket that a killed daemon has left at path.
func clear(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s: is there and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s: another daemon listens there", path), c.Close())
	case !errors.Is(err, syscall.ECONNREFUSED): // somebody's, of another kind or busy
		return fmt.Errorf("%s: is there and may be in use: %w", path, err)
	}
	return os.Remove(path)
}

// Answer serves at path what ask makes of the parameters, as JSON. An error is
// told to the client. It is called before Serve.
func (s *Server) Answer(path string, ask func(context.Context, url.Values) (any, error)) {
	s.handle("GET "+path, ask)
}

// Obey is Answer for what changes something: Tell asks for it, Ask cannot.
func (s *Server) Obey(path string, do func(context.Context, url.Values) (any, error)) {
	s.handle("POST "+path, do)
}

func (s *Server) handle(pattern string, ask func(context.Context, url.Values) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.places <- struct{}{}:
			defer func() { <-s.places }()
		default:
			http.Error(w, "too many requests at the same time", http.StatusServiceUnavailable)
			return
		}
		reply, err := ask(r.Context(), r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply) // fails only if the client has gone
	})
}

// userKey is where a request's context has the user who asks.
type userKey struct{}

// withUser notes who is at the other end of a connection.
func withUser(ctx context.Context, c net.Conn) context.Context {
	if u, ok := c.(*net.UnixConn); ok {
		if cred := peer.Of(u); cred != nil {
			return context.WithValue(ctx, userKey{}, cred.Uid)
		}
	}
	return ctx
}

// User returns who asks, for the log.
func User(ctx context.Context) string {
	if uid, ok := ctx.Value(userKey{}).(uint32); ok {
		return fmt.Sprintf("uid %d", uid)
	}
	return "somebody"
}

// Serve answers until Close. A fault before that is logged: the program goes on
// without.
func (s *Server) Serve(log *zap.Logger) {
	if s.listener == nil {
		return
	}
	if err := s.web.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("control socket failed", zap.Error(err))
	}
}

// Close ends Serve, also one that has not begun, and every request, and removes
// the socket.
func (s *Server) Close() {
	_ = s.web.Close()
	if s.listener != nil {
		_ = s.listener.Close()
	}
}
