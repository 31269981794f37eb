package bgpctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// ProtocolVersion is the version of Lease and Reply. A field may be added to
// either without a new version; the meaning of one may not change without it.
const ProtocolVersion = 2

// MaxDatagram bounds a Lease or a Reply, in octets: MaxPrefixes of the longest
// form, twice the longest reason and the rest fit. A longer one is garbage.
const MaxDatagram = 8192

// MaxPrefixes bounds the prefixes of one lease. An anycast service has a
// handful; 64 fit into a datagram.
const MaxPrefixes = 64

// maxText bounds each text of a datagram, in octets: enough for an error of
// the kernel and a name, and 4 of them fit beside MaxPrefixes.
const maxText = 256

// A Wish is what a node wants of its announcement.
type Wish uint8

const (
	Down  Wish = iota // announce nothing
	Up                // announce
	Drain             // send clients elsewhere first, then announce nothing
)

var wishes = [...]string{Down: "down", Up: "up", Drain: "drain"}

// String returns the wish as it stands in a datagram.
func (w Wish) String() string { return nameOf(wishes[:], int(w)) }

// MarshalText is String, for encoding/json.
func (w Wish) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText accepts down, up and drain.
func (w *Wish) UnmarshalText(text []byte) error {
	n, err := indexOf(wishes[:], string(text))
	*w = Wish(n)
	return err
}

// A Class is the kind of a fault, which decides the verb: only a fault of this
// node alone may take its route away.
type Class uint8

const (
	Sound     Class = iota // no fault
	HardLocal              // the node cannot answer
	SoftLocal              // the node answers worse than others would
	Upstream               // the Internet behind the node is out of reach
	Shared                 // every node may have it: data that all of them read
)

var classes = [...]string{Sound: "sound", HardLocal: "hard-local", SoftLocal: "soft-local", Upstream: "upstream", Shared: "shared"}

// Classes lists all classes in their order: Sound, and then the worst first.
func Classes() []Class { return []Class{Sound, HardLocal, SoftLocal, Upstream, Shared} }

// String returns the class as it stands in a datagram.
func (c Class) String() string { return nameOf(classes[:], int(c)) }

// MarshalText is String, for encoding/json.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts the names of the classes.
func (c *Class) UnmarshalText(text []byte) error {
	n, err := indexOf(classes[:], string(text))
	*c = Class(n)
	return err
}

// A State is what the sidecar does with the announcement. Package
// sidecar/state has the picture.
type State uint8

const (
	Init        State = iota // nothing is announced: no lease has come yet
	Warmup                   // nothing is announced yet: leases are watched for a while
	Announced                // announced with the attributes of every day
	Degraded                 // announced with attributes that send traffic elsewhere
	Held                     // the same, and it would be withdrawn if another node were known to announce
	Draining                 // the same, until the traffic has gone
	Withdrawn                // nothing is announced
	Maintenance              // nothing is announced until an operator says so
	Frozen                   // what was announced stays so until an operator says so
)

var states = [...]string{
	Init: "INIT", Warmup: "WARMUP", Announced: "ANNOUNCED", Degraded: "DEGRADED", Held: "HELD", Draining: "DRAINING",
	Withdrawn: "WITHDRAWN", Maintenance: "MAINTENANCE", Frozen: "FROZEN",
}

// StateCount is how many states there are.
const StateCount = int(Frozen) + 1

// States lists all states in their order.
func States() []State {
	all := make([]State, StateCount)
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// String returns the state as it stands in a datagram.
func (s State) String() string { return nameOf(states[:], int(s)) }

// MarshalText is String, for encoding/json.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts the names of the states.
func (s *State) UnmarshalText(text []byte) error {
	n, err := indexOf(states[:], string(text))
	*s = State(n)
	return err
}

func nameOf(names []string, n int) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("unknown (%d)", n)
}

func indexOf(names []string, name string) (int, error) {
	for n := range names {
		if names[n] == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is none of %q", name, names)
}

// A Lease is the datagram by which a node says what it wants, for TTL from the
// moment of receipt. The process that sends it is known by BootID, PID and
// Start; within one process Seq grows.
type Lease struct {
	Version  int            `json:"v"`
	BootID   string         `json:"boot_id"`
	PID      int            `json:"pid"`
	Start    int64          `json:"start"` // any number that a later process with the same PID does not have
	Seq      uint64         `json:"seq"`
	TTL      int64          `json:"ttl_ms"`
	Wish     Wish           `json:"wish"`
	Check    string         `json:"check,omitempty"` // as Wanted.Check
	Class    Class          `json:"class"`           // of the check's fault
	Reason   string         `json:"reason,omitempty"`
	Answers  bool           `json:"answers"` // as Wanted.Answers
	Prefixes []netip.Prefix `json:"prefixes"`
	Queries  uint64         `json:"queries"`
}

// A Reply is the sidecar's answer to the lease with the same Seq.
type Reply struct {
	Version    int            `json:"v"`
	Seq        uint64         `json:"seq"`
	State      State          `json:"state"`
	Since      time.Time      `json:"since"` // when State was entered
	Reason     string         `json:"reason,omitempty"`
	Announced  []netip.Prefix `json:"announced"`             // what the speaker has confirmed
	SessionsUp int            `json:"sessions_up,omitempty"` // BGP sessions that are established
	Sessions   int            `json:"sessions,omitempty"`    // of so many; 0 = the speaker has none, or cannot tell
	Refused    bool           `json:"refused,omitempty"`     // the lease does not count; Error says why
	Error      string         `json:"error,omitempty"`       // also the speaker's, of a lease that counts
}

// Gone reports that nothing is announced: the state stands for nothing and the
// speaker has confirmed it.
func (r Reply) Gone() bool {
	switch r.State {
	case Init, Warmup, Withdrawn, Maintenance:
		return len(r.Announced) == 0
	}
	return false
}

// Encode returns the datagram of l. Texts that are too long are cut.
func (l Lease) Encode() ([]byte, error) {
	l.Version = ProtocolVersion
	l.Check, l.Reason = cut(l.Check), cut(l.Reason)
	return encode(l)
}

// Encode returns the datagram of r. Texts that are too long are cut.
func (r Reply) Encode() ([]byte, error) {
	r.Version = ProtocolVersion
	r.Reason, r.Error = cut(r.Reason), cut(r.Error)
	return encode(r)
}

func encode(v any) ([]byte, error) {
	datagram, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(datagram) > MaxDatagram {
		return nil, fmt.Errorf("a datagram of %d octets is over the limit of %d", len(datagram), MaxDatagram)
	}
	return datagram, nil
}

// cut returns text as a datagram can carry it: no longer than maxText, and in
// UTF-8 so that the other end reads no more octets than were counted here.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

// ParseLease reads a lease from a datagram. An error means that the sender does
// not speak this protocol: the connection is worth nothing.
func ParseLease(datagram []byte) (Lease, error) {
	var l Lease
	if err := decode(datagram, &l); err != nil {
		return Lease{}, fmt.Errorf("lease: %w", err)
	}
	if len(l.Prefixes) > MaxPrefixes {
		return Lease{}, fmt.Errorf("lease: %d prefixes are over the limit of %d", len(l.Prefixes), MaxPrefixes)
	}
	if len(l.BootID) > maxText || len(l.Check) > maxText || len(l.Reason) > maxText {
		return Lease{}, fmt.Errorf("lease: a text is over the limit of %d octets", maxText)
	}
	for _, p := range l.Prefixes {
		if !p.IsValid() {
			return Lease{}, errors.New("lease: an empty prefix")
		}
	}
	return l, nil
}

// ParseReply reads a reply from a datagram.
func ParseReply(datagram []byte) (Reply, error) {
	var r Reply
	if err := decode(datagram, &r); err != nil {
		return Reply{}, fmt.Errorf("reply: %w", err)
	}
	return r, nil
}

// decode fills v, after a look at the version: what a later version means by
// its fields is not known here.
func decode(datagram []byte, v any) error {
	if len(datagram) > MaxDatagram {
		return fmt.Errorf("a datagram of over %d octets", MaxDatagram)
	}
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(datagram, &head); err != nil {
		return err
	}
	if head.Version != ProtocolVersion {
		return fmt.Errorf("version %d, not %d", head.Version, ProtocolVersion)
	}
	return json.Unmarshal(datagram, v)
}
