//go:build linux

package node

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// priced is how many queries a price is taken from.
	priced = 40
	// trapEvery lies between two queries for a trap while cached names are asked
	// for, one each canaryEvery.
	trapEvery, canaryEvery = 50 * time.Millisecond, time.Millisecond
	// canaryPatience bounds the wait for the last answers from the cache.
	canaryPatience = 2 * time.Second
	// cachedName has an address, below the same signed root as the traps.
	cachedName = "www.any.example."
)

// canaryTime is how long cached names are asked for.
func canaryTime() time.Duration {
	if full() {
		return 10 * time.Second
	}
	return time.Second
}

// processor returns the time that proxima has used of the processors, in user mode
// and in the kernel, to the nanosecond: /proc counts in ticks of 10 ms.
func (n *node) processor(t *testing.T) time.Duration {
	t.Helper()
	const sched = 2 // CPUCLOCK_SCHED of a process, clock_getcpuclockid(3)
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^n.proxima.Process.Pid<<3|sched), &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// idle returns what the node costs without a query, in a second.
func (n *node) idle(t *testing.T) time.Duration {
	t.Helper()
	before := n.processor(t)
	time.Sleep(time.Second)
	return n.processor(t) - before
}

// price returns what a query costs the node, less what idling does, and the
// longest time that a client waited.
func (n *node) price(t *testing.T, idle time.Duration, ask func() error) (each, longest time.Duration) {
	t.Helper()
	before, began := n.processor(t), time.Now()
	for range priced {
		sent := time.Now()
		if err := ask(); err != nil {
			t.Fatalf("%v\n%s", err, n.log)
		}
		longest = max(longest, time.Since(sent))
	}
	return (n.processor(t) - before - idle*time.Since(began)/time.Second) / priced, longest
}

// askCached asks for a cached name at a steady pace, and returns how long the
// answers took, shortest first, and how many did not come.
func (n *node) askCached(lasting time.Duration) (took []time.Duration, lost int, err error) {
	packet, err := new(dns.Msg).SetQuestion(cachedName, dns.TypeA).Pack()
	if err != nil {
		return nil, 0, err
	}
	conn, err := n.Dial(context.Background(), "udp", loopback[0].String())
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(lasting + canaryPatience)); err != nil {
		return nil, 0, err
	}
	sent := make([]atomic.Int64, lasting/canaryEvery) // by ID, since began
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, payloadSize)
		for len(took) < len(sent) {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			if id := int(binary.BigEndian.Uint16(buf)); size > len(packet) && id < len(sent) { // longer: it has an answer
				took = append(took, time.Since(began)-time.Duration(sent[id].Load()))
			}
		}
	})
	for id := range sent {
		time.Sleep(time.Until(began.Add(time.Duration(id) * canaryEvery)))
		binary.BigEndian.PutUint16(packet, uint16(id))
		sent[id].Store(int64(time.Since(began)))
		if _, err = conn.Write(packet); err != nil {
			break
		}
	}
	reader.Wait()
	slices.Sort(took)
	return took, len(sent) - len(took), err
}

// every asks again and again, whether or not the last reply has come, until
// the returned function is called, which waits for the last one.
func every(t *testing.T, pause time.Duration, ask func() error) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for ticker := time.NewTicker(pause); ; {
			select {
			case <-quit:
				ticker.Stop()
				return
			case <-ticker.C:
				running.Go(func() {
					if err := ask(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
	return func() { close(quit); running.Wait() }
}
