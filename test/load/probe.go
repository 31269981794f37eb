//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A probe asks a question now and then, whether or not those before have been
// answered, and notes how long the server took for each. A reply's time is that
// of its arrival at the socket, as the kernel notes it, so that a busy
// generator does not make the server look slow.
type probe struct {
	conn *net.UDPConn

	mu      sync.Mutex // guards what follows
	sent    [1 << 16]int64
	took    map[int]time.Duration // by the question's number
	aged    map[int]bool          // those whose answer has been kept a while
	numbers [1 << 16]int          // of the questions, by ID
}

func (b *bed) newProbe() (*probe, error) {
	var d net.Dialer
	d.LocalAddr = &net.UDPAddr{IP: probeAddr.AsSlice()}
	p := &probe{took: map[int]time.Duration{}, aged: map[int]bool{}}
	err := b.host.Do(func() error {
		conn, err := d.DialContext(context.Background(), "udp4", netip.AddrPortFrom(serverAddr, 53).String())
		if err != nil {
			return err
		}
		p.conn = conn.(*net.UDPConn)
		return nil
	})
	if err != nil {
		return nil, err
	}
	raw, err := p.conn.SyscallConn()
	if err == nil {
		fail := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		})
		err = errors.Join(err, fail)
	}
	return p, err
}

// patience is how long the probe waits for the last replies.
const patience = 2 * time.Second

// run asks the questions in turn, one each interval, count in all or until ctx
// is done, and returns how many it asked.
func (p *probe) run(ctx context.Context, cpus []int, count int, interval time.Duration, questions []string) (asked int, err error) {
	queries := make([][]byte, len(questions))
	for i, text := range questions {
		name, typ, _ := strings.Cut(text, " ")
		q := new(dns.Msg).SetQuestion(name, dns.StringToType[typ])
		if queries[i], err = q.Pack(); err != nil {
			return 0, err
		}
	}
	var running errgroup.Group
	running.Go(func() error {
		p.read()
		return nil
	})
	running.Go(func() (err error) {
		err = placed(cpus, func() (err error) {
			asked, err = p.send(ctx, queries, count, interval)
			return err
		})
		for end := time.Now().Add(patience); p.answered() < asked && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		_ = p.conn.SetReadDeadline(time.Now())
		return err
	})
	err = running.Wait()
	p.conn.Close()
	return asked, err
}

func (p *probe) answered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.took)
}

// placed runs f on a thread of these CPUs which the generator does not hold up.
// Then the thread becomes what it was: it must not end, as the kernel would end
// with it what was started from it (PR_SET_PDEATHSIG).
func placed(cpus []int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before)
	// Where real-time priority is refused, the tail has the generator's delays in it.
	if unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0) == nil {
		defer unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
	}
	return f()
}

// send asks at its times, whatever comes back.
func (p *probe) send(ctx context.Context, queries [][]byte, count int, interval time.Duration) (asked int, err error) {
	next := time.Now()
	for asked < count && ctx.Err() == nil {
		if wait := time.Until(next); wait > 0 {
			t := unix.NsecToTimespec(wait.Nanoseconds())
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil)
		}
		next = next.Add(interval)
		id := uint16(asked)
		q := queries[asked%len(queries)]
		binary.BigEndian.PutUint16(q, id)
		p.mu.Lock()
		p.numbers[id], p.sent[id] = asked, time.Now().UnixNano()
		p.mu.Unlock()
		if _, err := p.conn.Write(q); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return asked, err
		}
		asked++
	}
	return asked, nil
}

// read notes replies until the socket's deadline.
func (p *probe) read() {
	data, control := make([]byte, 4096), make([]byte, 128)
	for {
		n, controlled, _, _, err := p.conn.ReadMsgUDPAddrPort(data, control)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return
		}
		var m dns.Msg
		at := arrived(control[:controlled])
		if n < 12 || m.Unpack(data[:n]) != nil || m.Rcode != dns.RcodeSuccess {
			continue
		}
		p.mu.Lock()
		number := p.numbers[m.Id]
		p.took[number] = time.Duration(at - p.sent[m.Id])
		p.aged[number] = len(m.Answer) > 0 && m.Answer[0].Header().Ttl < ttl
		p.mu.Unlock()
	}
}

// arrived is when the kernel noted a datagram, in nanoseconds of Unix time.
func arrived(control []byte) int64 {
	messages, err := unix.ParseSocketControlMessage(control)
	if err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				return int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
			}
		}
	}
	return time.Now().UnixNano()
}

// never is how long a question took that was not answered.
const never = time.Hour

// quantiles returns the times within which parts of the questions were
// answered, in microseconds; where a part was not, it is never.
func (p *probe) quantiles(asked int, parts ...float64) []float64 {
	times := make([]time.Duration, asked)
	for i := range times {
		times[i] = never
		if t, ok := p.took[i]; ok {
			times[i] = t
		}
	}
	slices.Sort(times)
	all := make([]float64, len(parts))
	for i, part := range parts {
		all[i] = float64(times[min(asked-1, int(part*float64(asked)))].Nanoseconds()) / 1000
	}
	return all
}

// kept is the share, in percent, of the questions in a range whose answer was
// not fetched for them: its TTL was less than the authority's.
func (p *probe) kept(from, to int) float64 {
	count := 0
	for i := from; i < to; i++ {
		if p.aged[i] {
			count++
		}
	}
	return 100 * float64(count) / float64(to-from)
}

// unanswered is the share, in percent, of the questions in a range that got no
// answer.
func (p *probe) unanswered(from, to int) float64 {
	count := 0
	for i := from; i < to; i++ {
		if _, ok := p.took[i]; !ok {
			count++
		}
	}
	return 100 * float64(count) / float64(to-from)
}
