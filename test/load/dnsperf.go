//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A load is what dnsperf is told.
type load struct {
	file    string
	seconds float64 // at most
	once    bool    // each question once
	rate    float64 // queries a second; 0 for as many as go
	tcp     bool
	clients int // sockets or connections, in all
	from    int // client addresses to share them out among; 1 if 0
}

// waiting is how many queries dnsperf has under way: what one client of
// Proxima's may have, and more than keeps a server busy.
const waiting = 100

// An account is what a load got, and what it took of the server.
type account struct {
	completed, answered float64
	qps                 float64
	cpu                 float64 // of the server, microseconds a query answered
	exchanges           float64 // datagrams to and from the authority, in pairs a query
	collected           float64 // of the CPU time, for garbage collection, in percent; NaN for most
}

// drive puts a load on a server.
func (r *running) drive(ctx context.Context, l load) (account, error) {
	before, err := r.cpu()
	if err != nil {
		return account{}, err
	}
	datagrams, err := r.b.received()
	if err != nil {
		return account{}, err
	}
	collected := r.collected()
	a, err := r.b.perf(ctx, l)
	if err != nil {
		return a, fmt.Errorf("%s: %w", r.peer.name, err)
	}
	after, err := r.cpu()
	if err != nil {
		return a, err
	}
	all, err := r.b.received()
	if err != nil {
		return a, err
	}
	if a.answered < 0.98*a.completed || a.answered == 0 {
		return a, fmt.Errorf("%s: of %.0f replies only %.0f are NOERROR", r.peer.name, a.completed, a.answered)
	}
	took := after - before
	a.cpu = float64(took.Nanoseconds()) / 1000 / a.answered
	a.exchanges = ((all-datagrams)/a.answered - 2) / 2
	a.collected = 100 * (r.collected() - collected) / took.Seconds()
	return a, nil
}

// perf runs dnsperf, one for each client address, and adds up what they say.
func (b *bed) perf(ctx context.Context, l load) (account, error) {
	addrs := clientAddrs()[:max(1, l.from)]
	said := make([]account, len(addrs))
	running, ctx := errgroup.WithContext(ctx)
	for i, a := range addrs {
		words := append(b.placed(b.cores.generator), "dnsperf",
			"-s", serverAddr.String(), "-a", a.String(), "-d", l.file, "-t", "2",
			"-l", strconv.FormatFloat(l.seconds, 'f', 2, 64), "-c", strconv.Itoa(max(1, l.clients/len(addrs))), "-q", strconv.Itoa(waiting))
		if l.once {
			words = append(words, "-n", "1")
		}
		if l.rate > 0 {
			words = append(words, "-Q", strconv.Itoa(max(1, int(l.rate)/len(addrs))))
		}
		if l.tcp {
			words = append(words, "-m", "tcp")
		}
		running.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds*float64(time.Second))+startLimit)
			defer cancel()
			out, err := b.host.Run(ctx, "nice", words...)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, tail(out))
			}
			said[i], err = read(out)
			return err
		})
	}
	err := running.Wait()
	var sum account
	for _, a := range said {
		sum.completed += a.completed
		sum.answered += a.answered
		sum.qps += a.qps
	}
	return sum, err
}

// read takes the figures out of what dnsperf printed.
func read(out string) (a account, err error) {
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch name {
		case "Queries completed":
			a.completed, err = strconv.ParseFloat(words[0], 64)
		case "Response codes":
			for i := 0; i+1 < len(words) && err == nil; i++ {
				if words[i] == "NOERROR" {
					a.answered, err = strconv.ParseFloat(words[i+1], 64)
				}
			}
		case "Queries per second":
			a.qps, err = strconv.ParseFloat(words[0], 64)
		}
		if err != nil {
			return a, fmt.Errorf("dnsperf said %q: %w", line, err)
		}
	}
	if a.completed == 0 {
		return a, fmt.Errorf("dnsperf got no reply:\n%s", tail(out))
	}
	return a, nil
}

// tail is the end of a text.
func tail(text string) string { return text[max(0, len(text)-2000):] }

// metrics are Proxima's figures that have no label.
func (b *bed) metrics() (map[string]float64, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return b.host.Dial(ctx, network, address)
		},
	}}
	reply, err := client.Get("http://" + adminAddr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	figures := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 2 {
			if figures[words[0]], err = strconv.ParseFloat(words[1], 64); err != nil {
				return nil, err
			}
		}
	}
	if len(figures) == 0 {
		return nil, errors.New("no figures at " + adminAddr)
	}
	return figures, nil
}
