package cache

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"proxima/wire"
)

// SnapshotTitle begins each snapshot.
const SnapshotTitle = "proxima snapshot"

// snapshotVersion is the version of the format. Another one is not read.
const snapshotVersion = 1

// A snapshot is, numbers in network order: the title; the version, 2 octets; the
// digest of what the answers rest on; when it was made, in nanoseconds of Unix
// time; for each answer its length, 2 octets, and so many octets:
//
//	 0  whether it was used, 1 octet: 0 or 1
//	 1  Security, 1 octet
//	 2  its age when the snapshot was made, nanoseconds, 8 octets
//	10  life and staleness, seconds, 4 octets each
//	18  the length of the EDE, 2 octets, or 0
//	20  the EDE: code, 2 octets, and text
//	    the message
//
// then a length of 0, and the SHA-256 of all that. Used answers come first.
const (
	snapshotHead = len(SnapshotTitle) + 2 + sha256.Size + 8
	storedHead   = 20
)

// A Digest stands for what answers rest on: the program and its settings.
type Digest [sha256.Size]byte

// Save writes a snapshot of the answers that are not dead at a moment and say no
// failure. It is never longer than the memory in use.
func (c *Cache) Save(w io.Writer, rests Digest, at time.Time) (saved int, err error) {
	sum := sha256.New()
	const chunk = 1 << 20
	b := bufio.NewWriterSize(io.MultiWriter(w, sum), chunk)
	head := append([]byte(SnapshotTitle), snapshotVersion>>8, snapshotVersion)
	head = append(head, rests[:]...)
	if _, err = b.Write(binary.BigEndian.AppendUint64(head, uint64(at.UnixNano()))); err != nil {
		return 0, err
	}
	var space []byte
	for _, used := range []bool{true, false} {
		for i := range c.sets {
			for _, a := range c.all(i, used) {
				if a == nil || a.State(at) == Dead || !lasts(a.security, a.Rcode()) {
					continue
				}
				space = a.appendStored(space[:0], used, instantOf(at))
				if _, err := b.Write(space); err != nil {
					return saved, err
				}
				saved++
			}
		}
	}
	if _, err = b.Write([]byte{0, 0}); err == nil {
		err = b.Flush()
	}
	if err == nil {
		_, err = w.Write(sum.Sum(nil))
	}
	return saved, err
}

// lasts tells whether an answer is worth to be kept over a restart: no failure,
// for that may be over by then.
func lasts(s Security, rcode uint16) bool {
	return s <= Secure && (rcode == wire.RcodeNoError || rcode == wire.RcodeNXDomain)
}

// appendStored appends the answer as a snapshot has it, with its length.
func (a *Answer) appendStored(dst []byte, used bool, now instant) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, byte(a.security))
	if used {
		dst[start+2] = 1
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(0, a.at.since(now))))
	dst = binary.BigEndian.AppendUint32(dst, a.life)
	dst = binary.BigEndian.AppendUint32(dst, a.stale)
	dst = binary.BigEndian.AppendUint16(dst, a.reason)
	if ede, ok := a.ede(); ok {
		dst = append(binary.BigEndian.AppendUint16(dst, ede.Code), ede.Text...)
	}
	dst = append(dst, a.Packet()...)
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-2)) // maxAnswer fits
	return dst
}

// A Snapshot is one that was found to be whole, and to be ours.
type Snapshot struct {
	r       *bufio.Reader
	elapsed time.Duration // since it was made
}

// OpenSnapshot checks a snapshot from its first octet to its last, and returns it
// ready to be restored: it must rest on the same, and be no older than maxAge.
// That goes by the wall clock, for the other one has begun anew.
func OpenSnapshot(r io.ReadSeeker, rests Digest, at time.Time, maxAge time.Duration) (*Snapshot, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size < int64(snapshotHead+2+sha256.Size) {
		return nil, errors.New("cache: snapshot: it is not whole")
	}
	if _, err = r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var head [snapshotHead]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	s := new(Snapshot)
	if s.elapsed, err = checkHead(head[:], rests, at, maxAge); err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(head[:])
	if _, err = io.CopyN(sum, r, size-int64(snapshotHead)-sha256.Size); err != nil {
		return nil, err
	}
	var want Digest
	if _, err = io.ReadFull(r, want[:]); err != nil {
		return nil, err
	}
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return nil, errors.New("cache: snapshot: its checksum is wrong")
	}
	if _, err = r.Seek(int64(snapshotHead), io.SeekStart); err != nil {
		return nil, err
	}
	const chunk = 1 << 20
	s.r = bufio.NewReaderSize(io.LimitReader(r, size-int64(snapshotHead)-sha256.Size), chunk)
	return s, nil
}

// checkHead returns how long ago a snapshot with this head was made.
func checkHead(head []byte, rests Digest, at time.Time, maxAge time.Duration) (elapsed time.Duration, err error) {
	title, rest := head[:len(SnapshotTitle)], head[len(SnapshotTitle):]
	version, digest, made := binary.BigEndian.Uint16(rest), rest[2:2+sha256.Size], binary.BigEndian.Uint64(rest[2+sha256.Size:])
	elapsed = at.Round(0).Sub(time.Unix(0, int64(made)))
	switch {
	case string(title) != SnapshotTitle:
		err = errors.New("cache: snapshot: it is none")
	case version != snapshotVersion:
		err = fmt.Errorf("cache: snapshot: version %d, want %d", version, snapshotVersion)
	case !bytes.Equal(digest, rests[:]):
		err = errors.New("cache: snapshot: made by another version, or with other settings")
	case elapsed < 0:
		err = fmt.Errorf("cache: snapshot: made %v in the future", -elapsed)
	case elapsed > maxAge:
		err = fmt.Errorf("cache: snapshot: made %v ago, want at most %v", elapsed, maxAge)
	}
	return elapsed, err
}

// Restore stores the answers of a snapshot that are not dead at a moment, until
// it is read or there is no more room. It makes nothing leave, and replaces
// nothing: what was learned since is newer. It believes no length.
func (c *Cache) Restore(s *Snapshot, at time.Time) (restored int, err error) {
	space := make([]byte, math.MaxUint16)
	for {
		stored, err := s.next(space)
		if len(stored) == 0 || err != nil {
			return restored, err
		}
		a, used, err := readStored(stored, s.elapsed, at)
		if err != nil {
			return restored, err
		}
		if a.life == 0 || a.State(at) == Dead || a.Size() > maxAnswer {
			continue
		}
		if c.isFullFor(a) {
			return restored, nil
		}
		if c.restore(a, used) {
			restored++
		}
	}
}

// next returns the next answer as it is stored, in space; nothing at the end.
func (s *Snapshot) next(space []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(s.r, length[:]); err != nil {
		return nil, fmt.Errorf("cache: snapshot: %w", err)
	}
	stored := space[:binary.BigEndian.Uint16(length[:])]
	if _, err := io.ReadFull(s.r, stored); err != nil {
		return nil, fmt.Errorf("cache: snapshot: %w", err)
	}
	if len(stored) == 0 {
		if _, err := s.r.ReadByte(); err != io.EOF {
			return nil, errors.New("cache: snapshot: more after the end")
		}
	}
	return stored, nil
}

// readStored makes an answer of what appendStored has written, the message judged
// as if it came from the Internet. The answer has aged since.
func readStored(stored []byte, elapsed time.Duration, at time.Time) (a *Answer, used bool, err error) {
	if len(stored) < storedHead {
		return nil, false, fmt.Errorf("cache: snapshot: an answer of %d octets", len(stored))
	}
	age := time.Duration(binary.BigEndian.Uint64(stored[2:]))
	reason := int(binary.BigEndian.Uint16(stored[18:]))
	rest := stored[storedHead:]
	if stored[0] > 1 || age < 0 || age > math.MaxInt64-elapsed || reason == 1 || reason > len(rest) {
		return nil, false, errors.New("cache: snapshot: an answer that cannot be")
	}
	m := Meta{
		At:       at.Add(-age - elapsed),
		TTL:      span(binary.BigEndian.Uint32(stored[10:])),
		Stale:    span(binary.BigEndian.Uint32(stored[14:])),
		Security: Security(stored[1]),
	}
	if reason > 0 {
		m.EDE = &wire.EDE{Code: binary.BigEndian.Uint16(rest), Text: string(rest[2:reason])}
	}
	if a, err = NewAnswer(rest[reason:], m); err != nil {
		return nil, false, err
	}
	if !lasts(a.security, a.Rcode()) {
		return nil, false, errors.New("cache: snapshot: a failure, which none has")
	}
	return a, stored[0] == 1, nil
}

// isFullFor tells whether something would have to leave for an answer.
func (c *Cache) isFullFor(a *Answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.chunks
	return c.octets.Load()+int64(a.Size()) > c.limit || m.count.Load() >= m.most && !m.fits(int(a.units))
}

// all returns the answers of a set that somebody has asked for again, or those
// that nobody has, and nil for others.
func (c *Cache) all(i int, used bool) [slotsPerSet]*Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sets[i].all(&c.chunks, used)
}

// restore stores an answer if there is a slot for it and nothing newer.
func (c *Cache) restore(a *Answer, used bool) bool {
	s, tag := c.home(a.key())
	c.mu.Lock()
	defer c.mu.Unlock()
	i, vacant := s.holds(0)
	if _, there := s.find(&c.chunks, a.key(), tag); there != nil || !vacant {
		return false
	}
	c.expect(a)
	s.slots[i].Store(uint64(newSlot(tag, c.chunks.lay(a))))
	if used {
		s.use(i)
	}
	return true
}
