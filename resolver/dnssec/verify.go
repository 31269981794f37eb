package dnssec

import "time"

// Signed is what a verified signature says beyond "genuine".
type Signed struct {
	// Wildcard is the name that the set was expanded from, "*.zone.", and ""
	// if it was not. Then only half is proven: that the owner itself, and every
	// name between, does not exist needs a denial. NSEC and NSEC3 that were
	// expanded deny nothing.
	Wildcard string

	// Until is when the signature ends.
	Until time.Time

	// TTL, in seconds, caps how long the set may be kept: RFC 4035 section 5.3.3.
	TTL uint32
}
