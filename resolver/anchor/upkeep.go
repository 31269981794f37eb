package anchor

import (
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	// holdDown is how long a new key must be there before it is trusted, and a
	// revoked one is remembered: RFC 5011 sections 2.4.1 and 2.4.2. It is the
	// time that the owner of a stolen key has to revoke it.
	holdDown = 30 * 24 * time.Hour

	// minInterval, maxInterval and maxRetry bound when the zone is asked for its
	// keys again: RFC 5011 section 2.3.
	minInterval = time.Hour
	maxInterval = 15 * 24 * time.Hour
	maxRetry    = 24 * time.Hour

	// maxTracked bounds the keys of a zone that are kept in mind. 32: as many as
	// are looked at in one set. New ones are passed over when it is reached.
	maxTracked = 32

	// maxKeyText bounds the text of a key that is tracked, so that all of them
	// fit into the state file. RSA-4096 has 700 octets, ML-DSA-44 1,750.
	maxKeyText = 1900
)

// A State is what has become of a key, RFC 5011 section 4.2. A key that is not
// tracked is in the state that the RFC calls Start.
type State uint8

const (
	AddPend State = iota // it is new, and waits for its time
	Valid                // it is trusted
	Missing              // it is trusted, and was not in the set last seen
	Revoked              // it has said itself that it must not be trusted any more
	Removed              // it was revoked long ago, and must not come back
)

var stateNames = [...]string{"pending", "valid", "missing", "revoked", "removed"}

// String returns the state as the state file writes it.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", s)
	}
	return stateNames[s]
}

// A Key is one key of the zone that is kept in mind. It never changes.
type Key struct {
	DNSKEY *dns.DNSKEY // without REVOKE
	State  State
	Since  time.Time
	Until  time.Time // AddPend: when it may be trusted; Revoked: when it is removed; else zero
}

// An Upkeep keeps the trust anchors of one zone up to date, as the zone changes
// its keys. It is a value: After returns the next one.
type Upkeep struct {
	Zone    string    // in lower case, with the final dot
	Anchors []*dns.DS // what the operator trusts, or what is built in
	Keys    []Key     // what the zone has shown since

	Next  time.Time     // when the zone is to be asked for its keys; zero: now
	Retry time.Duration // how long to wait if that fails
}

// Begin returns the Upkeep of a zone of which nothing but anchors, some of them
// its own, is known.
func Begin(zone string, anchors []*dns.DS) Upkeep {
	u := Upkeep{Zone: dns.CanonicalName(zone), Retry: minInterval}
	for _, a := range anchors {
		if a.Hdr.Name == u.Zone {
			u.Anchors = append(u.Anchors, a)
		}
	}
	return u
}

// Due returns when the zone is to be asked for its keys, as of a time: Next, but
// as if no later than maxInterval from then. Had the clock been ahead when Next
// was written, the zone would not be asked for years.
func (u Upkeep) Due(at time.Time) time.Time {
	if latest := at.Add(maxInterval); u.Next.After(latest) {
		return latest
	}
	return u.Next
}

// A Sighting is the DNSKEY set of the zone as its servers gave it. The zero
// value is that they gave none.
type Sighting struct {
	Keys  []*dns.DNSKEY
	Sigs  []*dns.RRSIG
	Valid bool // a key that is trusted has signed the set, for this time

	// Revoked are those of Keys that say so and have signed the set, for this time.
	Revoked []*dns.DNSKEY
}

// Trusted returns the anchors by which the zone's keys are to be judged now: the
// keys that have earned trust, and anchors whose key has not been seen. It is
// empty if all have been revoked; then the zone has no anchor any more, RFC 5011
// section 5.
func (u Upkeep) Trusted() []*dns.DS {
	var trusted []*dns.DS
	for _, a := range u.Anchors {
		if !slices.ContainsFunc(u.Keys, func(k Key) bool { return k.gone() && vouches(a, k.DNSKEY) }) {
			trusted = append(trusted, a)
		}
	}
	for _, k := range u.Keys {
		if !k.trusted() || u.anchored(k.DNSKEY) {
			continue
		}
		if ds, err := dsOf(k.DNSKEY); err == nil {
			trusted = append(trusted, ds)
		}
	}
	return trusted
}

// Same reports whether two are of one key, whatever has become of it.
func (k Key) Same(other Key) bool { return sameKey(k.DNSKEY, other.DNSKEY) }

func (k Key) trusted() bool { return k.State == Valid || k.State == Missing }

func (k Key) gone() bool { return k.State == Revoked || k.State == Removed }

// anchored reports whether one of the Anchors vouches for a key.
func (u Upkeep) anchored(k *dns.DNSKEY) bool {
	return slices.ContainsFunc(u.Anchors, func(a *dns.DS) bool { return vouches(a, k) })
}

// After returns the Upkeep after the zone was asked for its keys at a time.
// Without a Valid set nothing is believed but that a key revokes itself, which
// it proves itself: RFC 5011 section 2.1.
func (u Upkeep) After(s Sighting, at time.Time) Upkeep {
	tracked := make([]Key, 0, len(u.Keys))
	for _, k := range u.Keys {
		if k, keep := u.step(k, s, at); keep {
			tracked = append(tracked, k)
		}
	}
	u.Keys = tracked
	if s.Valid {
		u.Retry = within(s.life(at)/10, maxRetry)
		u.Next = at.Add(within(s.life(at)/2, maxInterval))
		u.welcome(s, at)
	} else {
		u.Next = at.Add(within(u.Retry, maxRetry))
	}
	return u
}

// step returns what becomes of a key: the table of RFC 5011 section 4.1. It is
// not kept if it is to be forgotten.
func (u Upkeep) step(k Key, s Sighting, at time.Time) (next Key, keep bool) {
	present, revoked := s.shows(k.DNSKEY)
	switch k.State {
	case AddPend:
		switch {
		case revoked, s.Valid && !present:
			return k, false
		case s.Valid && (!at.Before(k.Until) || u.anchored(k.DNSKEY)):
			return k.become(Valid, at), true
		}
		// Had the clock been ahead, the wait would not end.
		if latest := at.Add(s.holdDown()); k.Until.After(latest) {
			k.Until = latest
		}
	case Valid, Missing:
		switch {
		case revoked:
			k = k.become(Revoked, at)
			k.Until = at.Add(holdDown)
		case s.Valid && present && k.State == Missing:
			k = k.become(Valid, at)
		case s.Valid && !present && k.State == Valid:
			k = k.become(Missing, at)
		}
	case Revoked:
		if !at.Before(k.Until) {
			k = k.become(Removed, at)
		}
	}
	return k, true
}

// become returns the key in another state.
func (k Key) become(s State, at time.Time) Key {
	return Key{DNSKEY: k.DNSKEY, State: s, Since: at}
}

// welcome takes in the keys that are new in a valid set: as trusted if they have
// an anchor, else to wait. Only keys for signing keys count, RFC 5011 section 2.
func (u *Upkeep) welcome(s Sighting, at time.Time) {
	for _, k := range s.Keys {
		const need = dns.ZONE | dns.SEP
		anchored := u.anchored(k)
		if k.Flags&dns.REVOKE != 0 || k.Protocol != 3 || k.Flags&need != need && !anchored || len(k.PublicKey) > maxKeyText {
			continue
		}
		if len(u.Keys) == maxTracked || slices.ContainsFunc(u.Keys, func(t Key) bool { return sameKey(t.DNSKEY, k) }) {
			continue
		}
		k = dns.Copy(k).(*dns.DNSKEY)
		k.Hdr.Name = u.Zone
		key := Key{DNSKEY: k, State: AddPend, Since: at, Until: at.Add(s.holdDown())}
		if anchored {
			key = key.become(Valid, at)
		}
		u.Keys = append(u.Keys, key)
	}
}

// shows reports whether a key is in the set, and whether it is there to revoke
// itself, with its own signature.
func (s Sighting) shows(k *dns.DNSKEY) (present, revoked bool) {
	for _, seen := range s.Keys {
		switch {
		case !sameKey(seen, k):
		case seen.Flags&dns.REVOKE == 0:
			present = true
		default:
			revoked = revoked || slices.Contains(s.Revoked, seen)
		}
	}
	return present, revoked
}

// holdDown returns how long a key that is new in the set has to wait: RFC 5011
// section 2.4.1.
func (s Sighting) holdDown() time.Duration {
	ttl := uint32(0)
	for _, sig := range s.Sigs {
		ttl = max(ttl, sig.OrigTtl)
	}
	return max(holdDown, time.Duration(ttl)*time.Second)
}

// life returns how long the set is good for: its original TTL or until its first
// signature ends, whichever is less.
func (s Sighting) life(at time.Time) time.Duration {
	life := maxInterval * 2
	for _, sig := range s.Sigs {
		if sig.ValidityPeriod(at) {
			left := int32(sig.Expiration - uint32(at.Unix())) // in serial arithmetic, RFC 4034 section 3.1.5
			life = min(life, time.Duration(sig.OrigTtl)*time.Second, time.Duration(left)*time.Second)
		}
	}
	return life
}

// within brings an interval between minInterval and its most.
func within(d, most time.Duration) time.Duration { return max(minInterval, min(d, most)) }

// sameKey reports whether two records are of one key, revoked or not.
func sameKey(a, b *dns.DNSKEY) bool {
	return a.Flags&^dns.REVOKE == b.Flags&^dns.REVOKE && a.Protocol == b.Protocol &&
		a.Algorithm == b.Algorithm && a.PublicKey == b.PublicKey
}
