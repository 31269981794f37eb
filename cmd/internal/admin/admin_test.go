package admin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// mustServe runs a server on loopback until the test ends, and returns its
// address.
func mustServe(t *testing.T, prepare func(*Server)) string {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	prepare(s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(zap.NewNop())
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return s.listener.Addr().String()
}

func mustGet(t *testing.T, url string) (status int, text string) {
	t.Helper()
	// A connection of its own for each request, as those who watch have.
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestServer_answers(t *testing.T) {
	figures := prometheus.NewRegistry()
	figures.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "fish_total"}, func() float64 { return 7 }))
	at := mustServe(t, func(s *Server) {
		s.Metrics(figures)
		s.Answer("/well", func() (string, bool) { return Word(nil) })
		s.Answer("/ill", func() (string, bool) { return Word(errors.New("reader 1 is stuck")) })
	})
	tests := []struct {
		name, path string
		status     int
		text       string
	}{
		{"who is well says ok", "/well", 200, "ok\n"},
		{"who is not says why", "/ill", 503, "reader 1 is stuck\n"},
		{"figures", "/metrics", 200, "fish_total 7\n"},
		{"nothing else", "/", 404, "404 page not found\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, text := mustGet(t, "http://"+at+tt.path); status != tt.status || !strings.HasSuffix(text, tt.text) {
				t.Errorf("%s: %d %q, want %d %q", tt.path, status, text, tt.status, tt.text)
			}
		})
	}
}

func TestServer_idleConnectionsKeepNobodyOut(t *testing.T) {
	at := mustServe(t, func(s *Server) { s.Answer("/well", func() (string, bool) { return Word(nil) }) })
	for range 2 * maxConns {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	began := time.Now()
	mustGet(t, "http://"+at+"/well")
	if took := time.Since(began); took >= readLimit {
		t.Errorf("took %v: it waited for the idle ones to time out", took)
	}
}

func TestServer_holdsNoMoreConnectionsThanItsLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner}
	defer l.Close()
	var accepted []net.Conn
	for range maxConns + 1 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		accepted = append(accepted, a)
	}
	if _, err := accepted[0].Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || len(l.conns) != maxConns {
		t.Errorf("the oldest: %v, and %d are held; want it closed and %d", err, len(l.conns), maxConns)
	}
}

// A broken listener cannot accept.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("out of order") }

func TestServer_logsAFaultAndReturns(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.listener = broken{s.listener}
	core, logged := observer.New(zap.ErrorLevel)
	s.Serve(zap.New(core))
	if all := logged.All(); len(all) != 1 || all[0].Message != "admin server failed" {
		t.Errorf("logged %v", all)
	}
}

func TestServer_withoutAnAddressDoesNothing(t *testing.T) {
	s, err := Listen(netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(zap.NewNop())
	s.Close()
}

func TestListen_namesTheKey(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Listen(netip.MustParseAddrPort(taken.Addr().String())); err == nil || !strings.HasPrefix(err.Error(), "admin.listen: ") {
		t.Errorf("Listen = %v", err)
	}
}
