package anchor

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A pair is a key of the root with its private half.
type pair struct {
	*dns.DNSKEY
	private ed25519.PrivateKey
}

func mustPair(tb testing.TB) pair {
	tb.Helper()
	p := pair{DNSKEY: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: ".", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 172800},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ED25519,
	}}
	private, err := p.Generate(256)
	if err != nil {
		tb.Fatal(err)
	}
	p.private = private.(ed25519.PrivateKey)
	return p
}

// flagged returns the same key with other flags.
func (p pair) flagged(flags uint16) pair {
	k := *p.DNSKEY
	k.Flags = flags
	return pair{&k, p.private}
}

func (p pair) revoked() pair { return p.flagged(dns.ZONE | dns.SEP | dns.REVOKE) }

func (p pair) ds(tb testing.TB) *dns.DS {
	tb.Helper()
	ds, err := dsOf(p.DNSKEY)
	if err != nil {
		tb.Fatal(err)
	}
	return ds
}

// show returns the set of the keys, signed by some for ten years from at on.
func show(tb testing.TB, at time.Time, keys []pair, signers ...pair) Sighting {
	tb.Helper()
	var s Sighting
	var set []dns.RR
	for _, k := range keys {
		s.Keys, set = append(s.Keys, k.DNSKEY), append(set, k.DNSKEY)
	}
	for _, k := range signers {
		sig := &dns.RRSIG{
			Hdr:       dns.RR_Header{Name: ".", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 172800},
			Algorithm: k.Algorithm, Inception: uint32(at.Unix()), Expiration: uint32(at.Add(3650 * day).Unix()),
			KeyTag: k.KeyTag(), SignerName: ".",
		}
		if err := sig.Sign(k.private, set); err != nil {
			tb.Fatal(err)
		}
		s.Sigs = append(s.Sigs, sig)
		for _, seen := range s.Keys {
			if k.Flags&dns.REVOKE != 0 && seen.Flags == k.Flags && sameKey(seen, k.DNSKEY) {
				s.Revoked = append(s.Revoked, seen)
			}
		}
	}
	return s
}

// signedBy reports whether a key has signed the set.
func (s Sighting) signedBy(k *dns.DNSKEY, at time.Time) bool {
	var set []dns.RR
	for _, k := range s.Keys {
		set = append(set, k)
	}
	return slices.ContainsFunc(s.Sigs, func(sig *dns.RRSIG) bool {
		return sig.KeyTag == k.KeyTag() && sig.ValidityPeriod(at) && sig.Verify(k, set) == nil
	})
}

// judge does what a validator does: the set is valid if a key that is trusted,
// is in it and is not revoked has signed it.
func (u Upkeep) judge(s Sighting, at time.Time) Sighting {
	for _, a := range u.Trusted() {
		for _, k := range s.Keys {
			if vouches(a, k) && k.Flags&dns.REVOKE == 0 && s.signedBy(k, at) {
				s.Valid = true
			}
		}
	}
	return s
}

const day = 24 * time.Hour

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// states names the states of the keys, "-" for one that is not tracked.
func (u Upkeep) states(keys ...pair) string {
	var all []string
	for _, p := range keys {
		state := "-"
		for _, k := range u.Keys {
			if sameKey(k.DNSKEY, p.DNSKEY) {
				state = k.State.String()
			}
		}
		all = append(all, state)
	}
	return strings.Join(all, " ")
}

// TestUpkeep_After_transitions is the table of RFC 5011 section 4.1: key a is
// the anchor, and always there to sign; b goes through the states.
func TestUpkeep_After_transitions(t *testing.T) {
	a, b := mustPair(t), mustPair(t)
	// What is seen of b, a sign a time: '.' is nothing, 'b' the key, 'r' the key
	// revoked by itself, 'R' revoked without its signature, 'x' a set that is
	// not valid and has not b, 'X' one that has b, '!' one that is not valid
	// where b revokes itself; a digit lets so many times ten days pass.
	tests := []struct {
		name, seen, want string
	}{
		{"Start: nothing", ".", "-"},
		{"Start: a new key", "b", "pending"},
		{"Start: a new key in a set that is not valid", "X", "-"},
		{"Start: a revoked key", "r", "-"},
		{"AddPend: it is still there", "b1b1b", "pending"},
		{"AddPend: it is gone", "b1.", "-"},
		{"AddPend: it is not seen because the set is not valid", "b1x", "pending"},
		{"AddPend: its time is over, but nobody looked", "b4", "pending"},
		{"AddPend: its time is over, but the set is not valid", "b4X", "pending"},
		{"AddPend: its time is over and it is there", "b3b", "valid"},
		{"AddPend: its time is over and it is gone", "b3.", "-"},
		{"AddPend: it went and came back, and waits anew", "b2.b2b", "pending"},
		{"AddPend: it is revoked", "b1r", "-"},
		{"AddPend: it shows REVOKE, which it has not signed", "b1R", "-"},
		{"Valid: it is still there", "b3b1b", "valid"},
		{"Valid: it is gone", "b3b.", "missing"},
		{"Valid: the set is not valid", "b3bx", "valid"},
		{"Valid: it is revoked", "b3br", "revoked"},
		{"Valid: it is revoked in a set that is not valid", "b3b!", "revoked"},
		{"Valid: it shows REVOKE, which it has not signed", "b3bR", "missing"},
		{"Missing: it is still gone", "b3b.9.", "missing"},
		{"Missing: it is back", "b3b.1b", "valid"},
		{"Missing: it is back in a set that is not valid", "b3b.1X", "missing"},
		{"Missing: it is revoked", "b3b.r", "revoked"},
		{"Revoked: it is still there", "b3br1r", "revoked"},
		{"Revoked: it is gone", "b3br1.", "revoked"},
		{"Revoked: it pretends not to be", "b3br1b", "revoked"},
		{"Revoked: its time is over", "b3br3.", "removed"},
		{"Removed: it comes back", "b3br3.b4b", "removed"},
		{"Removed: it comes back revoked", "b3br3.r", "removed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, at := Begin(".", []*dns.DS{a.ds(t)}), start
			for _, c := range tt.seen {
				var s Sighting
				switch c {
				case '.':
					s = show(t, at, []pair{a}, a)
				case 'b':
					s = show(t, at, []pair{a, b}, a)
				case 'r':
					s = show(t, at, []pair{a, b.revoked()}, a, b.revoked())
				case 'R':
					s = show(t, at, []pair{a, b.revoked()}, a)
				case 'X':
					s = show(t, at, []pair{a, b}, b)
				case '!':
					s = show(t, at, []pair{b.revoked()}, b.revoked())
				case 'x':
				default:
					at = at.Add(time.Duration(c-'0') * 10 * day)
					continue
				}
				s.Valid = strings.ContainsRune(".brR", c)
				u = u.After(s, at)
			}
			if got := u.states(b); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			trusted := strings.Contains(fmt.Sprint(u.Trusted()), b.ds(t).Digest)
			if trusted != (tt.want == "valid" || tt.want == "missing") {
				t.Errorf("trusted = %t", trusted)
			}
		})
	}
}

func TestUpkeep_After_startsFromAnchors(t *testing.T) {
	a, b, c := mustPair(t), mustPair(t), mustPair(t)
	anchors := []*dns.DS{a.ds(t), b.ds(t)}
	tests := []struct {
		name    string
		keys    []pair
		valid   bool
		states  string // of a, b, c
		trusted int
	}{
		{"nothing was seen", nil, false, "- - -", 2},
		{"all anchors are in the set", []pair{a, b}, true, "valid valid -", 2},
		{"one anchor is not in the set yet", []pair{a}, true, "valid - -", 2},
		{"a key without anchor waits", []pair{a, b, c}, true, "valid valid pending", 2},
		{"a set that is not valid says nothing", []pair{a, b, c}, false, "- - -", 2},
		{"a key that signs no keys is none", []pair{a, c.flagged(dns.ZONE)}, true, "valid - -", 2},
		{"an anchor may be a key that signs all", []pair{a.flagged(dns.ZONE), c}, true, "- - pending", 2},
		{"an anchor that has revoked itself is not trusted from the beginning", []pair{a, b.revoked()}, true, "valid - -", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := show(t, start, tt.keys, tt.keys...)
			s.Valid = tt.valid
			u := Begin(".", append(anchors, &dns.DS{Hdr: dns.RR_Header{Name: "example."}})).After(s, start)
			if got := u.states(a, b, c); got != tt.states {
				t.Errorf("%s, want %s", got, tt.states)
			}
			if got := u.Trusted(); len(got) != tt.trusted {
				t.Errorf("trusted %v", got)
			}
		})
	}
}

func TestUpkeep_After_trustsAnAnchorThatCameLater(t *testing.T) {
	a, b := mustPair(t), mustPair(t)
	u := Begin(".", []*dns.DS{a.ds(t)})
	set := u.judge(show(t, start, []pair{a, b}, a), start)
	u = u.After(set, start)
	u.Anchors = append(u.Anchors, b.ds(t)) // a newer version has it built in
	if len(u.Trusted()) != 2 {
		t.Errorf("trusted %v before the zone was asked again", u.Trusted())
	}
	if u = u.After(set, start.Add(day)); u.states(a, b) != "valid valid" {
		t.Errorf("%s after", u.states(a, b))
	}
}

func TestUpkeep_After_leavesTheOldOneAsItWas(t *testing.T) {
	a, b := mustPair(t), mustPair(t)
	u := Begin(".", []*dns.DS{a.ds(t)})
	u = u.After(u.judge(show(t, start, []pair{a, b}, a), start), start)
	before := string(u.text())
	u.After(u.judge(show(t, start, []pair{a.revoked()}, a.revoked()), start), start.Add(day))
	if got := string(u.text()); got != before {
		t.Errorf("it was\n%s\nand is\n%s", before, got)
	}
}

func TestUpkeep_Trusted_isEmptyWhenAllAreRevoked(t *testing.T) {
	a := mustPair(t)
	u := Begin(".", []*dns.DS{a.ds(t)})
	u = u.After(u.judge(show(t, start, []pair{a}, a), start), start)
	u = u.After(u.judge(show(t, start, []pair{a.revoked()}, a.revoked()), start), start)
	if got := u.Trusted(); len(got) != 0 {
		t.Errorf("trusted %v", got)
	}
}

func TestUpkeep_After_isBounded(t *testing.T) {
	a := mustPair(t)
	s := show(t, start, []pair{a}, a)
	s.Valid = true
	for i := range 2 * maxTracked {
		k := *a.DNSKEY
		k.PublicKey = fmt.Sprintf("%044d", i)
		s.Keys = append(s.Keys, &k)
	}
	huge := *a.DNSKEY
	huge.PublicKey = strings.Repeat("A", 4000)
	s.Keys = append([]*dns.DNSKEY{&huge}, s.Keys...)
	u := Begin(".", []*dns.DS{a.ds(t)}).After(s, start)
	if len(u.Keys) != maxTracked {
		t.Errorf("%d keys, want %d", len(u.Keys), maxTracked)
	}
	if n := len(u.text()); n > maxHintsSize {
		t.Errorf("the file has %d octets", n)
	}
}

// An act is a change of the root's keys, on a day.
type act struct {
	day     string
	keys    []pair
	signers []pair
}

// play lets a resolver follow the root from one day to another, and fails if it
// ever trusts no key that signs. Asleep says when it asks nobody.
func play(t *testing.T, u Upkeep, acts []act, from, to string, asleep func(at time.Time) bool, watch func(date string, u Upkeep)) {
	t.Helper()
	sets := make([]Sighting, len(acts))
	for i, a := range acts {
		sets[i] = show(t, date(t, a.day), a.keys, a.signers...)
	}
	end := date(t, to)
	for at := date(t, from); at.Before(end); at = u.Next {
		if asleep != nil && asleep(at) {
			u.Next = at.Add(day)
			continue
		}
		var now Sighting
		for i, a := range acts {
			if !date(t, a.day).After(at) {
				now = sets[i]
			}
		}
		s := u.judge(now, at)
		if !s.Valid {
			t.Fatalf("%s: nothing that is trusted has signed; %v", at.Format(time.DateOnly), u.Trusted())
		}
		u = u.After(s, at)
		watch(at.Format(time.DateOnly), u)
	}
}

func date(tb testing.TB, s string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// rolls are the rolls of the root's key so far, and the end of the second as it
// is planned. The keys are others, the days are those.
func rolls(k2010, k2017, k2024 pair) []act {
	return []act{
		{"2010-07-15", []pair{k2010}, []pair{k2010}},
		{"2017-07-11", []pair{k2010, k2017}, []pair{k2010}},
		{"2018-10-11", []pair{k2010, k2017}, []pair{k2017}},
		{"2019-01-11", []pair{k2010.revoked(), k2017}, []pair{k2010.revoked(), k2017}},
		{"2019-03-22", []pair{k2017}, []pair{k2017}},
		{"2025-01-11", []pair{k2017, k2024}, []pair{k2017}},
		{"2026-10-11", []pair{k2017, k2024}, []pair{k2024}},
		{"2027-01-11", []pair{k2017.revoked(), k2024}, []pair{k2017.revoked(), k2024}},
		{"2027-04-11", []pair{k2024}, []pair{k2024}},
	}
}

func TestUpkeep_followsTheRoot(t *testing.T) {
	k := []pair{mustPair(t), mustPair(t), mustPair(t)}
	acts := rolls(k[0], k[1], k[2])
	tests := []struct {
		name     string
		anchors  []int // which keys are built in
		from, to string
		asleep   [2]string
		want     map[string]string // the states on some days
	}{
		{"a resolver of 2016 that is never updated", []int{0}, "2016-01-01", "2028-01-01", [2]string{}, map[string]string{
			"2017-07-10": "valid - -",
			"2017-07-12": "valid pending -",
			"2017-08-09": "valid pending -",
			"2017-08-12": "valid valid -",
			"2019-01-10": "valid valid -",
			"2019-01-12": "revoked valid -",
			"2019-03-23": "removed valid -",
			"2025-02-09": "removed valid pending",
			"2025-02-12": "removed valid valid",
			"2026-10-12": "removed valid valid",
			"2027-01-12": "removed revoked valid",
			"2027-12-31": "removed removed valid",
		}},
		{"a resolver of 2018 that was off during the autumn", []int{0, 1}, "2018-08-01", "2020-01-01", [2]string{"2018-09-01", "2019-03-25"}, map[string]string{
			"2018-08-02": "valid valid -",
			"2019-03-26": "missing valid -", // it never saw the revocation
			"2019-12-30": "missing valid -",
		}},
		{"a resolver of 2020 without the newer key", []int{1}, "2020-01-01", "2028-01-01", [2]string{}, map[string]string{
			"2025-01-12": "- valid pending",
			"2025-02-12": "- valid valid",
			"2027-01-12": "- revoked valid",
		}},
		{"a resolver with both keys built in, before the newer one is published", []int{1, 2}, "2024-08-01", "2028-01-01", [2]string{}, map[string]string{
			"2025-01-10": "- valid -",
			"2025-01-12": "- valid valid",
			"2027-12-31": "- removed valid",
		}},
		{"a resolver with both keys built in that begins after the older one has gone", []int{1, 2}, "2027-05-01", "2028-01-01", [2]string{}, map[string]string{
			"2027-05-01": "- - valid",
		}},
		{"a resolver that is off for most of the newer key's time", []int{1}, "2024-01-01", "2028-01-01", [2]string{"2025-01-20", "2026-10-01"}, map[string]string{
			"2025-01-19": "- valid pending",
			"2026-10-02": "- valid valid", // twice seen, thirty days between
			"2027-12-31": "- removed valid",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var anchors []*dns.DS
			for _, i := range tt.anchors {
				anchors = append(anchors, k[i].ds(t))
			}
			asleep := func(at time.Time) bool {
				return tt.asleep[0] != "" && !at.Before(date(t, tt.asleep[0])) && at.Before(date(t, tt.asleep[1]))
			}
			watched := 0
			play(t, Begin(".", anchors), acts, tt.from, tt.to, asleep, func(date string, u Upkeep) {
				want, ok := tt.want[date]
				if got := u.states(k...); ok && got != want {
					t.Errorf("%s: %s, want %s", date, got, want)
				}
				if ok {
					watched++
				}
			})
			if watched < len(tt.want) {
				t.Errorf("the resolver asked on %d of %d days", watched, len(tt.want))
			}
		})
	}
}

// TestUpkeep_thiefOfAKey: who has stolen the key that signs puts in a key of
// his own. The owner has the hold-down time to revoke the stolen one.
func TestUpkeep_thiefOfAKey(t *testing.T) {
	stolen, spare, thief := mustPair(t), mustPair(t), mustPair(t)
	u := Begin(".", []*dns.DS{stolen.ds(t), spare.ds(t)})
	see := func(days int, keys []pair, signers ...pair) {
		at := start.Add(time.Duration(days) * day)
		u = u.After(u.judge(show(t, at, keys, signers...), at), at)
	}
	see(0, []pair{stolen, spare}, stolen)
	for d := range 29 {
		see(1+d, []pair{stolen, spare, thief}, stolen)
	}
	see(30, []pair{stolen.revoked(), spare}, stolen.revoked(), spare)
	see(31, []pair{stolen, spare, thief}, stolen) // replayed
	see(70, []pair{stolen, spare, thief}, stolen)
	if got := u.states(stolen, spare, thief); got != "removed valid -" {
		t.Errorf("%s, want the thief's key forgotten", got)
	}
}
