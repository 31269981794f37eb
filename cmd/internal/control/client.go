package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"proxima/cmd/internal/peer"
)

const (
	// lifeLimit bounds how long a daemon may take to say that it lives. 3 s, not
	// configurable: it takes milliseconds, also on a busy host, unless the daemon
	// was stopped or hangs.
	lifeLimit = 3 * time.Second

	// maxReply bounds what is read of a reply, in octets: 8 MiB, many times the
	// longest explanation.
	maxReply = 8 << 20

	// lifePath is where a daemon says nothing but that it lives.
	lifePath = "/life"
)

// ErrAbsent says that no daemon listens at the socket.
var ErrAbsent = errors.New("no daemon listens there")

// A Daemon is one that listens at a socket.
type Daemon struct {
	Socket  string
	Process int // its number; 0 = the kernel does not say, as from another PID namespace
}

// Find returns the daemon that listens at a socket, and lives.
func Find(ctx context.Context, socket string) (Daemon, error) {
	d := Daemon{Socket: socket}
	_, err := d.call(ctx, lifeLimit, http.MethodGet, lifePath)
	return d, err
}

// Ask asks the daemon that listens at a socket, and reads its reply into into.
func Ask(ctx context.Context, socket, path string, with url.Values, into any) error {
	d, err := Find(ctx, socket)
	if err != nil {
		return err
	}
	return d.Ask(ctx, path, with, into)
}

// Tell is Ask for what changes something.
func Tell(ctx context.Context, socket, path string, with url.Values, into any) error {
	d, err := Find(ctx, socket)
	if err != nil {
		return err
	}
	return d.request(ctx, http.MethodPost, path, with, into)
}

// Ask asks the daemon, and reads its reply into into.
func (d *Daemon) Ask(ctx context.Context, path string, with url.Values, into any) error {
	return d.request(ctx, http.MethodGet, path, with, into)
}

func (d *Daemon) request(ctx context.Context, method, path string, with url.Values, into any) error {
	text, err := d.call(ctx, askLimit, method, path+"?"+with.Encode())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("control.socket: %s: %w", d.Socket, err)
	}
	return nil
}

// String says who it is.
func (d Daemon) String() string {
	if d.Process == 0 {
		return "the daemon at " + d.Socket
	}
	return fmt.Sprintf("the daemon at %s (process %d)", d.Socket, d.Process)
}

// call makes one request within limit, and learns who listens.
func (d *Daemon) call(ctx context.Context, limit time.Duration, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://proxima"+path, nil)
	if err != nil {
		return nil, err
	}
	reply, err := (&http.Transport{DisableKeepAlives: true, DialContext: d.dial}).RoundTrip(request)
	if err != nil {
		return nil, d.fault(err, limit)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if err != nil {
		return nil, d.fault(err, limit)
	}
	if reply.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%v says: %s", d, strings.TrimSpace(string(text)))
	}
	return text, nil
}

// dial connects to the socket.
func (d *Daemon) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", d.Socket)
	if err != nil {
		return nil, err
	}
	if cred := peer.Of(conn.(*net.UnixConn)); cred != nil {
		d.Process = int(cred.Pid)
	}
	return conn, nil
}

// fault says why a request had no reply within limit. A daemon that does not
// take connections any more, because too many wait, is as silent as one that does
// not answer them.
func (d *Daemon) fault(err error, limit time.Duration) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("control.socket: %s: %w", d.Socket, ErrAbsent)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("control.socket: %s: it is for the daemon's user and group, and for root: %w", d.Socket, syscall.EACCES)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("the daemon does not answer: process %d at %s has said nothing for %v: it is stopped, or hangs",
			d.Process, d.Socket, limit)
	}
	return fmt.Errorf("control.socket: %s: %w", d.Socket, err)
}
