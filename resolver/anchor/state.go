package anchor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"proxima/disk"
)

// stateTitle begins each state file. A file without it is not written over.
const stateTitle = "; Proxima's trust anchors, kept up to date by RFC 5011."

// Load returns the Upkeep that Save has written. Anchors are what the operator
// trusts now. If there is no file, or one that cannot be used, the Upkeep is
// begun anew from them; in the second case with an error that says why. A file
// of another zone, or one that was begun from none of the anchors, belongs to
// another trust: it is not used either. A key that was trusted for an anchor is
// no longer so when the operator has taken that anchor back.
func Load(file, zone string, anchors []*dns.DS) (Upkeep, error) {
	fresh := Begin(zone, anchors)
	f, err := disk.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("anchor: state file: %w", err)
	}
	defer f.Close()
	old, err := readState(f)
	switch {
	case err != nil:
		return fresh, fmt.Errorf("anchor: state file %s: %w", file, err)
	case old.Zone != fresh.Zone:
		return fresh, fmt.Errorf("anchor: state file %s: of the zone %s, want %s", file, old.Zone, fresh.Zone)
	case !slices.ContainsFunc(old.Anchors, func(a *dns.DS) bool {
		return slices.ContainsFunc(fresh.Anchors, func(b *dns.DS) bool { return sameDS(a, b) })
	}):
		return fresh, fmt.Errorf("anchor: state file %s: begun from other trust anchors", file)
	}
	old.Keys = slices.DeleteFunc(old.Keys, func(k Key) bool {
		return k.trusted() && old.anchored(k.DNSKEY) && !fresh.anchored(k.DNSKEY)
	})
	old.Anchors = fresh.Anchors
	return old, nil
}

// Save writes the Upkeep to a file that Load reads: to a new one beside it
// first, which takes its place when it is safe on the disk. So an error, as from
// a full disk, leaves the old one as it was. It does not write over a file that
// is no state file.
func (u Upkeep) Save(file string) error {
	if err := mayReplace(file); err != nil {
		return err
	}
	const readable = 0o644
	err := disk.Replace(file, readable, func(w io.Writer) error {
		_, err := w.Write(u.text())
		return err
	})
	if err != nil {
		return fmt.Errorf("anchor: state file: %w", err)
	}
	return nil
}

// mayReplace returns an error if the file is somebody else's. An empty one is
// what a crash leaves behind.
func mayReplace(file string) error {
	f, err := disk.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("anchor: state file: %w", err)
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(io.LimitReader(f, 2*int64(len(stateTitle))), 2*len(stateTitle)).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("anchor: %w", err)
	}
	if line != "" && strings.TrimRight(line, "\r\n") != stateTitle {
		return fmt.Errorf("anchor: %s is no state file, and is not written over", file)
	}
	return nil
}

// text returns the Upkeep as lines of words, with comments for who reads them.
func (u Upkeep) text() []byte {
	var b bytes.Buffer
	line := func(words ...any) { fmt.Fprintln(&b, words...) }
	line(stateTitle)
	line("; Written by the daemon. Without it, all begins anew from the anchors.")
	line("zone", u.Zone)
	line("next", moment(u.Next))
	line("retry", u.Retry)
	for _, a := range u.Anchors {
		line("anchor", a.KeyTag, a.Algorithm, a.DigestType, a.Digest)
	}
	for _, k := range u.Keys {
		line(";", k.State, "key", k.DNSKEY.KeyTag())
		line("key", k.State, moment(k.Since), moment(k.Until), k.DNSKEY.Flags, k.DNSKEY.Protocol, k.DNSKEY.Algorithm, k.DNSKEY.PublicKey)
	}
	line("end")
	return b.Bytes()
}

// readState reads what text has written. All errors name the line, and a file
// without its end is one.
func readState(r io.Reader) (Upkeep, error) {
	var u Upkeep
	lines := bufio.NewScanner(io.LimitReader(r, maxHintsSize))
	ended := false
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		switch {
		case n == 1 && lines.Text() != stateTitle:
			return Upkeep{}, errors.New("line 1: no state file")
		case len(words) == 0, words[0] == ";":
		case ended:
			return Upkeep{}, fmt.Errorf("line %d: more after the end", n)
		case words[0] == "end" && len(words) == 1:
			ended = true
		default:
			if err := u.readLine(words); err != nil {
				return Upkeep{}, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return Upkeep{}, err
	case !ended, u.Zone == "":
		return Upkeep{}, errors.New("it is not whole")
	}
	return u, nil
}

// readLine reads one line of words.
func (u *Upkeep) readLine(words []string) (err error) {
	switch verb, rest := words[0], words[1:]; {
	case verb == "zone" && len(rest) == 1 && u.Zone == "" && dns.CanonicalName(rest[0]) == rest[0]:
		u.Zone = rest[0]
	case verb == "next" && len(rest) == 1:
		u.Next, err = readMoment(rest[0])
	case verb == "retry" && len(rest) == 1:
		u.Retry, err = time.ParseDuration(rest[0])
	case verb == "anchor" && len(rest) == 4 && u.Zone != "":
		var rr dns.RR
		if rr, err = u.record("DS", rest); err == nil {
			var ds *dns.DS
			ds, err = readKey(rr)
			u.Anchors = append(u.Anchors, ds)
		}
	case verb == "key" && len(rest) == 7 && u.Zone != "":
		err = u.readKeyLine(rest)
	default:
		err = fmt.Errorf("%q is not understood", strings.Join(words, " "))
	}
	return err
}

// readKeyLine reads the state and the times of a key, and the key.
func (u *Upkeep) readKeyLine(words []string) error {
	state := slices.Index(stateNames[:], words[0])
	since, err1 := readMoment(words[1])
	until, err2 := readMoment(words[2])
	rr, err3 := u.record("DNSKEY", words[3:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	key := rr.(*dns.DNSKEY)
	if _, err := dsOf(key); err != nil {
		return err
	}
	switch {
	case state < 0:
		return fmt.Errorf("%q is no state", words[0])
	case key.Flags&dns.ZONE == 0 || key.Flags&dns.REVOKE != 0 || key.Protocol != 3:
		return fmt.Errorf("key with flags %d and protocol %d", key.Flags, key.Protocol)
	case (State(state) == AddPend || State(state) == Revoked) == until.IsZero():
		return fmt.Errorf("a key that is %s until %s", words[0], words[2])
	case len(u.Keys) == maxTracked:
		return fmt.Errorf("more than %d keys", maxTracked)
	}
	u.Keys = append(u.Keys, Key{DNSKEY: key, State: State(state), Since: since, Until: until})
	return nil
}

// record reads a record of the zone from the words of its data.
func (u *Upkeep) record(typ string, words []string) (dns.RR, error) {
	rr, err := dns.NewRR(u.Zone + " 0 IN " + typ + " " + strings.Join(words, " "))
	if err == nil && rr == nil {
		err = errors.New("no record")
	}
	return rr, err
}

// never is how a time that is not set is written.
const never = "-"

func moment(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.RFC3339)
}

func readMoment(s string) (time.Time, error) {
	if s == never {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, s)
}
