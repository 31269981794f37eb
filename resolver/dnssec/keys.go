package dnssec

import "time"

// Keys are the keys of one zone that its parent's DS set, or an anchor, vouches
// for, parsed once. They never change, and many goroutines may use them.
type Keys struct {
	zone    name
	keys    []key
	expires time.Time
}

// Zone returns the zone's name in lower case, "" if there are no keys.
func (k Keys) Zone() string {
	if k.Empty() {
		return ""
	}
	return k.zone.String()
}

// Empty reports whether nothing can be verified with the keys.
func (k Keys) Empty() bool { return len(k.keys) == 0 }

// Expires returns when the zone has to be asked for its keys again.
func (k Keys) Expires() time.Time { return k.expires }

// A key is one public key.
type key struct {
	tag       uint16
	algorithm uint8

	// price is what verifying one signature costs, in tenths of a unit.
	price int

	// verify judges one signature over the signed octets. It is nil if the key
	// is of a shape that is not supported.
	verify func(signed, signature []byte) bool
}
