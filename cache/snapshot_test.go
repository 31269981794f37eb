package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/wire"
)

var ours = Digest{1, 2, 3}

func mustSave(t testing.TB, c *Cache, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.Save(&b, ours, at); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mustRestore makes a cache of a snapshot.
func mustRestore(t testing.TB, snapshot []byte, at time.Time) (*Cache, int) {
	t.Helper()
	s, err := OpenSnapshot(bytes.NewReader(snapshot), ours, at, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := mustCache(t, 4<<20)
	n, err := c.Restore(s, at)
	if err != nil {
		t.Fatal(err)
	}
	return c, n
}

// sealed is a snapshot with these answers as they are stored, and a good checksum.
func sealed(made time.Time, stored ...[]byte) []byte {
	b := append([]byte(SnapshotTitle), 0, snapshotVersion)
	b = binary.BigEndian.AppendUint64(append(b, ours[:]...), uint64(made.UnixNano()))
	for _, s := range stored {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	return seal(append(b, 0, 0))
}

func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func TestCache_Save_andRestore(t *testing.T) {
	const signed = "www.example. 300 IN A 192.0.2.1\nwww.example. 300 IN RRSIG A " + signature
	tests := []struct {
		name    string
		typ     uint16
		rcode   int
		records string
		meta    Meta
		down    time.Duration // between the end and the next start
		want    State
		lost    bool
	}{
		{"a fresh answer", dns.TypeA, 0, signed, Meta{Stale: time.Hour}, 100 * time.Second, Fresh, false},
		{"a proven one", dns.TypeA, 0, signed, Meta{Security: Secure}, time.Second, Fresh, false},
		{"one that ended in the meantime", dns.TypeA, 0, signed, Meta{Stale: time.Hour}, 290 * time.Second, Stale, false},
		{"one that died in the meantime", dns.TypeA, 0, signed, Meta{Stale: time.Minute}, time.Hour, Dead, true},
		{"one that was dead", dns.TypeA, 0, "www.example. 5 IN A 192.0.2.1", Meta{}, 0, Dead, true},
		{"a denial", dns.TypeMX, 3, "--\nexample. 90 IN SOA ns.example. h.example. 1 2 3 4 90", Meta{}, time.Second, Fresh, false},
		{"one without records", dns.TypeMX, 0, "", Meta{TTL: time.Minute}, time.Second, Fresh, false},
		{"one with a reason", dns.TypeA, 0, signed, Meta{EDE: &wire.EDE{Code: 29, Text: "made up"}}, time.Second, Fresh, false},
		{"one with a code for a reason", dns.TypeA, 0, signed, Meta{EDE: &wire.EDE{Code: 29}}, time.Second, Fresh, false},
		{"a failure", dns.TypeA, 2, "", Meta{TTL: time.Minute}, time.Second, Dead, true},
		{"a bogus answer", dns.TypeA, 0, signed, Meta{Security: Bogus}, time.Second, Dead, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCache(t, minMemory)
			a := mustAnswer(t, mustMessage(t, "www.example.", tt.typ, tt.rcode, tt.records), tt.meta)
			c.Put(a)
			const up = 10 * time.Second
			snapshot := mustSave(t, c, learned.Add(up))
			if s := c.Stats(); int64(len(snapshot)) > s.Bytes {
				t.Errorf("the snapshot has %d octets, the cache %d", len(snapshot), s.Bytes)
			}
			at := learned.Add(up + tt.down)
			c, _ = mustRestore(t, snapshot, at)
			b := get(c, a)
			if (b == nil) != tt.lost {
				t.Fatalf("lost: %t, want %t", b == nil, tt.lost)
			}
			if b == nil {
				return
			}
			if b.State(at) != tt.want || b.Security() != a.Security() || !b.Expires().Equal(a.Expires()) || b.Life() != a.Life() {
				t.Errorf("%v, %v, until %v; want %v, %v, %v", b.State(at), b.Security(), b.Expires(), tt.want, a.Security(), a.Expires())
			}
			for _, edit := range []func(*dns.Msg){nil, withEDNS, withDO} {
				q := mustQuery(t, "www.example.", tt.typ, edit)
				if got, want := b.AppendReply(nil, q, at), a.AppendReply(nil, q, at); !bytes.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s", text(t, got), text(t, want))
				}
			}
		})
	}
}

func TestOpenSnapshot_refuses(t *testing.T) {
	c := mustCache(t, minMemory)
	c.Put(numbered(t, 1, 10, learned))
	good := mustSave(t, c, learned)
	edit := func(off int, octet byte) []byte {
		b := bytes.Clone(good)
		b[off] ^= octet
		return b
	}
	tests := []struct {
		name     string
		snapshot []byte
		age      time.Duration
		rests    Digest
		want     string
	}{
		{"nothing", nil, 0, ours, "it is not whole"},
		{"half of one", good[:len(good)/2], 0, ours, "it is not whole"},
		{"one without its last octet", good[:len(good)-1], 0, ours, "its checksum is wrong"},
		{"one with an octet more", append(bytes.Clone(good), 0), 0, ours, "its checksum is wrong"},
		{"another title", edit(0, 1), 0, ours, "it is none"},
		{"another version", edit(len(SnapshotTitle), 1), 0, ours, "version 257, want 1"},
		{"another program or anchors", good, 0, Digest{1}, "made by another version, or with other settings"},
		{"an answer that is not as it was", edit(snapshotHead+30, 1), 0, ours, "its checksum is wrong"},
		{"another checksum", edit(len(good)-1, 1), 0, ours, "its checksum is wrong"},
		{"one of the future", good, -time.Second, ours, "made 1s in the future"},
		{"one that is too old", good, 24*time.Hour + 1, ours, "ago, want at most 24h0m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenSnapshot(bytes.NewReader(tt.snapshot), tt.rests, learned.Add(tt.age), 24*time.Hour)
			if err == nil || !strings.HasPrefix(err.Error(), "cache: snapshot: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	for off := range good {
		if _, err := OpenSnapshot(bytes.NewReader(edit(off, 0x10)), ours, learned, 24*time.Hour); err == nil {
			t.Errorf("octet %d may be anything", off)
		}
	}
}

// What is stored is judged even where the checksum is right.
func TestCache_Restore_believesNothing(t *testing.T) {
	c := mustCache(t, minMemory)
	a := mustAnswer(t, mustMessage(t, "www.example.", dns.TypeA, 0, "www.example. 300 IN A 192.0.2.1"), Meta{EDE: &wire.EDE{Code: 29, Text: "x"}})
	c.Put(a)
	good := a.appendStored(nil, true, instantOf(learned))[2:]
	edit := func(off int, octets ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[off:], octets)
		return b
	}
	tests := []struct {
		name   string
		stored []byte
		want   string
	}{
		{"less than a head", good[:storedHead-1], "an answer of 19 octets"},
		{"no message", good[:storedHead+3], "malformed"},
		{"neither used nor not", edit(0, 2), "cannot be"},
		{"a security that there is not", edit(1, 3), "a failure"},
		{"a bogus answer", edit(1, byte(Bogus)), "a failure"},
		{"a negative age", edit(2, 0x80), "cannot be"},
		{"an age that is too long to be said", edit(2, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), "cannot be"},
		{"a reason of half a code", edit(18, 0, 1), "cannot be"},
		{"a reason beyond the end", edit(18, 0xFF, 0xFF), "cannot be"},
		{"a message that is none", edit(storedHead+3+4, 0xFF), "malformed"},
		{"a failure", edit(storedHead+3+3, 0x82), "a failure"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := learned.Add(time.Hour)
			s, err := OpenSnapshot(bytes.NewReader(sealed(learned, good, tt.stored)), ours, at, 24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = mustCache(t, minMemory).Restore(s, at); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name string
		body []byte
	}{
		{"a length beyond the end", []byte{0xFF, 0xFF, 1}},
		{"no end", nil},
		{"more after the end", []byte{0, 0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := sealed(learned)[:snapshotHead]
			b := append(head, tt.body...)
			if len(tt.body) == 0 {
				b = append(b, byte(len(good)>>8), byte(len(good)))
				b = append(b, good...)
			}
			s, err := OpenSnapshot(bytes.NewReader(seal(b)), ours, learned, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := mustCache(t, minMemory).Restore(s, learned); err == nil {
				t.Errorf("%d answers and no error", n)
			}
		})
	}
}

func TestCache_Restore_replacesNothing(t *testing.T) {
	c := mustCache(t, minMemory)
	old := numbered(t, 1, 10, learned)
	c.Put(old)
	snapshot := mustSave(t, c, learned)
	newer := numbered(t, 1, 20, learned.Add(time.Second))
	c.Put(newer)
	before := c.Stats()
	s, err := OpenSnapshot(bytes.NewReader(snapshot), ours, learned, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Restore(s, learned); n != 0 || err != nil {
		t.Errorf("Restore = %d, %v", n, err)
	}
	if got := c.Stats(); !same(get(c, old), newer) || got != before {
		t.Errorf("it is there: %t; %+v, want %+v", same(get(c, old), newer), got, before)
	}
}

// A cache that has become smaller gets what was used, and no more than it holds.
func TestCache_Restore_toASmallerCache(t *testing.T) {
	big := mustCache(t, 8<<20)
	for i := range 20_000 {
		a := numbered(t, i, 100, learned)
		big.Put(a)
		if i%10 == 0 {
			get(big, a)
		}
	}
	s, err := OpenSnapshot(bytes.NewReader(mustSave(t, big, learned)), ours, learned, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	small := mustCache(t, minMemory)
	if _, err := small.Restore(s, learned); err != nil {
		t.Fatal(err)
	}
	if st := small.Stats(); st.Bytes > st.Memory || st.Evictions != 0 {
		t.Errorf("%+v", st)
	}
	missing := 0
	for i := 0; i < 20_000; i += 10 {
		if small.find(numbered(t, i, 100, learned)) == nil {
			missing++
		}
	}
	if missing > 20 { // whose sets are full
		t.Errorf("%d of 2,000 used answers are missing", missing)
	}
	// What was used is used: a flood does not flush it.
	for i := range 20_000 {
		small.Put(numbered(t, 1_000_000+i, 100, learned))
	}
	for i := 0; i < 20_000; i += 10 {
		if small.find(numbered(t, i, 100, learned)) == nil {
			missing++
		}
	}
	if missing > 200 {
		t.Errorf("%d of 2,000 used answers are missing after a flood", missing)
	}
}

func TestCache_Save_toAFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	c := mustCache(t, minMemory)
	c.Put(numbered(t, 1, 10, learned))
	if _, err := c.Save(f, ours, learned); err == nil {
		t.Error("no error")
	}
}

// FuzzRestore restores any octets, with a good head and a good checksum. What is
// restored gives replies, and is again what is saved.
func FuzzRestore(f *testing.F) {
	c := mustCache(f, minMemory)
	for _, records := range []string{"", "www.example. 300 IN A 192.0.2.1\nwww.example. 300 IN RRSIG A " + signature} {
		c.Put(mustAnswer(f, mustMessage(f, "www.example.", dns.TypeA, 0, records), Meta{TTL: time.Hour, Stale: time.Hour, EDE: &wire.EDE{Code: 3, Text: "x"}}))
		b := mustSave(f, c, learned)
		f.Add(b[snapshotHead : len(b)-sha256.Size])
	}
	f.Add([]byte{0, 0})
	f.Add([]byte{0xFF, 0xFF, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		head := sealed(learned)[:snapshotHead]
		s, err := OpenSnapshot(bytes.NewReader(seal(append(head, body...))), ours, learned, time.Hour)
		if err != nil {
			return // too short
		}
		c := mustCache(t, minMemory)
		n, _ := c.Restore(s, learned)
		if got := c.Stats(); got.Entries != int64(n) || got.Bytes > got.Memory {
			t.Fatalf("%d restored, %+v", n, got)
		}
		for i := range c.sets {
			for j := range c.sets[i].slots {
				if a := c.sets[i].in(&c.chunks, j); a != nil {
					if _, ok := wire.AppendRecords(nil, a.AppendReply(nil, ask(t, a, true), learned)); !ok {
						t.Fatal("a malformed reply")
					}
				}
			}
		}
		again, m := mustRestore(t, mustSave(t, c, learned), learned)
		if m != n || again.Stats().Entries != int64(n) {
			t.Fatalf("%d restored, and of these %d", n, m)
		}
	})
}

// A million answers are restored within 2 s.
func TestCache_Restore_aMillion(t *testing.T) {
	full(t)
	const n = 1_000_000
	m := newMix()
	c := mustCache(t, 400<<20)
	for i := range n {
		c.Put(m.answer(t, i, learned))
	}
	began := time.Now()
	snapshot := mustSave(t, c, learned)
	saving := time.Since(began)
	fresh := mustCache(t, 400<<20)
	began, used := time.Now(), cpuTime()
	s, err := OpenSnapshot(bytes.NewReader(snapshot), ours, learned, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	opening := time.Since(began)
	restored, err := fresh.Restore(s, learned)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d answers, %d MiB; saved in %v; restored %d in %v, of which the checksum %v; CPU %v",
		c.Stats().Entries, len(snapshot)>>20, saving, restored, took, opening, cpuTime()-used)
	if took > 2*time.Second {
		t.Errorf("restoring took %v, want 2 s at most", took)
	}
	if int64(restored) < c.Stats().Entries*99/100 {
		t.Errorf("%d of %d restored", restored, c.Stats().Entries)
	}
	if int64(len(snapshot)) > c.Stats().Bytes {
		t.Errorf("the snapshot has %d octets, the cache %d", len(snapshot), c.Stats().Bytes)
	}
}
