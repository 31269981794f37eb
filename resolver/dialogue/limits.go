package dialogue

import "time"

// What one question may cost. None of this is configurable. Together these make
// at most five exchanges with one server, whatever it replies.
const (
	// maxDatagrams bounds the exchanges over UDP of one question with one server.
	// 3: one packet lost, or one server without EDNS, and one more. BIND stops at
	// 5, after CVE-2026-5950.
	maxDatagrams = 3

	// maxStreams bounds those over TCP. 2: a server without EDNS may be one that
	// is asked over TCP alone. One that came to nothing is not repeated, but at
	// servers that the operator has asked over TCP alone.
	maxStreams = 2
)

// Times.
const (
	// streamTimeout bounds one exchange over TCP: three round trips to a far
	// server, one of them lost.
	streamTimeout = 1500 * time.Millisecond

	// plainLife is how long a server that knows no EDNS is asked without. A
	// minute, so that a forged FORMERR does little (CVE-2026-52690).
	plainLife = time.Minute

	// ednsLife is how long a server that was heard to know EDNS is never taken for
	// one that does not. An hour: longer than packets get lost in a row, shorter
	// than servers are exchanged for others.
	ednsLife = time.Hour

	// lowerLife is how long a server that changes the letter case of names is asked
	// in lower case. An hour costs it one question in TCP an hour; nobody else can
	// bring it there.
	lowerLife = time.Hour

	// deafLife is how long a server that was silent over UDP, twice, and replied
	// over TCP is asked there at once. A minute: it may be a path that loses much.
	deafLife = time.Minute
)

// serverTableSize is how many servers are remembered, about 250 octets each: as
// many as selection does.
const serverTableSize = 65_536
