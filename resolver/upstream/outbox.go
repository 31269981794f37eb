package upstream

import "runtime"

// lonely is below how many questions under way each is sent at once: 8. A node
// that has no more to do has time for each of them. Of more, those that can be
// asked at the same time are sent in a burst: to wake a server costs the kernel
// more than the datagram that does it, and one burst wakes it once.
const lonely = 8

// Where the packet of a socket is.
const (
	notQueued uint32 = iota
	queued           // who waits for the reply may take it back
	sending
	sent // sendErr is set
)

// dispatch sends packet from s, now or in a moment. What is wrong then is told
// by wake and sendErr.
func (c *Client) dispatch(s *socket, packet []byte) error {
	if len(c.slots) < lonely {
		return s.send(packet)
	}
	s.packet = packet
	s.state.Store(queued)
	c.outbox.Put(s)
	return nil
}

// sendAll sends the packets of sockets, but for those that were taken back.
func sendAll(sockets []*socket) {
	for _, s := range sockets {
		if !s.state.CompareAndSwap(queued, sending) {
			continue
		}
		err := s.send(s.packet)
		s.sendErr = err
		s.state.Store(sent) // from here on s may be another's
		if err != nil {
			s.wake()
		}
	}
}

// takeBack ends the wait for s being sent.
func (s *socket) takeBack() {
	s.state.CompareAndSwap(queued, notQueued)
	for s.state.Load() == sending {
		runtime.Gosched()
	}
}
