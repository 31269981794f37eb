//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"proxima/test/netns"
)

// adminAddr is where Proxima shows its figures, inside the namespace.
const adminAddr = "127.0.0.1:9153"

// A running is a server that answers.
type running struct {
	b        *bed
	peer     *peer
	programs []*netns.Program // the server's; the first is the one whose memory counts
	beside   *netns.Program
}

// run starts a server with as many threads as it gets cores.
func (b *bed) run(p *peer, threads, mib int) (*running, error) {
	b.starts++
	s := settings{
		Dir: filepath.Join(b.dir, fmt.Sprintf("%s-%d", p.kind.name, b.starts)), Hints: b.hints(),
		Address: serverAddr.String(), Source: sourceAddr.String(), Admin: adminAddr, Threads: threads, MiB: mib,
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "cache"), 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(s.Dir, "recursor.conf") // the name that PowerDNS wants
	if p.config != nil {
		var text strings.Builder
		if err := p.config.Execute(&text, s); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
	}
	r := &running{b: b, peer: p}
	if err := r.start(s, file); err != nil {
		r.stop()
		log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, log)
	}
	return r, nil
}

func (r *running) start(s settings, file string) error {
	log, count := filepath.Join(s.Dir, "log"), 1
	if r.peer.single {
		count = s.Threads
	}
	for range count {
		program, err := r.b.start(log, r.b.cores.server[:s.Threads], r.peer.command(r.peer.path, file, s)...)
		if err != nil {
			return err
		}
		r.programs = append(r.programs, program)
	}
	if err := r.b.await(serverAddr, "example."); err != nil {
		return err
	}
	if r.peer.beside == nil {
		return nil
	}
	var err error
	r.beside, err = r.b.start(log, r.b.cores.generator, r.peer.beside(s)...)
	return err
}

// stop ends the server.
func (r *running) stop() {
	for _, p := range r.programs {
		p.Kill()
	}
	if r.beside != nil {
		r.beside.Kill()
	}
}

// cpu is the CPU time, user and system, that the server has taken so far.
func (r *running) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, p := range r.programs {
		// The clock of another process, clock_getcpuclockid(3), counts in
		// nanoseconds what /proc shows in hundredths of a second.
		const scheduled = 2
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^p.Process.Pid<<3|scheduled), &t); err != nil {
			return 0, fmt.Errorf("%s: its CPU clock: %w", r.peer.name, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// rss is the server's resident memory, in octets.
func (r *running) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.programs[0].Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(words[1], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// collected is the CPU time of Proxima's garbage collector so far, without what
// it did on cores that had nothing else to do; NaN for other programs.
func (r *running) collected() float64 {
	if r.peer.kind.name != "proxima" {
		return math.NaN()
	}
	text, err := r.b.metrics()
	if err != nil {
		return math.NaN()
	}
	total, ok := text["go_cpu_classes_gc_total_cpu_seconds_total"]
	if !ok {
		return math.NaN()
	}
	return total - text["go_cpu_classes_gc_mark_idle_cpu_seconds_total"]
}

// received is how many UDP datagrams the host has received, by whomever.
func (b *bed) received() (count float64, err error) {
	err = b.host.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var head []string
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if words[0] != "Udp:" {
				continue
			}
			if head == nil {
				head = words
				continue
			}
			count, err = strconv.ParseFloat(words[slices.Index(head, "InDatagrams")], 64)
			return err
		}
		return errors.New("no count of datagrams in /proc")
	})
	return count, err
}
