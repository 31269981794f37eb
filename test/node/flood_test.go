//go:build linux

package node

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What a node may have grown by when the flood is over.
const (
	// moreMemory, in octets: the caches of answers and failures may fill
	// meanwhile, with 20 MiB here. 100,000 packets were seen to cost 3 MiB.
	moreMemory = 32 << 20
	// moreGoroutines and moreFiles: those of questions and connections that
	// have not ended yet.
	moreGoroutines, moreFiles = 16, 16
	// calmLimit bounds the wait for that; a connection may idle for 10 s.
	calmLimit = time.Minute
)

// spoilt is how many spoilt packets are sent by each transport.
func spoilt() int {
	if full() {
		return 100_000
	}
	return 10_000
}

// loopback is where a node without a configuration file listens.
var loopback = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5300"), netip.MustParseAddrPort("[::1]:5300")}

func TestNode_survivesSpoiltPackets(t *testing.T) {
	tests := []struct {
		network string
		send    func(f *flood, to netip.AddrPort, count int) error
	}{
		{"udp", (*flood).sendDatagrams},
		{"tcp", (*flood).sendStreams},
	}
	for _, tt := range tests {
		t.Run(tt.network, func(t *testing.T) {
			n := mustAlone(t)
			file := n.mustWrite(t, "proxima.yaml", "node: {id: node1}\ncache: {memory: 16MiB}\n")
			n.mustStart(t, command("proxima", "serve", "-c", file), loopback...)
			seed := rand.Uint64()
			f := &flood{node: n, r: rand.New(rand.NewPCG(seed, 2))}
			f.mustSend(t, tt.send, spoilt()/10) // to know what is usual
			before := f.mustWeigh(t)
			stop := f.watch(t)
			for range tries { // a node that stands still for a moment reads few datagrams of a quick flood
				if f.mustSend(t, tt.send, spoilt()); f.replies.Load() >= int64(spoilt()/20) {
					break
				}
			}
			stop()
			after := f.mustCalm(t, before)
			if replies := f.replies.Load(); replies < int64(spoilt()/20) {
				t.Errorf("only %d replies to %d packets: were they read at all?", replies, spoilt())
			}
			if strange := f.strange.Load(); strange != nil {
				t.Errorf("seed %d: a reply that is none: %x", seed, *strange)
			}
			t.Logf("%d packets, %d replies, %d canaries; before %v, after %v", spoilt(), f.replies.Load(), f.canaries.Load(), before, after)
			n.mustStop(t)
			if out := n.log.String(); crashed(out) {
				t.Errorf("seed %d: %s", seed, out)
			}
		})
	}
}

// A flood is the sender of spoilt packets.
type flood struct {
	*node
	r *rand.Rand // owned by the sender

	replies, canaries atomic.Int64
	strange           atomic.Pointer[[]byte] // a packet that is not a reply
}

func (f *flood) mustSend(t *testing.T, send func(*flood, netip.AddrPort, int) error, count int) {
	t.Helper()
	for _, to := range loopback {
		if err := send(f, to, count/len(loopback)); err != nil {
			t.Fatalf("%s: %v\n%s", to, err, f.log)
		}
	}
}

// packet returns a query with faults, or, seldom, without any sense or without
// any fault.
func (f *flood) packet() []byte {
	switch f.r.IntN(20) {
	case 0:
		noise := make([]byte, f.r.IntN(600))
		for i := range noise {
			noise[i] = byte(f.r.Uint32())
		}
		return noise
	case 1:
		return f.query()
	}
	return spoil(f.r, f.query())
}

// query returns a valid query of some kind.
func (f *flood) query() []byte {
	names := []string{"www.example.", ".", "id.server.", "a.b.c.d.e.f.g.example.", "localhost.", "1.2.0.192.in-addr.arpa.", strings.Repeat("x23456789.", 24) + "example."}
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeANY, dns.TypeTXT, dns.TypeDS, dns.TypeAXFR, dns.TypeHTTPS}
	q := new(dns.Msg).SetQuestion(names[f.r.IntN(len(names))], types[f.r.IntN(len(types))])
	if f.r.IntN(8) == 0 {
		q.Question[0].Qclass = dns.ClassCHAOS
	}
	q.RecursionDesired = f.r.IntN(8) > 0
	if f.r.IntN(2) == 0 {
		q.SetEdns0(uint16(f.r.Uint32()), f.r.IntN(2) == 0)
		opt := q.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	}
	packet, err := q.Pack()
	if err != nil {
		panic("node: " + err.Error())
	}
	return packet
}

// judge looks at what came back.
func (f *flood) judge(packet []byte, most int) {
	f.replies.Add(1)
	if len(packet) < 12 || len(packet) > most || packet[2]&0x80 == 0 {
		strange := append([]byte(nil), packet...)
		f.strange.CompareAndSwap(nil, &strange)
	}
}

// sendDatagrams sends in bursts that the node's socket has room for.
func (f *flood) sendDatagrams(to netip.AddrPort, count int) error {
	conn, err := f.dial("udp", to)
	if err != nil {
		return err
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			f.judge(buf[:n], payloadSize)
		}
	})
	const burst = 50
	for i := range count {
		if _, err = conn.Write(f.packet()); err != nil {
			break
		}
		if i%burst == burst-1 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(100 * time.Millisecond) // for the last replies
	conn.Close()
	reader.Wait()
	return err
}

// sendStreams sends some packets on each of many connections and ends each in
// another bad manner.
func (f *flood) sendStreams(to netip.AddrPort, count int) error {
	const each = 10 // the first that deserves no reply ends the connection
	for sent := 0; sent < count; sent += each {
		if err := f.sendStream(to, each); err != nil {
			return err
		}
	}
	return nil
}

// sendStream errs only if it cannot connect: the node may end a connection that
// sends nonsense at any moment.
func (f *flood) sendStream(to netip.AddrPort, count int) error {
	conn, err := f.dial("tcp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	var out []byte
	for range count {
		p := f.packet()
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(p))), p...)
	}
	tcp := conn.(*net.TCPConn)
	switch f.r.IntN(5) {
	case 0: // a frame that never ends
		out = append(binary.BigEndian.AppendUint16(out, 0xffff), 1, 2, 3)
	case 1: // frames of no octets, and half of a length
		out = append(out, 0, 0, 0, 0, 0)
	case 2: // lengths that lie
		out = spoil(f.r, out)
	case 3: // cut off
		out = out[:f.r.IntN(len(out))]
	case 4: // a client that vanishes: RST
		_ = tcp.SetLinger(0)
		_, _ = conn.Write(out)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write(out); err != nil {
		return nil
	}
	if f.r.IntN(2) == 0 {
		_ = tcp.CloseWrite()
	} else { // replies to the first ones, then gone
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	}
	f.readStream(conn)
	return nil
}

// readStream judges replies until the end of the connection, or its deadline.
func (f *flood) readStream(conn net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(buf))
		if _, err := io.ReadFull(conn, buf[:n]); err != nil {
			return
		}
		f.judge(buf[:n], dns.MaxMsgSize)
	}
}

func (f *flood) dial(network string, to netip.AddrPort) (conn net.Conn, err error) {
	err = f.Do(func() error {
		conn, err = net.DialTimeout(network, to.String(), startLimit)
		return err
	})
	return conn, err
}

// watch asks the node who it is all the while, until the returned function is
// called.
func (f *flood) watch(t *testing.T) (stop func()) {
	quit := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for i := 0; ; i++ {
			to, network := loopback[i%2], []string{"udp", "tcp"}[i/2%2]
			if err := f.answers(f.Host, network, to); err != nil {
				t.Errorf("during the flood: %v", err)
				return
			}
			f.canaries.Add(1)
			select {
			case <-quit:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return func() { close(quit); watcher.Wait() }
}

// A weight is what a process holds.
type weight struct {
	memory            int64 // octets, resident
	goroutines, files int
}

func (w weight) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d files", w.memory>>20, w.goroutines, w.files)
}

func (f *flood) mustWeigh(t *testing.T) weight {
	t.Helper()
	w, err := f.weigh()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (f *flood) weigh() (w weight, err error) {
	page, err := get(f.Host, "http://127.0.0.1:9153/metrics")
	if err != nil {
		return w, err
	}
	goroutines, err := metric(page, "go_goroutines")
	if err != nil {
		return w, err
	}
	w.goroutines = int(goroutines)
	proc := fmt.Sprintf("/proc/%d/", f.proxima.Process.Pid)
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return w, err
	}
	w.files = len(files)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return w, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	w.memory, err = strconv.ParseInt(kib, 10, 64)
	w.memory <<= 10
	return w, err
}

// mustCalm waits until the node holds hardly more than before, and answers.
func (f *flood) mustCalm(t *testing.T, before weight) (after weight) {
	t.Helper()
	await(t, calmLimit, "calm after the flood", func() (err error) {
		if after, err = f.weigh(); err != nil {
			return err
		}
		if after.goroutines > before.goroutines+moreGoroutines || after.files > before.files+moreFiles || after.memory > before.memory+moreMemory {
			return fmt.Errorf("before %v, now %v", before, after)
		}
		return nil
	})
	for _, to := range loopback {
		for _, network := range []string{"udp", "tcp"} {
			if err := f.answers(f.Host, network, to); err != nil {
				t.Errorf("after the flood: %v", err)
			}
		}
	}
	return after
}
