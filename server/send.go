package server

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writeChunk is the number of octets that a client has to take within Stall.
// 16 KiB, not configurable: a quarter of the kernel's room, so that a client
// which reads slowly but steadily is not cut off.
const writeChunk = 16 << 10

// What a connection that the server closes may still send, unread: closing
// with octets unread would reset it, and the reset may overtake the last
// replies (RFC 1122 section 4.2.2.13). 500 ms and 1 MiB, not configurable.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// flush hands the known answers to send.
func (c *conn) flush() {
	if len(c.out) > 0 {
		c.send(c.out)
		c.out = c.out[:0]
	}
}

// send writes replies, which carry their prefixes, or leaves a copy to the one
// who is writing. It keeps nothing of replies.
func (c *conn) send(replies []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed || len(replies) == 0:
		return
	case c.writing && len(c.pending)+len(replies) > c.server.o.MaxUnsent:
		c.fail(errStalled)
		return
	case c.writing:
		c.pending = append(c.pending, replies...)
		return
	}
	c.writing = true
	for len(replies) > 0 && !c.failed {
		c.mu.Unlock()
		err := c.write(replies)
		c.mu.Lock()
		if err != nil {
			c.fail(err)
		}
		replies, c.pending = c.pending, nil
		c.changed.Broadcast()
	}
	c.writing = false
	c.changed.Broadcast()
}

// write writes octets in chunks, each of which the client has to take within
// Stall.
func (c *conn) write(octets []byte) error {
	for len(octets) > 0 {
		chunk := octets[:min(len(octets), writeChunk)]
		c.tcp.SetWriteDeadline(time.Now().Add(c.server.o.Stall))
		if _, err := c.tcp.Write(chunk); err != nil {
			return err
		}
		octets = octets[len(chunk):]
	}
	return nil
}

// fail ends c because err kept its replies from leaving. The caller holds mu.
func (c *conn) fail(err error) {
	if c.failed {
		return
	}
	c.failed = true
	c.cancel()
	if err == errStalled || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.ETIMEDOUT) {
		c.server.streams.stalled.Add(1)
	}
	c.tcp.SetLinger(0) // frees what the kernel holds for it
	c.tcp.Close()
	c.changed.Broadcast()
}

// isFull reports whether c may not take another query. The caller holds mu.
func (c *conn) isFull() bool {
	return c.inflight >= c.server.o.MaxPipelined || len(c.pending) > c.server.o.MaxUnsent/2
}

// awaitRoom waits until c may take another query. It returns false if that
// will not be.
func (c *conn) awaitRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isFull() {
		c.server.streams.paused.Add(1)
		c.mu.Unlock()
		c.flush()
		c.mu.Lock()
	}
	for c.isFull() && !c.failed {
		c.changed.Wait()
	}
	return !c.failed
}

// settle waits until nothing is in flight or being written.
func (c *conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.inflight > 0 || c.writing {
		c.changed.Wait()
	}
}

// linger says goodbye and drops what the client still sends, until it is
// silent or has closed too.
func (c *conn) linger() {
	c.tcp.CloseWrite()
	c.tcp.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.tcp, lingerBytes)
}
