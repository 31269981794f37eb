package upstream

import "sync/atomic"

// counters are what Stats reads.
type counters struct {
	datagrams, streams, replies, truncated atomic.Uint64
	timeouts, cancelled, failed, busy      atomic.Uint64
	connects, reused, resent               atomic.Uint64
	evicted, crowded                       atomic.Uint64
	suspicious, wrongAddress, icmp         atomic.Uint64
	verdicts                               [verdicts]atomic.Uint64 // on what arrived
}

// Stats are a client's counters since it was made.
type Stats struct {
	Connections int    // TCP connections open now
	InFlight    int    // questions under way now
	Cookies     int    // servers whose cookie is known
	Datagrams   uint64 // questions sent over UDP
	Streams     uint64 // questions sent over TCP
	Replies     uint64 // exchanges that ended with a reply
	Truncated   uint64 // of these, replies that were truncated

	Connects uint64 // TCP connections begun
	Reused   uint64 // questions that joined one that was there
	Resent   uint64 // of these, questions that met its end and were asked again
	Evicted  uint64 // ended without a reply for another server's sake, since all were in use
	Crowded  uint64 // not begun, since the server has as many as one may have

	Timeouts   uint64 // exchanges that ended without a reply in time
	Cancelled  uint64 // exchanges that the caller gave up
	Failed     uint64 // exchanges that the network refused
	Busy       uint64 // exchanges that found no free socket in time
	Suspicious uint64 // exchanges that ended with ErrSuspicious

	WrongAddress  uint64 // packets ignored for where they came from
	WrongID       uint64 // packets with another ID: forged, or too late
	WrongCase     uint64 // packets whose question has letters in another case
	WrongQuestion uint64 // packets ignored for their question
	WrongCookie   uint64 // packets ignored because their cookie is not ours
	NoCookie      uint64 // replies without the cookie that was due
	Malformed     uint64 // packets that are no replies or cannot be read: ignored over UDP, the end over TCP
	ICMP          uint64 // errors that the network reported while waiting, all ignored
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	return Stats{
		InFlight:      len(c.slots),
		Cookies:       c.jar.known.Len(),
		Connections:   c.pool.size(),
		Connects:      c.count.connects.Load(),
		Reused:        c.count.reused.Load(),
		Resent:        c.count.resent.Load(),
		Evicted:       c.count.evicted.Load(),
		Crowded:       c.count.crowded.Load(),
		Datagrams:     c.count.datagrams.Load(),
		Streams:       c.count.streams.Load(),
		Replies:       c.count.replies.Load(),
		Truncated:     c.count.truncated.Load(),
		Timeouts:      c.count.timeouts.Load(),
		Cancelled:     c.count.cancelled.Load(),
		Failed:        c.count.failed.Load(),
		Busy:          c.count.busy.Load(),
		Suspicious:    c.count.suspicious.Load(),
		WrongAddress:  c.count.wrongAddress.Load(),
		WrongID:       c.count.verdicts[wrongID].Load(),
		WrongCase:     c.count.verdicts[wrongCase].Load(),
		WrongQuestion: c.count.verdicts[wrongQuestion].Load(),
		WrongCookie:   c.count.verdicts[wrongCookie].Load(),
		NoCookie:      c.count.verdicts[noCookie].Load(),
		Malformed:     c.count.verdicts[malformed].Load(),
		ICMP:          c.count.icmp.Load(),
	}
}
