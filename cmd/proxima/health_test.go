package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	says := func(status int, text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				status = http.StatusNotFound
			}
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	// Nobody will accept what this socket's queue takes.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	tests := []struct {
		name   string
		listen string
		out    string
		err    string // one that begins so; empty = none
	}{
		{"a healthy daemon", says(200, "ok\n"), "ok\n", ""},
		{"a daemon that says why it is not", says(503, "reader 1 is stuck\nreader 2 is stuck\n"), "",
			"proxima: not healthy: reader 1 is stuck; reader 2 is stuck"},
		{"nobody there", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "", "proxima: admin.listen: dial tcp 127.0.0.1:"},
		{"a daemon that hangs", mute.Addr().String(), "", "proxima: admin.listen: " + mute.Addr().String() + " takes connections and has said nothing for 2s: the daemon is stopped, or hangs"},
		{"no admin server", "", "", `proxima: admin.listen: is "", so that there is nobody to ask`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run("health", "-c", mustWrite(t, fmt.Sprintf("admin: {listen: %q}\n", tt.listen)))
			said := ""
			if err != nil {
				said = self().Describe(err)
			}
			if out != tt.out || !strings.HasPrefix(said, tt.err) || (tt.err == "") != (said == "") || strings.Contains(said, "\n") {
				t.Errorf("health printed %q, %q; want %q, %q", out, said, tt.out, tt.err)
			}
		})
	}
}
