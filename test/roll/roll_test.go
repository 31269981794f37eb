//go:build linux

package roll

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/test/netns"
)

const day = 24 * time.Hour

// mustWorld lays the net and builds Proxima, or skips where something is missing.
func mustWorld(t *testing.T, programs ...string) (w *world, proxima string) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	for _, program := range append(programs, "nsd", "dnssec-keygen", "dnssec-signzone") {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, "is not installed")
		}
	}
	dir := t.TempDir()
	proxima, err := build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if w, err = newWorld(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.net.Close)
	return w, proxima
}

// A ring is the keys that the root and rolling.example. have in their time.
type ring struct {
	first, second, third *key // sign keys of the root, RSA
	zsk                  *key // signs the rest of it beside them
	ecdsa                pair // the root's last
	childRSA, childECDSA pair
}

func mustRing(t *testing.T, dir string) *ring {
	t.Helper()
	const rsa, ecdsa = dns.RSASHA256, dns.ECDSAP256SHA256
	must := func(zone string, algorithm uint8, signsKeys bool) *key {
		k, err := newKey(t.Context(), dir, zone, algorithm, signsKeys)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	both := func(zone string, algorithm uint8) pair {
		return pair{must(zone, algorithm, true), must(zone, algorithm, false)}
	}
	return &ring{
		first: must(".", rsa, true), second: must(".", rsa, true), third: must(".", rsa, true), zsk: must(".", rsa, false),
		ecdsa: both(".", ecdsa), childRSA: both("rolling.example.", rsa), childECDSA: both("rolling.example.", ecdsa),
	}
}

// tracked are the keys of the root that may become anchors.
func (k *ring) tracked() []*key { return []*key{k.first, k.second, k.third, k.ecdsa.ksk} }

// rsa is how the root is signed before its algorithm rolls.
func (k *ring) rsa(keys, signers []*key) signing {
	return signing{shown: append(slices.Clone(keys), k.zsk), keys: signers, data: list(k.zsk)}
}

// unrolled is how rolling.example. is signed before its algorithm rolls.
func (k *ring) unrolled() child { return child{k.childRSA.alone(), list(k.childRSA.ksk)} }

func list(keys ...*key) []*key { return keys }

// A child is rolling.example. with what its parent has of it.
type child struct {
	signing
	ds []*key
}

// An act is a day on which the zones change.
type act struct {
	name  string
	day   int
	root  signing
	child child
	// states are those of the tracked keys in Proxima's file, afterwards.
	states string
	// bogus is the zone of which nothing can be proven, with all below it.
	bogus string
}

// A troupe is the resolvers that are watched. The first is Proxima.
type troupe []*resolver

// compare asks all resolvers the same on the day of an act.
func (w *world) compare(t *testing.T, a act, k *ring, all troupe) {
	t.Helper()
	for _, r := range all {
		if r.astray {
			continue
		}
		if err := w.awaitStates(r, k.tracked(), a.states); err != nil {
			r.astray = r.peer
			complaint(t, r)(err)
		}
	}
	steady := slices.DeleteFunc(slices.Clone(all[1:]), func(r *resolver) bool { return r.astray })
	for _, q := range questions(a.day) {
		ours := w.insist(all[0].at, q, func(v verdict) bool { return a.judge(q, v) == nil })
		if err := a.judge(q, ours); err != nil {
			t.Errorf("%s %s: %v", q.Name, dns.TypeToString[q.Qtype], err)
		}
		differ := 0
		for _, peer := range steady {
			same := func(v verdict) bool { return v.String() == ours.String() }
			if theirs := w.insist(peer.at, q, same); !same(theirs) {
				differ++
				t.Logf("%s %s:\n%-8s %s\n%-8s %s", q.Name, dns.TypeToString[q.Qtype], all[0].name, ours, peer.name, theirs)
			}
		}
		if differ > 1 && differ == len(steady) { // one alone may be wrong
			t.Errorf("%s %s: Proxima says what none of %d others says", q.Name, dns.TypeToString[q.Qtype], differ)
		}
	}
}

// complaint returns what tells of a resolver's fault: a peer's is held against
// nobody.
func complaint(t *testing.T, r *resolver) func(...any) {
	if r.peer {
		return t.Log
	}
	return t.Error
}

// stage serves the zones of an act, at its day.
func (w *world) stage(t *testing.T, a act) {
	t.Helper()
	w.root.signing, w.rolling.signing, w.rolling.ds = a.root, a.child.signing, a.child.ds
	if err := w.publish(t.Context(), time.Duration(a.day)*day); err != nil {
		t.Fatal(err, w.logs())
	}
	w.mustServe(t, w.tiers[0], w.root)
	w.mustServe(t, w.tiers[2], w.rolling)
}

// mustServe fails the test if a zone is not signed as it should be.
func (w *world) mustServe(t *testing.T, of *tier, z *zone) {
	t.Helper()
	shown, keys := w.tags(t, of, z.name, dns.TypeDNSKEY)
	_, data := w.tags(t, of, z.name, dns.TypeSOA)
	for _, part := range []struct {
		name string
		got  []uint16
		keys []*key
	}{{"shows", shown, z.shown}, {"signs its keys with", keys, z.keys}, {"signs the rest with", data, z.data}} {
		var want []uint16
		for _, k := range part.keys {
			want = append(want, k.public.KeyTag())
		}
		slices.Sort(want)
		if !slices.Equal(part.got, want) {
			t.Fatalf("%s %s the keys %v, want %v", z.name, part.name, part.got, want)
		}
	}
}

// tags returns the tags of the keys that a server has, and of those that have
// signed its answer.
func (w *world) tags(t *testing.T, of *tier, zone string, typ uint16) (keys, signers []uint16) {
	t.Helper()
	m, err := w.exchange(w.far, netip.AddrPortFrom(of.addrs[0], 53), dns.Question{Name: zone, Qtype: typ, Qclass: dns.ClassINET})
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.DNSKEY:
			keys = append(keys, rr.KeyTag())
		case *dns.RRSIG:
			signers = append(signers, rr.KeyTag)
		}
	}
	slices.Sort(keys)
	slices.Sort(signers)
	return keys, signers
}

// awaitStates returns when a resolver has seen the root's keys and made of them
// what it should. The peers forget keys that are revoked, each in its own time.
func (w *world) awaitStates(r *resolver, tracked []*key, want string) error {
	began, got := time.Now(), ""
	if r.peer {
		want = forget.Replace(want)
	} else if err := await("Proxima looks at the root's keys", func() bool { return r.refreshed(w.moved) }); err != nil {
		return err
	}
	err := await(r.name+"'s keys are "+want, func() bool {
		// A question wakes Unbound, whose timer would run out in its own time.
		w.ask(r.at, dns.Question{Name: ".", Qtype: dns.TypeSOA, Qclass: dns.ClassINET})
		if got = r.states(tracked); r.peer {
			got = forget.Replace(got)
		}
		return got == want || time.Since(began) > patience/2
	})
	if err == nil && got != want {
		err = fmt.Errorf("%s's keys are %s, want %s", r.name, got, want)
	}
	return err
}

var forget = strings.NewReplacer("revoked", "-", "removed", "-")

// judge says what is wrong with a verdict of Proxima's.
func (a act) judge(q dns.Question, v verdict) error {
	below := dns.IsSubDomain(a.bogus, q.Name) && (q.Name != a.bogus || q.Qtype != dns.TypeDS || a.bogus == ".")
	switch {
	case a.bogus != "" && below:
		const keyMissing = 9 // RFC 8914 section 4.10
		if v.rcode != "SERVFAIL" || v.secure || !slices.Equal(v.ede, []uint16{keyMissing}) {
			return fmt.Errorf("%s with EDE %v, want SERVFAIL with EDE %d", v, v.ede, keyMissing)
		}
	case v.rcode == "SERVFAIL":
		return fmt.Errorf("%s with EDE %v, want an answer", v, v.ede)
	case v.secure == (q.Name == "www.plain.example."):
		return fmt.Errorf("%s, want AD of all but the unsigned zone", v)
	case strings.HasPrefix(q.Name, "nope") != (v.rcode == "NXDOMAIN"):
		return fmt.Errorf("%s, want NXDOMAIN where there is no name", v)
	}
	return nil
}

// keyRoll is a roll of the root's key as of 2017 and 2018, with a key beside it
// that comes and goes, and somebody who is in a hurry.
func keyRoll(k *ring) []act {
	gone, c := k.first.revoked(), k.unrolled()
	return []act{
		{"the first key alone", 0, k.rsa(list(k.first), list(k.first)), c, "valid - - -", ""},
		{"two new keys", 10, k.rsa(list(k.first, k.second, k.third), list(k.first)), c, "valid pending pending -", ""},
		{"one of them goes before its time", 25, k.rsa(list(k.first, k.second), list(k.first)), c, "valid pending - -", ""},
		{"it comes back, and its time begins anew", 35, k.rsa(list(k.first, k.second, k.third), list(k.first)), c, "valid pending pending -", ""},
		{"the second signs alone before it is trusted", 39, k.rsa(list(k.first, k.second, k.third), list(k.second)), c, "valid pending pending -", "."},
		{"thirty days are over", 42, k.rsa(list(k.first, k.second, k.third), list(k.first)), c, "valid valid pending -", ""},
		{"the second signs alone", 47, k.rsa(list(k.first, k.second, k.third), list(k.second)), c, "valid valid pending -", ""},
		{"the third signs alone", 52, k.rsa(list(k.first, k.second, k.third), list(k.third)), c, "valid valid pending -", "."},
		{"the first key is revoked", 57, k.rsa(list(gone, k.second), list(gone, k.second)), c, "revoked valid - -", ""},
		{"the first key is gone", 92, k.rsa(list(k.second), list(k.second)), c, "removed valid - -", ""},
		{"who has stolen the first key shows it again", 97, k.rsa(list(k.first), list(k.first)), c, "removed valid - -", "."},
		{"the second key alone", 102, k.rsa(list(k.second), list(k.second)), c, "removed valid - -", ""},
	}
}

// algorithmRoll is one of the root and one of a child, from RSA to ECDSA, in the
// steps of RFC 6781 section 4.1.4. The root's parent are those who ask.
func algorithmRoll(k *ring) []act {
	old, next := k.childRSA, k.childECDSA
	zsks, childZSKs := list(k.zsk, k.ecdsa.zsk), list(old.zsk, next.zsk)
	rootKeys, childKeys := list(k.second, k.zsk, k.ecdsa.ksk, k.ecdsa.zsk), list(old.ksk, old.zsk, next.ksk, next.zsk)
	gone := k.second.revoked()

	before := k.rsa(list(k.second), list(k.second))
	signatures := signing{before.shown, before.keys, zsks}
	keys := signing{rootKeys, list(k.second, k.ecdsa.ksk), zsks}
	revoked := signing{list(gone, k.zsk, k.ecdsa.ksk, k.ecdsa.zsk), list(gone, k.ecdsa.ksk), zsks}
	removed := signing{k.ecdsa.alone().shown, list(k.ecdsa.ksk), zsks}

	childSignatures := signing{old.alone().shown, list(old.ksk), childZSKs}
	bothKeys := signing{childKeys, list(old.ksk, next.ksk), childZSKs}
	childRemoved := signing{next.alone().shown, list(next.ksk), childZSKs}
	const pending, trusted = "removed valid - pending", "removed valid - valid"
	return []act{
		{"the parent has the new DS too early", 107, before, child{old.alone(), list(next.ksk)}, "removed valid - -", "rolling.example."},
		{"the parent and the keys go ahead of the signatures", 109, before, child{signing{childKeys, list(old.ksk, next.ksk), list(old.zsk)}, list(old.ksk, next.ksk)}, "removed valid - -", ""},
		{"the new signatures", 112, signatures, child{childSignatures, list(old.ksk)}, "removed valid - -", ""},
		{"the new keys", 117, keys, child{bothKeys, list(old.ksk)}, pending, ""},
		{"the new DS", 122, keys, child{bothKeys, list(next.ksk)}, pending, ""},
		{"the child's old keys go", 127, keys, child{childRemoved, list(next.ksk)}, pending, ""},
		{"the child's old signatures go", 132, keys, child{next.alone(), list(next.ksk)}, pending, ""},
		{"the root's new key is trusted", 150, keys, child{next.alone(), list(next.ksk)}, trusted, ""},
		{"the root's old key is revoked", 155, revoked, child{next.alone(), list(next.ksk)}, "removed revoked - valid", ""},
		{"the root's old keys go", 190, removed, child{next.alone(), list(next.ksk)}, "removed removed - valid", ""},
		{"the root's old signatures go", 195, k.ecdsa.alone(), child{next.alone(), list(next.ksk)}, "removed removed - valid", ""},
	}
}

func TestProxima_followsTheRootAsUnboundAndKnotResolverDo(t *testing.T) {
	if fakeLibraries() == nil {
		t.Skip("libfaketime is not installed")
	}
	w, program := mustWorld(t, "unbound", "kresd")
	k := mustRing(t, w.dir)
	start := func(name, addr string) *resolver {
		return w.mustRun(t)(w.startProxima(name, program, addr, filepath.Join(w.dir, name+".keys"), list(k.first)))
	}
	var all troupe
	for _, a := range slices.Concat(keyRoll(k), algorithmRoll(k)) {
		if a.day == 47 { // only the file and the memory know a key that is trusted
			if err := os.Remove(all[0].state); err != nil {
				t.Fatal(err)
			}
		}
		w.stage(t, a)
		restart := func() {
			if err := w.awaitStates(all[0], k.tracked(), a.states); err != nil {
				t.Fatal(err, w.logs())
			}
			all[0].stop()
			all[0] = start("proxima", "127.0.0.1:53")
		}
		switch a.day {
		case 0:
			all = troupe{start("proxima", "127.0.0.1:53")}
			all = append(all, w.peer(t)(w.startUnbound("unbound", "127.0.0.2:53", k.first))...)
			all = append(all, w.peer(t)(w.startKnot("knot", "127.0.0.3:53", k.first))...)
		case 25: // a key waits for its time
			restart()
		case 102: // the only key that the configuration has is gone
			restart()
			late := start("late", "127.0.0.4:53")
			t.Run("a Proxima that begins with the first key when it is gone proves nothing", func(t *testing.T) {
				w.compare(t, act{day: a.day, states: "- - - -", bogus: "."}, k, troupe{late})
			})
		}
		if !t.Run(fmt.Sprintf("day %d: %s", a.day, a.name), func(t *testing.T) { w.compare(t, a, k, all) }) {
			t.Fatal("what comes after this day rests on it", w.logs())
		}
	}
}

// peer takes a peer that was started; one that cannot be is left out.
func (w *world) peer(t *testing.T) func(*resolver, error) troupe {
	t.Helper()
	return func(r *resolver, err error) troupe {
		t.Helper()
		if r != nil && r.program != nil {
			t.Cleanup(r.stop)
		}
		if err != nil {
			t.Log(err, w.logs())
			return nil
		}
		return troupe{r}
	}
}

// mustRun takes a resolver that was started, and stops it at the end.
func (w *world) mustRun(t *testing.T) func(*resolver, error) *resolver {
	t.Helper()
	return func(r *resolver, err error) *resolver {
		t.Helper()
		if err != nil {
			t.Fatal(err, w.logs())
		}
		t.Cleanup(r.stop)
		return r
	}
}
